package detect

import (
	"fmt"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// jobFailed finds a Job that has failed for good, as long as that is news: a failed Job stays there until somebody deletes
// it. Its pods that failed before were its own business, as long as it tried again.
func jobFailed(l *Look, _ []incident.Finding) (incident.Finding, bool) {
	w := l.Workload
	c := w.Condition("Failed")
	if w.Ref.Kind != cluster.KindJob || c == nil || c.Status != "True" || c.Since.IsZero() || l.Now.Sub(c.Since) > Horizon {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: c.Since, Active: true, Confidence: 95, Fingerprint: l.workloadPrint("JobFailed", c.Reason, stamp(c.Since)),
		Message: "job " + w.Ref.Name + " has failed: " + jobReason(c.Reason),
		For:     []string{"its condition Failed is True with the reason " + orUnknown(c.Reason)},
	}
	if c.Message != "" {
		f.For = append(f.For, phrase.Cut(c.Message, quoted))
	}
	failed := 0
	for i := range w.Replicas {
		if w.Replicas[i].Phase == cluster.PhaseFailed {
			failed++
		}
	}
	if failed > 0 {
		f.For = append(f.For, phrase.Count(int64(failed), "pod")+" of it failed and can still be looked at")
	}
	if r, last := l.lastFailure(); last != nil {
		f.Message += fmt.Sprintf("; container %s of %s ended with exit code %d", last.container, r.Name, last.ExitCode)
		f.For = append(f.For, exitPhrase(last.Termination))
		if text := strings.TrimSpace(last.Message); text != "" {
			f.For = append(f.For, "its last words: "+phrase.Cut(text, quoted))
		}
	} else {
		f.Against = []string{"how its last pod ended is not known any more"}
	}
	return f, true
}

// jobReason words the reason of a Job's condition Failed (batch/v1 of Kubernetes 1.36).
func jobReason(reason string) string {
	switch reason {
	case "BackoffLimitExceeded":
		return "its pods failed more often than its back-off limit allows"
	case "DeadlineExceeded":
		return "it ran for longer than its deadline allows"
	case "PodFailurePolicy":
		return "its pod failure policy ended it"
	case "MaxFailedIndexesExceeded":
		return "more of its indexes failed than it allows"
	case "FailedIndexes":
		return "some of its indexes failed"
	default:
		return orUnknown(reason)
	}
}

func orUnknown(reason string) string {
	if reason == "" {
		return "(no reason given)"
	}
	return phrase.Cut(reason, 80)
}

// ending is a container that ended with an error.
type ending struct {
	*cluster.Termination
	container string
}

// lastFailure returns the newest end with an error that the replicas show, nil for none.
func (l *Look) lastFailure() (*cluster.Replica, *ending) {
	var where *cluster.Replica
	var last *ending
	for i := range l.Workload.Replicas {
		r := &l.Workload.Replicas[i]
		for j := range r.Containers {
			t := r.Containers[j].LatestDeath()
			if t == nil || t.ExitCode == 0 || r.Containers[j].Kind == cluster.ContainerEphemeral {
				continue
			}
			if last == nil || t.FinishedAt.After(last.FinishedAt) {
				where, last = r, &ending{t, r.Containers[j].Name}
			}
		}
	}
	return where, last
}
