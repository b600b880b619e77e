package detect

import (
	"slices"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
)

// Reasons of a termination by which a platform without events says that it killed a process whose probe failed.
const (
	ReasonLivenessProbe = "LivenessProbeFailed"
	ReasonStartupProbe  = "StartupProbeFailed"
)

// Probes whose failure kills.
const (
	liveness = "liveness"
	startup  = "startup"
)

// probeThreshold is how often in a row a probe fails until the kubelet kills, if its failureThreshold is not set.
const probeThreshold = 3

// probeFailure is what the events near a death say of one probe.
type probeFailure struct {
	killing   *cluster.Event // the kubelet says that it restarts this container for it
	unhealthy *cluster.Event // the newest one that says that the probe failed
	times     int32          // it failed, as far as the events tell
}

func probeFailures(s *subject, d *death, probe string) probeFailure {
	var p probeFailure
	for i := range s.replica.Events {
		ev := &s.replica.Events[i]
		switch ev.Reason {
		case "Killing":
			name, which, found := killedForProbe(ev.Message)
			if found && which == probe && (name == s.container.Name || name == "") && p.killing == nil && inLife(ev, d) {
				p.killing = ev
			}
		case "Unhealthy":
			if which, found := failedProbe(ev.Message); !found || which != probe || !eventNear(ev, d.FinishedAt) {
				continue
			}
			p.times += max(ev.Count, 1)
			if p.unhealthy == nil || ev.Last.After(p.unhealthy.Last) {
				p.unhealthy = ev
			}
		}
	}
	return p
}

// probeKill explains a death by a probe that kills. Without the kubelet's own word for it the container must have such a probe
// and have died of a signal: the exit code of an application that handles SIGTERM may be any, and then says nothing.
func probeKill(s *subject, d *death, probe, reason string, has bool) (explanation, bool) {
	e := explanation{message: s.who() + " was killed because its " + probe + " probe failed"}
	if d.Reason == reason {
		e.confidence = 95
		e.pro = []string{"the platform gives the reason " + d.Reason, exitPhrase(d.Termination)}
		return e, true
	}
	if d.Reason == cluster.ReasonOOMKilled {
		return explanation{}, false
	}
	p := probeFailures(s, d, probe)
	signalled := d.ExitCode == exitKill || d.ExitCode == exitTerm || d.Signal == sigKill
	switch {
	case p.killing != nil:
		e.confidence = 95
		e.pro = []string{"the kubelet's event says that it restarts the container for it"}
		if p.unhealthy != nil {
			e.confidence = 98
			e.pro = append(e.pro, "an Unhealthy event says that the probe failed")
		}
		if signalled {
			e.pro = append(e.pro, exitPhrase(d.Termination))
		} else {
			e.against = []string{exitPhrase(d.Termination) + " is not that of a signal"}
		}
		return e, true
	case p.unhealthy == nil || !has || !signalled:
		return explanation{}, false
	}
	e.confidence = 80
	e.pro = []string{"an Unhealthy event says that the probe failed", exitPhrase(d.Termination)}
	e.against = []string{"no Killing event was seen"}
	if p.times < probeThreshold {
		e.confidence -= 15
		e.against = append(e.against, "the events tell of "+phrase.Count(int64(p.times), "failure")+" of the probe, fewer than the usual threshold of 3")
	}
	if othersHave(s, probe) {
		e.confidence -= 10
		e.against = append(e.against, "another container has a "+probe+" probe too, and the event does not say whose failed")
	}
	if limit := s.container.MemoryLimit; limit > 0 {
		if used, known := memoryBefore(s.points(), d.Termination); known && float64(used) >= nearLimit*float64(limit) {
			e.confidence -= 15
			e.against = append(e.against, lastSample(used, limit))
		}
	}
	return e, true
}

// othersHave reports whether another container of the replica has such a probe.
func othersHave(s *subject, probe string) bool {
	return slices.ContainsFunc(s.replica.Containers, func(c cluster.Container) bool {
		return c.Name != s.container.Name && (probe == liveness && c.LivenessProbe || probe == startup && c.StartupProbe)
	})
}

// killedForProbe reads "Container app failed liveness probe, will be restarted".
func killedForProbe(message string) (container, probe string, found bool) {
	for _, p := range []string{liveness, startup} {
		head, _, cut := strings.Cut(message, "failed "+p+" probe")
		if !cut {
			continue
		}
		name := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(head), "Container"))
		return name, p, true
	}
	return "", "", false
}

// failedProbe reads "Liveness probe failed: …" and "Liveness probe errored …". Of a readiness probe it finds nothing.
func failedProbe(message string) (probe string, found bool) {
	switch {
	case strings.HasPrefix(message, "Liveness probe failed"), strings.HasPrefix(message, "Liveness probe errored"):
		return liveness, true
	case strings.HasPrefix(message, "Startup probe failed"), strings.HasPrefix(message, "Startup probe errored"):
		return startup, true
	default:
		return "", false
	}
}
