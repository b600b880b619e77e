package detect

import (
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

// disrupted tells who ended a replica that did not fail by itself: the eviction API, the scheduler, the taint manager, the
// garbage collector or the kubelet. Somebody meant it and the owner makes another one, so this is a notice, as long as it
// is news. Pressure of the node is told by evicted.
func disrupted(s *subject) (incident.Finding, bool) {
	r := s.replica
	if r.Disruption == "" || r.Disruption == terminationByKubelet && (pressed(r.DisruptionMessage) || r.Reason == reasonEvicted) {
		return incident.Finding{}, false
	}
	since := r.DisruptionSince
	if since.IsZero() {
		since = r.DeletedAt
	}
	if since.IsZero() && s.over() {
		since = s.ended()
	}
	if since.IsZero() || s.Now.Sub(since) > Horizon {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: since, Confidence: 95, Fingerprint: s.print("Disrupted", r.Disruption, stamp(since)),
		Message: r.Name + " " + s.actor(),
		For:     []string{"its condition DisruptionTarget has the reason " + r.Disruption},
	}
	if r.DisruptionMessage != "" {
		f.For = append(f.For, phrase.Cut(r.DisruptionMessage, quoted))
	}
	return f, true
}

// actor words who disrupted the replica and why, as far as the condition and the node tell.
func (s *subject) actor() string {
	r := s.replica
	node, known := s.Nodes[r.Node]
	switch r.Disruption {
	case "EvictionByEvictionAPI":
		if known && node.Cordoned {
			return "was evicted through the eviction API; node " + r.Node + " is cordoned, so it is probably being drained"
		}
		return "was evicted through the eviction API, as a drain, a node autoscaler, a descheduler or a person does"
	case "PreemptionByScheduler":
		by := "the scheduler"
		if name, _, found := strings.Cut(r.DisruptionMessage, ": preempting"); found && name != "" {
			by = phrase.Cut(name, 80)
		}
		return "was preempted by " + by + " to make room for a pod of higher priority"
	case "DeletionByTaintManager":
		on := "its node"
		if r.Node != "" {
			on = "node " + r.Node
		}
		why := "was deleted by the taint manager: " + on + " has a NoExecute taint that it does not tolerate"
		if known && node.Ready != "True" {
			why += " (the node is not ready)"
		}
		return why
	case "DeletionByPodGC":
		if r.Node != "" && len(s.Nodes) > 0 && !known {
			return "was deleted by the garbage collector of pods: node " + r.Node + " does not exist any more"
		}
		return "was deleted by the garbage collector of pods: it was orphaned or out of service"
	case terminationByKubelet:
		return s.kubelet()
	default:
		return "was disrupted for the reason " + phrase.Cut(r.Disruption, 80)
	}
}

// kubelet words why the kubelet ended the replica, where it was not for pressure.
func (s *subject) kubelet() string {
	r := s.replica
	m := lower(r.DisruptionMessage + " " + r.Message)
	switch {
	case strings.Contains(m, "shutdown"):
		return "was ended by the kubelet because node " + r.Node + " shuts down"
	case strings.Contains(m, "critical pod"):
		return "was preempted by the kubelet of node " + r.Node + " to make room for a critical pod"
	case r.DisruptionMessage != "":
		return "was ended by the kubelet: " + phrase.Cut(r.DisruptionMessage, quoted)
	default:
		return "was ended by the kubelet, which does not say why"
	}
}
