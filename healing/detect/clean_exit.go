package detect

import (
	"github.com/homeostat/homeostat/internal/cluster"
)

// cleanExit knows the latest death of a container that ends without an error and is started again and again. An application
// that handles SIGTERM ends so too where a liveness probe fails, so such an event lowers the confidence.
func cleanExit(s *subject, d *death) (explanation, bool) {
	if d.ExitCode != 0 || d.Signal != 0 || d.Reason != cluster.ReasonCompleted && d.Reason != "" || !d.newest {
		return explanation{}, false
	}
	if !s.replica.RestartsAlways && s.container.Kind != cluster.ContainerSidecar {
		return explanation{}, false
	}
	waiting := s.container.CrashLooping()
	if !waiting && !restartsOften(s) {
		return explanation{}, false
	}
	e := explanation{
		confidence: 95,
		message:    s.who() + " finishes without an error and is started again and again: it should be a Job, or not finish",
		pro:        []string{exitPhrase(d.Termination), "it is restarted always", restarts(s.container.Restarts)},
	}
	if waiting {
		e.pro = append(e.pro, "it is held in CrashLoopBackOff")
	}
	if n := s.steady(); n > 0 {
		e.confidence -= 20
		e.against = append(e.against, "the same container runs on in "+countReplicas(n))
	}
	if probeFailures(s, d, liveness).unhealthy != nil {
		e.confidence -= 35
		e.against = append(e.against, "a liveness probe failed near it")
	}
	return e, true
}
