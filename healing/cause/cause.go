package cause

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Input is what a cause is found from. Nothing in it is changed.
type Input struct {
	Workload *cluster.Workload
	Nodes    map[string]cluster.Node
	// Findings of one incident, those of its own kind first.
	Findings []incident.Finding
	// Evidence that is stored with it; its logs are searched for the names of services.
	Evidence []incident.Evidence
	// Services by "namespace/name".
	Services map[string]cluster.Service
	// Trend and Memory give the long and the short history of a container's usage; either may be nil.
	Trend  func(replica, container string) []metrics.TrendPoint
	Memory func(replica, container string) []metrics.Point
	// Began is when the incident did; zero: when the first of the findings or of the evidence says.
	Began time.Time
	// Acted is when the first remedy was begun; zero: none was. What changed since then came after the failure, and may be the remedy.
	Acted time.Time
	Now   time.Time
}

// Cause is why it fails.
type Cause struct {
	// Sentence is for people, at most incident.MaxMessage bytes.
	Sentence string
	// Confidence in percent: that of the surest conclusion, or of the finding where there is none.
	Confidence int32
	// For and Against are observations, a short phrase each: those of the finding, then those of the conclusions.
	For, Against []string
	Blame        Blame
}

// Blame is the conclusions that are drawn, for machines. The zero value blames nobody.
type Blame struct {
	// NewRevision is true where all that fails is of the newest revision, began with it, and an older one was healthy. Revision
	// is that newest one, and Healthy the newest older one that was healthy.
	NewRevision bool
	Revision    string
	Healthy     string
	// Node is the only node on which it fails, while siblings of the same revision are fine on others.
	Node string
	// FollowsLoad is true where memory follows load, over time and over the replicas, or where most replicas are throttled: it
	// is demand.
	FollowsLoad bool
	// Leak is true where memory grows with time and load does not explain it.
	Leak bool
	// Dependency is the Service ("namespace/name") without a ready endpoint that a log line names.
	Dependency string
	// ExitMeaning says what the exit code of the death usually means; empty where there was no death.
	ExitMeaning string
}

// conclusion is one of them with its observations; confidence 0: it is not drawn.
type conclusion struct {
	confidence   int32
	clause       string
	pro, against []string
}

// Explain returns the cause of the findings; the zero Cause where there is none.
func Explain(in Input) Cause {
	lead := Lead(in.Findings)
	if lead == nil || in.Workload == nil {
		return Cause{}
	}
	s := newScene(&in, lead)
	var b Blame
	if lead.Death != nil {
		b.ExitMeaning = detect.ExitMeaning(lead.Death.ExitCode, lead.Death.Signal)
	}
	// In this order: what lies deeper excuses what lies above it.
	all := []conclusion{s.dependency(&b), s.node(&b), s.revision(&b), s.memory(&b), s.throttling(&b)}
	c := Cause{Confidence: lead.Confidence, For: slices.Clone(lead.For), Against: slices.Clone(lead.Against), Blame: b}
	slices.SortStableFunc(all, func(x, y conclusion) int { return cmp.Compare(y.confidence, x.confidence) })
	clauses := []string{lead.Message}
	for i := range all {
		if all[i].confidence > 0 {
			if all[i].clause != "" {
				clauses = append(clauses, all[i].clause)
			}
			c.For = append(c.For, all[i].pro...)
		}
		c.Against = append(c.Against, all[i].against...)
	}
	if all[0].confidence > 0 {
		c.Confidence = all[0].confidence
	}
	for _, more := range []string{s.growth(), s.scope(&b), s.change(&c)} {
		if more != "" {
			clauses = append(clauses, more)
		}
	}
	c.Sentence = phrase.Cut(strings.Join(clauses, "; "), incident.MaxMessage)
	return c
}

// Lead returns the finding that stands for all: the surest, then the newest, then the first; nil for none.
func Lead(findings []incident.Finding) *incident.Finding {
	var best *incident.Finding
	for i := range findings {
		f := &findings[i]
		if best == nil || f.Confidence > best.Confidence || f.Confidence == best.Confidence && f.Since.After(best.Since) {
			best = f
		}
	}
	return best
}

// scene is who fails and who does not.
type scene struct {
	in   *Input
	lead *incident.Finding
	// began is when it did, as far as is known.
	began time.Time
	// failing are the replicas of the findings that still exist, in the order of the workload; gone is true where others do not.
	failing []*cluster.Replica
	gone    bool
}

func newScene(in *Input, lead *incident.Finding) *scene {
	s := &scene{in: in, lead: lead, began: begin(in, lead)}
	of := func(r *cluster.Replica) func(incident.Finding) bool {
		return func(f incident.Finding) bool {
			return f.Replica == r.Name && (f.ReplicaUID == "" || r.UID == "" || f.ReplicaUID == r.UID)
		}
	}
	for i := range in.Workload.Replicas {
		if r := &in.Workload.Replicas[i]; slices.ContainsFunc(in.Findings, of(r)) {
			s.failing = append(s.failing, r)
		}
	}
	whole := false // the findings are about the workload itself
	for i := range in.Findings {
		f := &in.Findings[i]
		whole = whole || f.Replica == ""
		s.gone = s.gone || f.Replica != "" &&
			!slices.ContainsFunc(s.failing, func(r *cluster.Replica) bool { return of(r)(*f) })
	}
	if whole && lead.Kind == incident.RolloutStuck {
		for i := range in.Workload.Replicas {
			if r := &in.Workload.Replicas[i]; !r.Ready && !r.Deleting() && !slices.Contains(s.failing, r) {
				s.failing = append(s.failing, r)
			}
		}
	}
	return s
}

// begin returns when it began: a finding knows the newest death only, the evidence those before it.
func begin(in *Input, lead *incident.Finding) time.Time {
	if !in.Began.IsZero() {
		return in.Began
	}
	began := lead.Since
	for i := range in.Findings {
		if at := in.Findings[i].Since; at.Before(began) {
			began = at
		}
	}
	for i := range in.Evidence {
		e := &in.Evidence[i]
		if (e.Kind == incident.EvidenceTermination || e.Kind == incident.EvidenceStatus) && !e.At.IsZero() && e.At.Before(began) {
			began = e.At
		}
	}
	return began
}

// fails reports whether the replica is one of the failing.
func (s *scene) fails(r *cluster.Replica) bool { return slices.Contains(s.failing, r) }

// fine reports whether the replica is healthy.
func (s *scene) fine(r *cluster.Replica) bool { return r.Ready && !r.Deleting() && !s.fails(r) }
