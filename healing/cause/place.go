package cause

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// skew is how much a cause may seem to be later than its effect: times of different machines, whole seconds.
const skew = 2 * time.Second

// soonAfter is how long after its rollout a revision is still to blame for what begins: as long as a change is looked for before a
// failure, and longer than a Deployment's progress deadline.
const soonAfter = 15 * time.Minute

// neverReady is how long after its start a replica's Ready condition may be set for the first time.
const neverReady = 5 * time.Second

// ofNodes are the kinds that lie in a node; no revision is to blame for them.
func ofNodes(k incident.Kind) bool {
	return slices.Contains([]incident.Kind{
		incident.NodeNotReady, incident.NodeOOM, incident.NodeCrashLoop, incident.SandboxFailed, incident.Evicted,
		incident.StatusUnknown,
	}, k)
}

// notOfRevisions are the kinds of which a new pod template is no likely cause, beside those of nodes.
func notOfRevisions(k incident.Kind) bool {
	return slices.Contains([]incident.Kind{
		incident.Disrupted, incident.StuckTerminating, incident.ResizeStuck, incident.CreateRefused, incident.AutoscalerBlind,
		incident.JobFailed, incident.Storm,
	}, k) || ofNodes(k)
}

// revision concludes that the newest revision is to blame.
func (s *scene) revision(b *Blame) conclusion {
	w := s.in.Workload
	newest := newestRevision(w)
	var c conclusion
	if newest.Name == "" || notOfRevisions(s.lead.Kind) || len(s.failing) == 0 || b.Node != "" {
		return c
	}
	healthy, ready := s.olderHealthy(newest)
	rolled := rolledOut(w, newest)
	if healthy == "" || rolled.IsZero() {
		return c // there is nothing to compare with
	}
	if c.against = s.excuses(newest, rolled); len(c.against) > 0 {
		return c
	}
	if b.Dependency != "" && !ready {
		c.against = []string{"the service " + b.Dependency + " is down, for the older revision too"}
		return c
	}
	b.NewRevision, b.Revision, b.Healthy = true, newest.Name, healthy
	c.confidence = 80
	was := "was healthy before"
	if ready {
		c.confidence, was = 90, "is healthy beside it"
	}
	c.pro = []string{
		"all that fails is of the newest revision " + newest.Name,
		"it began " + phrase.Span(max(s.beganIn(newest).Sub(rolled), 0)) + " after its rollout",
		"revision " + healthy + " " + was,
	}
	if wasHealthy(newest, rolled) {
		c.confidence -= 10
		c.against = []string{"the newest revision " + newest.Name + " was healthy for a while"}
	}
	c.clause = fmt.Sprintf("only the newest revision %s fails, since it was rolled out, and revision %s %s", newest.Name, healthy, was)
	return c
}

// excuses returns what speaks for the newest revision.
func (s *scene) excuses(newest cluster.Revision, rolled time.Time) []string {
	for _, r := range s.failing {
		switch r.Revision {
		case newest.Name:
		case "":
			return []string{"the revision of " + r.Name + " is not known"}
		default:
			return []string{"a replica of the older revision " + r.Revision + " shows it too"}
		}
	}
	all := 0
	for i := range s.in.Workload.Replicas {
		if r := &s.in.Workload.Replicas[i]; r.Revision == newest.Name && !r.Deleting() {
			all++
		}
	}
	if bad := len(s.failing); 2*bad < all {
		return []string{fmt.Sprintf("%d of %d replicas of the newest revision %s do not show it", all-bad, all, newest.Name)}
	}
	switch after := s.beganIn(newest).Sub(rolled); {
	case after < -skew:
		return []string{"it began before the newest revision " + newest.Name + " was rolled out"}
	case after > soonAfter:
		return []string{"it began " + phrase.Span(after) + " after the newest revision " + newest.Name + " was rolled out"}
	}
	return nil
}

// beganIn returns when it began in replicas of the revision: a replica that was never ready has failed since it was made.
func (s *scene) beganIn(newest cluster.Revision) time.Time {
	began := s.began
	for _, r := range s.failing {
		made := r.StartedAt
		if made.IsZero() {
			made = r.CreatedAt
		}
		never := !r.Ready && (r.ReadySince.IsZero() || r.ReadySince.Sub(made) < neverReady)
		if r.Revision == newest.Name && never && !r.CreatedAt.IsZero() && r.CreatedAt.Before(began) {
			began = r.CreatedAt
		}
	}
	return began
}

