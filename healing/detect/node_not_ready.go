package detect

import (
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

// nodeNotReady finds a replica whose node is gone or not ready. The control plane deals with it, and nothing else that
// such a replica shows can be trusted.
func nodeNotReady(s *subject) (incident.Finding, bool) {
	r := s.replica
	if r.Node == "" || len(s.Nodes) == 0 || r.Deleting() || s.over() {
		return incident.Finding{}, false
	}
	n, found := s.Nodes[r.Node]
	if found && n.Ready == "True" {
		return incident.Finding{}, false
	}
	f := incident.Finding{Since: n.Since, Active: true, Confidence: 95}
	switch {
	case !found:
		f.Message = "node " + r.Node + " of " + r.Name + " does not exist any more"
		f.For = []string{"the node is not in the list of nodes"}
	case n.Ready == "False":
		f.Message = "node " + r.Node + " of " + r.Name + " is not ready"
		f.For = []string{"its condition Ready is False"}
	default:
		f.Message = "node " + r.Node + " of " + r.Name + " does not report any more"
		f.For = []string{"its condition Ready is Unknown"}
	}
	if n.Message != "" {
		f.For = append(f.For, phrase.Cut(n.Message, quoted))
	}
	if len(n.Pressures) > 0 {
		f.For = append(f.For, "it shows "+phrase.Cut(strings.Join(n.Pressures, ", "), 120))
	}
	f.Fingerprint = s.print("NodeNotReady", r.Node)
	if !f.Since.IsZero() {
		f.Fingerprint = s.print("NodeNotReady", r.Node, stamp(f.Since))
	}
	return s.finish(f, incident.NodeNotReady), true
}
