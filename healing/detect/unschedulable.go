package detect

import (
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

// unschedulable finds a replica for which the scheduler has found no node for a while. A replica that is held back on
// purpose (SchedulingGated) is none. One that only misses the place of a replica on a lost node is of that node.
func unschedulable(s *subject) (incident.Finding, bool) {
	r := s.replica
	if !r.Unschedulable || r.SchedulingGated || r.Node != "" || s.over() {
		return incident.Finding{}, false
	}
	since := latest(r.UnschedulableSince, r.CreatedAt)
	if since.IsZero() || s.Now.Sub(since) < s.PendingAfter || s.reopened() {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: since, Active: true, Confidence: 95,
		Fingerprint: s.print("Unschedulable", stamp(since)),
		Message:     "no node fits " + r.Name,
		For:         []string{"the scheduler marks it Unschedulable"},
	}
	if f.Node = Displaced(s.Workload, s.Nodes, r); f.Node != "" {
		f.Message = "since node " + f.Node + " is lost, no node fits " + r.Name
		f.For = append(f.For, "a replica of the same revision was on node "+f.Node)
	}
	c := Constraints(r.UnschedulableMessage)
	switch {
	case len(c) > 0:
		if why := Binding(c[0]); why != "" {
			f.Message += " because of " + why
		}
		f.Message += ": " + strings.Join(c, ", ")
	case r.UnschedulableMessage != "":
		f.Message += ": " + phrase.Cut(r.UnschedulableMessage, quoted)
		f.Against = []string{"the scheduler's message could not be taken apart"}
	}
	return f, true
}

// Constraints takes a scheduler's message apart, such as "0/3 nodes are available: 1 node(s) had untolerated taint
// {dedicated: db}, 2 Insufficient memory. preemption: …", into what binds, the constraint of the most nodes first:
// "Insufficient memory (2 of 3 nodes)". What holds on every node alike, such as a claim that is not there, has no count.
// It is empty for a message of another form.
func Constraints(message string) []string {
	head, rest, found := strings.Cut(message, " nodes are available: ")
	if !found {
		return nil
	}
	total := head[strings.LastIndex(head, "/")+1:]
	rest, _, _ = strings.Cut(rest, " preemption:")
	rest, _, _ = strings.Cut(rest, "no new claims to deallocate")
	rest = strings.TrimRight(strings.TrimSpace(rest), ".")
	type constraint struct {
		nodes int
		text  string
	}
	var all []constraint
	for part := range strings.SplitSeq(rest, ", ") {
		count, text, cut := strings.Cut(strings.TrimSpace(part), " ")
		n, err := strconv.Atoi(count)
		if !cut || err != nil {
			continue
		}
		text = strings.TrimPrefix(strings.TrimSpace(text), "node(s) ")
		all = append(all, constraint{n, phrase.Cut(text, 120)})
	}
	if len(all) == 0 && rest != "" {
		return []string{phrase.Cut(rest, 180)}
	}
	slices.SortStableFunc(all, func(a, b constraint) int { return b.nodes - a.nodes })
	out := make([]string, 0, len(all))
	for _, c := range all[:min(len(all), 5)] {
		out = append(out, c.text+" ("+strconv.Itoa(c.nodes)+" of "+phrase.Cut(total, 12)+" nodes)")
	}
	return out
}

// Binding names what a constraint of the scheduler is about in a word or two: "memory", "taints", "volume node affinity",
// "pod anti-affinity", "ports". It is empty for a constraint that it does not know. The texts are those of the scheduler's
// plugins of Kubernetes 1.36.
func Binding(constraint string) string {
	c := lower(constraint)
	if _, rest, found := strings.Cut(c, "insufficient "); found {
		return phrase.Cut(strings.Trim(firstWord(rest), "()"), 60)
	}
	for _, known := range []struct{ part, name string }{
		{"taint", "taints"},
		{"were unschedulable", "cordoned nodes"},
		{"persistentvolume's node affinity", "volume node affinity"},
		{"volume node affinity conflict", "volume node affinity"},
		{"available volume zone", "volume node affinity"},
		{"anti-affinity", "pod anti-affinity"},
		{"node affinity", "node affinity or selector"},
		{"pod affinity", "pod affinity"},
		{"node selector", "node affinity or selector"},
		{"topology spread", "topology spread"},
		{"free ports", "ports"},
		{"too many pods", "the number of pods on a node"},
		{"readwriteoncepod", "a volume that another pod uses"},
		{"persistentvolumeclaim", "a volume claim"},
		{"pvc", "a volume claim"},
		{"persistent volumes to bind", "a volume claim"},
		{"max volume count", "the number of volumes on a node"},
		{"free storage", "storage"},
		{"resourceclaim", "a device claim"},
		{"requested node name", "a node name"},
	} {
		if strings.Contains(c, known.part) {
			return known.name
		}
	}
	return ""
}
