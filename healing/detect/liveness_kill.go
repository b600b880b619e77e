package detect

import (
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Reasons of a termination by which a platform without events says that it killed a process whose probe failed.
const (
	ReasonLivenessProbe = "LivenessProbeFailed"
	ReasonStartupProbe  = "StartupProbeFailed"
)

// livenessKill knows a death that the kubelet brought about because a liveness or startup probe failed. The exit code
// says little, since an application that handles SIGTERM may end with any.
func livenessKill(s *subject, d *death) (explanation, bool) {
	switch d.Reason {
	case ReasonLivenessProbe:
		return explanation{
			confidence: 95, message: s.who() + " was killed because its liveness probe failed",
			pro: []string{"the platform gives the reason " + d.Reason, exitPhrase(d.Termination)},
		}, true
	case ReasonStartupProbe:
		return explanation{
			confidence: 95, message: s.who() + " was killed because its startup probe failed",
			pro: []string{"the platform gives the reason " + d.Reason, exitPhrase(d.Termination)},
		}, true
	}
	probe, killing, unhealthy := probeEvents(s, d.FinishedAt)
	signalled := d.ExitCode == exitKill || d.ExitCode == exitTerm || d.Signal == sigKill
	e := explanation{message: s.who() + " was killed because its " + probe + " probe failed"}
	switch {
	case killing != nil:
		e.confidence = 95
		e.pro = []string{"the kubelet's event says that it restarts the container for it"}
		if unhealthy != nil {
			e.confidence = 98
			e.pro = append(e.pro, "an Unhealthy event says that the probe failed")
		}
		if signalled {
			e.pro = append(e.pro, exitPhrase(d.Termination))
		} else {
			e.against = []string{exitPhrase(d.Termination) + " is not that of a signal"}
		}
	case unhealthy != nil && signalled:
		e.confidence = 80
		e.pro = []string{"an Unhealthy event says that the probe failed", exitPhrase(d.Termination)}
		e.against = []string{"no Killing event was seen"}
	default:
		return explanation{}, false
	}
	return e, true
}

// probeEvents returns which probe failed ("liveness" or "startup") near the time, and the events that say so.
func probeEvents(s *subject, at time.Time) (probe string, killing, unhealthy *cluster.Event) {
	probe = "liveness"
	for i := range s.replica.Events {
		ev := &s.replica.Events[i]
		if !eventNear(ev, at) {
			continue
		}
		switch ev.Reason {
		case "Killing":
			name, which, found := killedForProbe(ev.Message)
			if found && (name == s.container.Name || name == "") {
				probe, killing = which, ev
			}
		case "Unhealthy":
			if which, found := failedProbe(ev.Message); found && unhealthy == nil {
				unhealthy = ev
				if killing == nil {
					probe = which
				}
			}
		}
	}
	return probe, killing, unhealthy
}

// killedForProbe reads "Container app failed liveness probe, will be restarted".
func killedForProbe(message string) (container, probe string, found bool) {
	for _, p := range []string{"liveness", "startup"} {
		head, _, cut := strings.Cut(message, "failed "+p+" probe")
		if !cut {
			continue
		}
		name := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(head), "Container"))
		return name, p, true
	}
	return "", "", false
}

// failedProbe reads "Liveness probe failed: …" and "Liveness probe errored: …".
func failedProbe(message string) (probe string, found bool) {
	switch {
	case strings.HasPrefix(message, "Liveness probe failed"), strings.HasPrefix(message, "Liveness probe errored"):
		return "liveness", true
	case strings.HasPrefix(message, "Startup probe failed"), strings.HasPrefix(message, "Startup probe errored"):
		return "startup", true
	default:
		return "", false
	}
}