// wasHealthy reports whether the revision was healthy since its rollout.
func wasHealthy(newest cluster.Revision, rolled time.Time) bool {
	return !newest.HealthyAt.IsZero() && !newest.HealthyAt.Before(rolled)
}

// newestRevision returns the one with the workload's name for it, or else with the highest number; without a name where it is not
// known.
func newestRevision(w *cluster.Workload) cluster.Revision {
	best := cluster.Revision{Name: w.Revision}
	for i := range w.Revisions {
		r := &w.Revisions[i]
		if w.Revision == "" && (best.Name == "" || r.Number > best.Number) || w.Revision != "" && r.Name == w.Revision {
			best = *r
		}
	}
	return best
}

// olderHealthy returns the newest older revision that was healthy, and whether a replica of it is now.
func (s *scene) olderHealthy(newest cluster.Revision) (name string, ready bool) {
	best := int64(-1)
	for i := range s.in.Workload.Revisions {
		r := &s.in.Workload.Revisions[i]
		now := r.Ready > 0 || slices.ContainsFunc(s.in.Workload.Replicas, func(p cluster.Replica) bool {
			return p.Revision == r.Name && p.Ready && !p.Deleting()
		})
		if r.Name == newest.Name || r.HealthyAt.IsZero() && !now || r.Number < best {
			continue
		}
		name, ready, best = r.Name, now, r.Number
	}
	return name, ready
}

// rolledOut returns when the rollout to the revision began: it was made then, or it is an old one to which somebody went back.
// Zero: not known.
func rolledOut(w *cluster.Workload, newest cluster.Revision) time.Time {
	at := newest.CreatedAt
	for i := range w.Changes {
		if c := &w.Changes[i]; c.Kind == cluster.ChangeRollout && c.At.After(at) {
			at = c.At
		}
	}
	return at
}

// node concludes that one node is to blame.
func (s *scene) node(b *Blame) conclusion {
	var c conclusion
	if len(s.failing) == 0 || s.gone {
		return c
	}
	node, revision := s.failing[0].Node, s.failing[0].Revision
	for _, r := range s.failing {
		if r.Node == "" || r.Node != node {
			return c
		}
	}
	here, elsewhere := 0, 0
	for i := range s.in.Workload.Replicas {
		r := &s.in.Workload.Replicas[i]
		if !s.fine(r) || r.Revision != revision {
			continue
		}
		if r.Node == node {
			here++
		} else if r.Node != "" {
			elsewhere++
		}
	}
	if elsewhere == 0 {
		return c
	}
	trouble := nodeTrouble(s.in.Nodes[node], s.began)
	switch {
	case here > 0:
		c.against = append(c.against, fmt.Sprintf("%s on node %s %s fine", phrase.Count(int64(here), "other replica"), node, areIs(here)))
		return c
	case len(s.failing) == 1 && trouble == "" && !ofNodes(s.lead.Kind):
		return c // one replica is on one node whatever the cause
	}
	b.Node = node
	c.confidence = 75
	if len(s.failing) == 1 {
		c.confidence = 60
	}
	c.pro = append(c.pro, "it fails on node "+node+" only",
		fmt.Sprintf("%s of the same revision %s fine on other nodes", phrase.Count(int64(elsewhere), "replica"), areIs(elsewhere)))
	if trouble != "" {
		c.confidence += 15
		c.pro = append(c.pro, trouble)
	}
	c.clause = "only on node " + node + ", while " + phrase.Count(int64(elsewhere), "replica") + " of the same revision " + areIs(elsewhere) + " fine elsewhere"
	return c
}

func areIs(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// nodeTrouble says what is wrong with the node itself, empty for nothing.
func nodeTrouble(n cluster.Node, began time.Time) string {
	switch {
	case n.Ready != "" && n.Ready != "True":
		return "node " + n.Name + " is not ready"
	case len(n.Pressures) > 0:
		return "node " + n.Name + " has " + strings.Join(n.Pressures, ", ")
	}
	for i := range n.Events {
		e := &n.Events[i]
		if e.Type == "Warning" && began.Sub(e.Last) < soonAfter {
			return "node " + n.Name + " has the event " + e.Reason
		}
	}
	return ""
}
