package detect

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// loopRestarts within Horizon make a crash loop also where no back-off shows.
	loopRestarts = 3
	// longestBackOff is the longest time that any kubelet may be configured to wait between a death and the next start
	// (crashLoopBackOff.maxContainerRestartPeriod: 1 s to 300 s, and 300 s by default). How long it does wait is read.
	longestBackOff = 5 * time.Minute
	// quickDeath is a life so short that, after a failure before it, no kubelet by its defaults starts the next one at once.
	quickDeath = 10 * time.Second
)

// crashLoop finds a container that exits again and again and whose latest death no other check explains.
func crashLoop(s *subject) (incident.Finding, bool) {
	c := s.container
	waiting, again := c.CrashLooping(), failedAgain(s)
	if !waiting && !again && !restartsOften(s) {
		return incident.Finding{}, false
	}
	f := incident.Finding{Active: s.failing(), Confidence: 95}
	if waiting {
		f.For = append(f.For, "it is held in CrashLoopBackOff")
		if wait := backOff(c.WaitingMessage); wait > 0 {
			f.For = append(f.For, "its next start waits "+phrase.Span(wait))
		}
	}
	if again {
		f.For = append(f.For, "it failed, was started again and failed within "+phrase.Span(quickDeath))
	}
	f.For = append(f.For, restarts(c.Restarts))
	d := s.newest()
	if d == nil || d.Reason == cluster.ReasonStatusUnknown {
		f.Since = latest(s.replica.CreatedAt, s.replica.StartedAt)
		f.Fingerprint = s.print(c.Name, "CrashLoop", "#"+strconv.Itoa(int(c.Restarts)))
		f.Confidence = 70
		f.Against = []string{"how it died last is not known"}
		f.Message = s.who() + " exits again and again (" + restarts(c.Restarts) + "); how it died last is not known"
		return f, true
	}
	f.Since, f.Death, f.Deaths, f.Fingerprint = s.endOf(d), d.Termination, d.number, s.deathPrint(d)
	f.For = append(f.For, exitPhrase(d.Termination))
	f.Message = fmt.Sprintf("%s exits again and again (%s), last with exit code %d: %s", s.who(), restarts(c.Restarts),
		d.ExitCode, ExitMeaning(d.ExitCode, d.Signal))
	if life, known := lifeOf(d.Termination); known {
		f.Message += "; it lived " + phrase.Span(life)
		if d.ExitCode == exitKill && life < shortLife && c.MemoryLimit > 0 {
			f.Confidence = 80
			f.Against = append(f.Against, "a kill so soon after its start may be one at its memory limit of "+phrase.Bytes(c.MemoryLimit)+" that the runtime missed")
		}
	}
	switch same, other := s.exitsOfOthers(d); {
	case same > 0 && other == 0:
		f.For = append(f.For, "the same exit code in "+countReplicas(same+1))
	case other > 0:
		f.Against = append(f.Against, "other exit codes in "+countReplicas(other))
	}
	return f, true
}

// failedAgain reports whether the container is down by an error of its own soon after it was started for the same reason: it will
// be held back, which its status says only about a second later. Of a kill it is not known yet who sent it.
func failedAgain(s *subject) bool {
	d := s.newest()
	if s.container.State != cluster.StateTerminated || len(s.dead) < 2 || d == nil || s.over() {
		return false
	}
	own := func(t *cluster.Termination) bool {
		return t.ExitCode > 0 && t.ExitCode < exitKill && t.Reason == "Error"
	}
	life, known := lifeOf(d.Termination)
	return known && life < quickDeath && own(d.Termination) && own(s.dead[0].Termination)
}

// restartsOften reports whether three restarts within the horizon can be proved from the status: the whole replica is
// younger than that, or the two deaths that the status shows leave the third no other time.
func restartsOften(s *subject) bool {
	newest := s.newest()
	if s.container.Restarts < loopRestarts || newest == nil || s.Now.Sub(newest.FinishedAt) > Horizon {
		return false
	}
	if born := s.replica.CreatedAt; !born.IsZero() && s.Now.Sub(born) <= Horizon {
		return true
	}
	if len(s.dead) < 2 || !lived(s.dead[0].Termination) {
		return false
	}
	return s.Now.Sub(s.dead[0].StartedAt) <= Horizon-longestBackOff
}

// backOff reads the wait of "back-off 2m40s restarting failed container=app pod=…", 0 for another message.
func backOff(message string) time.Duration {
	_, rest, _ := strings.Cut(message, "back-off ")
	word, _, _ := strings.Cut(rest, " ")
	wait, err := time.ParseDuration(word)
	if err != nil || wait < 0 {
		return 0
	}
	return wait
}

// exitsOfOthers counts the other replicas whose container of that name does not stay up: those that ended with the exit code of
// this death, and those that ended with another one.
func (s *subject) exitsOfOthers(d *death) (same, other int) {
	for i := range s.Workload.Replicas {
		r := &s.Workload.Replicas[i]
		c := r.Container(s.container.Name)
		if r == s.replica || r.Deleting() || c == nil || !loops(c) {
			continue
		}
		t := c.LatestDeath()
		switch {
		case t == nil || t.Reason == cluster.ReasonStatusUnknown:
		case t.ExitCode == d.ExitCode:
			same++
		default:
			other++
		}
	}
	return same, other
}

// loops reports whether a container does not stay up, as far as its own status tells: it is held back or down after restarts.
func loops(c *cluster.Container) bool {
	return c.CrashLooping() || c.Restarts > 0 && c.State != cluster.StateRunning
}

// steady counts the other replicas that are ready and whose container of that name has run for longer than Horizon, or since
// it was made.
func (s *subject) steady() int {
	n := 0
	for i := range s.Workload.Replicas {
		r := &s.Workload.Replicas[i]
		c := r.Container(s.container.Name)
		if r == s.replica || r.Deleting() || !r.Ready || c == nil || c.State != cluster.StateRunning {
			continue
		}
		if c.Restarts == 0 && s.Now.Sub(r.ReadySince) >= readyFor || s.Now.Sub(c.StartedAt) > Horizon {
			n++
		}
	}
	return n
}

func restarts(n int32) string { return phrase.Count(int64(n), "restart") }

func countReplicas(n int) string { return phrase.Count(int64(n), "replica") }
