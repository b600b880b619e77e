package detect

import (
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	reasonEvicted         = "Evicted"
	terminationByKubelet  = "TerminationByKubelet"
	evictedByReason       = 95
	evictedByCondition    = 90
	evictedByMessageAlone = 75
)

// evicted tells of a replica that its node evicted, because it ran low on something or the replica used more storage
// than it may. The replica has failed for good and its owner makes another one, so this is a notice, as long as it is news.
// The reason Evicted gets lost now and then (kubernetes/kubernetes#105467); the condition or the message then stand for it.
func evicted(s *subject) (incident.Finding, bool) {
	r := s.replica
	if r.Phase != cluster.PhaseFailed {
		return incident.Finding{}, false
	}
	f := incident.Finding{}
	message := r.Message
	switch {
	case r.Reason == reasonEvicted:
		f.Confidence = evictedByReason
		f.For = []string{"its status has the reason Evicted"}
		if message == "" {
			message = r.DisruptionMessage
		}
	case r.Disruption == terminationByKubelet && pressed(r.DisruptionMessage):
		f.Confidence = evictedByCondition
		f.For = []string{"its condition DisruptionTarget says that the node was low on a resource"}
		f.Against = []string{"its status does not give the reason Evicted"}
		message = r.DisruptionMessage
	case r.Reason == "" && pressed(message):
		f.Confidence = evictedByMessageAlone
		f.For = []string{"its status says that the node was low on a resource"}
		f.Against = []string{"its status does not give the reason Evicted"}
	default:
		return incident.Finding{}, false
	}
	f.Since = s.ended()
	if f.Since.IsZero() || s.Now.Sub(f.Since) > Horizon {
		return incident.Finding{}, false
	}
	f.Fingerprint = s.print(reasonEvicted)
	f.Message = r.Name + " was evicted"
	if r.Node != "" {
		f.Message += " from node " + r.Node
	}
	if why := EvictionCause(message); why != "" {
		f.Message += ": " + why
	}
	if message != "" {
		f.For = append(f.For, phrase.Cut(message, quoted))
	}
	if n, found := s.Nodes[r.Node]; found && len(n.Pressures) > 0 {
		f.For = append(f.For, "the node still shows "+phrase.Cut(strings.Join(n.Pressures, ", "), 120))
	}
	return f, true
}

// pressed reports whether the kubelet's message is that of an eviction because the node ran low on something.
func pressed(message string) bool {
	m := lower(message)
	return strings.Contains(m, "low on resource") || strings.Contains(m, "the node had condition")
}

// ended returns when the replica ended: the latest time that its status gives for it, zero where it gives none.
func (s *subject) ended() time.Time {
	r := s.replica
	at := r.DisruptionSince
	for i := range r.Containers {
		if t := r.Containers[i].Terminated; t != nil {
			at = latest(at, t.FinishedAt)
		}
	}
	for i := range r.Events {
		if r.Events[i].Reason == reasonEvicted {
			at = latest(at, r.Events[i].Last)
		}
	}
	if at.IsZero() {
		at = r.ReadySince
	}
	if at.IsZero() { // refused when it came to the node
		at = latest(r.StartedAt, r.CreatedAt)
	}
	return at
}

// EvictionCause words why a kubelet evicted a replica, out of its message; empty for an empty one. It knows the messages
// of pkg/kubelet/eviction of Kubernetes 1.36.
func EvictionCause(message string) string {
	if _, rest, found := strings.Cut(message, "The node was low on resource: "); found {
		resource, usage, _ := strings.Cut(rest, ". ")
		why := "the node was low on " + phrase.Cut(strings.TrimSuffix(resource, "."), 60)
		if _, after, threshold := strings.Cut(usage, "available: "); threshold && strings.HasPrefix(usage, "Threshold quantity: ") {
			left, others, _ := strings.Cut(after, ". ")
			why += " (" + phrase.Cut(strings.TrimSuffix(left, "."), 40) + " left)"
			usage = others
		}
		if usage = strings.TrimSuffix(strings.TrimSpace(usage), "."); usage != "" {
			why += "; " + phrase.Cut(usage, quoted)
		}
		return why
	}
	if _, rest, found := strings.Cut(message, "The node had condition: "); found {
		state, _, _ := strings.Cut(rest, ". ")
		return "the node had the condition " + phrase.Cut(strings.Trim(state, "[]. "), 120)
	}
	return phrase.Cut(strings.TrimSuffix(strings.TrimSpace(message), "."), quoted)
}
