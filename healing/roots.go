package healing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// followsFrom and isOver are the words of the timeline around the name of a root, by which it is found again after it was over.
const (
	followsFrom = "it follows from "
	isOver      = " is over: it is looked at for itself again"
)

// maxNames of members are named in one line of the timeline.
const maxNames = 5

// root keeps what the incident follows from: what the survey says, or the service that its log names and that is down.
func (p *pass) root(t *tracked) {
	if t.isNew() || t.inc.Kind.Notice() || p.aboutTool(t) {
		return
	}
	root, why := p.in.Climate.Roots[t.inc.Name], "it is told there for all that it concerns"
	if d, name := p.dependency(t); root == "" && d != nil {
		root, why = d.Root, "its log names the service "+name+", which has no ready endpoint"
	}
	if p.isOwn(root) {
		root = ""
	}
	switch {
	case root == t.inc.Root, root == "" && p.lasts(t.inc.Root):
		return
	case root == "":
		t.step(p.now, ReasonRootFound, t.inc.Root+isOver)
	default:
		t.step(p.now, ReasonRootFound, followsFrom+root+": "+why)
		t.announce(ReasonRootFound)
	}
	t.inc.Root = root
}

// followed returns the root that the incident had last, as its timeline tells; empty where it had none. What is stored names a root
// only while it lasts.
func followed(inc *incident.Incident) string {
	if inc.Root != "" {
		return inc.Root
	}
	for _, e := range slices.Backward(inc.Timeline) {
		if e.Reason != string(ReasonRootFound) {
			continue
		}
		if root, found := strings.CutSuffix(e.Message, isOver); found {
			return root
		}
		if rest, found := strings.CutPrefix(e.Message, followsFrom); found {
			root, _, _ := strings.Cut(rest, ": ")
			return root
		}
	}
	return ""
}

// dependency returns the service that is to blame and down, with its name; nil for none.
func (p *pass) dependency(t *tracked) (*Dependency, string) {
	if len(p.in.Climate.Down) == 0 {
		return nil, ""
	}
	c := p.cause(t)
	if c == nil || c.Blame.Dependency == "" {
		return nil, ""
	}
	d, down := p.in.Climate.Down[c.Blame.Dependency]
	if !down {
		return nil, ""
	}
	return &d, c.Blame.Dependency
}

// lasts reports whether the root is known to last: something that is down has it.
func (p *pass) lasts(root string) bool {
	if root == "" {
		return false
	}
	for _, d := range p.in.Climate.Down {
		if d.Root == root {
			return true
		}
	}
	for _, n := range p.in.Climate.Nodes {
		if n == root {
			return true
		}
	}
	return false
}

// isOwn reports whether the incident is one of the workload itself, which would wait for itself.
func (p *pass) isOwn(name string) bool {
	return slices.ContainsFunc(p.tracked, func(t *tracked) bool { return t.inc.Namespace+"/"+t.inc.Name == name })
}

// members takes in the workloads that fail because of this one, with one line for all that are new.
func (p *pass) members(t *tracked) {
	list := p.in.Climate.Dependents[t.inc.Name]
	var joined []string
	for _, m := range list {
		known := slices.ContainsFunc(t.inc.Members, func(o incident.Member) bool { return o.Workload.Same(m.Workload) })
		if !t.inc.Join(m) {
			continue
		}
		t.dirty = true
		if !known {
			joined = append(joined, m.Workload.String())
		}
	}
	if n := int32(len(list)); n > t.inc.MemberCount {
		t.inc.MemberCount, t.dirty = n, true
	}
	if len(joined) == 0 {
		return
	}
	names := strings.Join(joined[:min(len(joined), maxNames)], ", ")
	if more := len(joined) - maxNames; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	t.inc.Note(p.now, string(ReasonMemberJoined), "fails because of it: "+names)
	t.announce(ReasonMemberJoined)
}

// stoodFor reports whether the finding is told by another incident, so that it opens none: a node that is not ready stands for
// what ends on it, and a remediation for the eviction that it made.
func (p *pass) stoodFor(f *incident.Finding) bool {
	if _, down := p.in.Climate.Nodes[f.Node]; down && f.Node != "" {
		n, known := p.in.Nodes[f.Node]
		if f.Kind == incident.NodeNotReady || !known || !f.Since.Before(n.Since.Truncate(time.Second)) {
			return true
		}
	}
	if f.Kind != incident.Disrupted && f.Kind != incident.Evicted {
		return false
	}
	ours := false
	p.eachRemediation(func(r *incident.Remediation) {
		taken := r.Remedy == incident.RemedyRestart || r.Remedy == incident.RemedyQuarantine
		ours = ours || taken && r.Outcome != incident.DryRun && r.ReplicaUID == f.ReplicaUID && r.Replica == f.Replica
	})
	return ours
}
