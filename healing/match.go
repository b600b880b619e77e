package healing

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// match gives every finding to the incident that it belongs to, opening new ones. What a resolved incident has counted
// belongs to nobody: it is over.
func (p *pass) match(found []incident.Finding) {
	for i := range p.in.Incidents {
		if stored := &p.in.Incidents[i]; stored.State.Active() {
			p.tracked = append(p.tracked, &tracked{inc: stored.Clone(), forgotten: stored.ForgottenUntil})
		}
	}
	// The oldest first, so that of two incidents with one cause (which two leaders can make) one gets everything.
	slices.SortStableFunc(p.tracked, func(a, b *tracked) int { return a.inc.OpenedAt.Compare(b.inc.OpenedAt) })
	for _, f := range sorted(found) {
		t, known := p.ownerOf(&f)
		switch {
		case t == nil && (known || p.stoodFor(&f)), !known && f.Kind == incident.Unschedulable && p.stoodFor(&f):
			continue
		case t == nil:
			t = p.open(&f)
			p.tracked = append(p.tracked, t)
		}
		t.findings = append(t.findings, f)
		if !known {
			p.count(t, &f)
		}
	}
}

// ownerOf returns the active incident that the finding belongs to, and whether the occurrence is counted already. With
// nil and true it belongs to a resolved one, with nil and false to none.
func (p *pass) ownerOf(f *incident.Finding) (t *tracked, known bool) {
	for _, t := range p.tracked {
		if t.inc.Knows(f.Fingerprint) {
			return t, true
		}
	}
	for i := range p.in.Incidents {
		if r := &p.in.Incidents[i]; !r.State.Active() && over(r, f) {
			return nil, true
		}
	}
	for _, related := range []bool{false, true} {
		for _, t := range p.tracked {
			if p.belongs(t, f, related) {
				return t, !f.Since.After(t.forgotten)
			}
		}
	}
	return nil, false
}

// belongs reports whether the finding is of the incident's kind and container, or with related of its cause.
func (p *pass) belongs(t *tracked, f *incident.Finding, related bool) bool {
	if detect.OfTool(p.in.Workload, f) != p.aboutTool(t) {
		return false
	}
	if related && p.explains(t, f) {
		return true
	}
	if t.inc.Container() != f.Container && t.inc.Kind != incident.RolloutStuck {
		return false
	}
	return t.inc.Kind == f.Kind || related && sameCause(t.inc.Kind, f.Kind)
}

// explains reports whether the incident is the deeper reason of a rollout that is stuck.
func (p *pass) explains(t *tracked, f *incident.Finding) bool {
	return f.Kind == incident.RolloutStuck && stalls(t.inc.Kind) && len(t.findings) > 0
}

// over reports whether the resolved incident has counted the occurrence. A forecast is the same occurrence for a whole life of the
// container; one that holds again after its incident was resolved is news.
func over(r *incident.Incident, f *incident.Finding) bool {
	if f.Kind.Forecast() && f.Active {
		return false
	}
	if r.Knows(f.Fingerprint) {
		return true
	}
	forgotten := !f.Since.After(r.ForgottenUntil)
	return forgotten && !f.Active && sameCause(r.Kind, f.Kind) && r.Container() == f.Container
}

// open makes the incident that the finding is the first of.
func (p *pass) open(f *incident.Finding) *tracked {
	t := &tracked{inc: incident.Incident{
		Namespace: p.in.Workload.Ref.Namespace,
		Name:      p.name(f),
		Workload:  p.in.Workload.Ref,
		Kind:      f.Kind,
		State:     incident.Open,
		Policy:    p.in.Policy.Name,
		OpenedAt:  p.now,
		StartedAt: f.Since,
	}}
	return t
}

// count adds an occurrence that was not counted before.
func (p *pass) count(t *tracked, f *incident.Finding) {
	n := p.deathsSince(f)
	t.fresh = append(t.fresh, *f)
	t.inc.Count(f.Fingerprint, f.Since, n)
	if f.Replica != "" || len(t.inc.Subjects) == 0 { // what is about the workload itself does not change which container it is
		t.inc.Concern(incident.Subject{
			Replica: f.Replica, UID: f.ReplicaUID, Node: f.Node, Container: f.Container, At: f.Since, Restarts: f.Restarts,
			Deaths: f.Deaths,
		})
	}
	if f.Since.Before(t.inc.StartedAt) {
		t.inc.StartedAt = f.Since
	}
	t.dirty = true
}

// deathsSince returns how many deaths the finding stands for: those of the container since the last one that any
// incident has counted. The platform shows one or two, so deaths between two looks are told by their number alone. Where
// nothing was counted, only deaths that must be recent are: all of a young replica, or one before a life that began
// within the horizon.
func (p *pass) deathsSince(f *incident.Finding) int32 {
	if f.Deaths <= 1 {
		return 1
	}
	var counted int32
	look := func(i *incident.Incident) {
		for j := range i.Subjects {
			if s := &i.Subjects[j]; s.UID == f.ReplicaUID && s.Replica == f.Replica && s.Container == f.Container {
				counted = max(counted, s.Deaths)
			}
		}
	}
	full := false // replicas were counted that are not listed any more
	for i := range p.in.Incidents {
		look(&p.in.Incidents[i])
		full = full || len(p.in.Incidents[i].Subjects) == incident.MaxSubjects
	}
	for _, t := range p.tracked {
		look(&t.inc)
	}
	recent := func(at time.Time) bool { return !at.IsZero() && p.now.Sub(at) <= detect.Horizon }
	switch {
	case counted > 0:
		return max(f.Deaths-counted, 1)
	case full:
		return 1
	case recent(p.createdAt(f)):
		return f.Deaths
	case f.Death != nil && recent(f.Death.StartedAt):
		return 2
	default:
		return 1
	}
}

func (p *pass) createdAt(f *incident.Finding) time.Time {
	if r := p.replica(f.ReplicaUID, f.Replica); r != nil {
		return r.CreatedAt
	}
	return time.Time{}
}

// maxLabel is the longest DNS-1123 label.
const maxLabel = 63

// name returns the name of the incident that begins with the finding: workload, kind and a hash of the first
// fingerprint, so that two leaders that see the same failure make the same name, and the second one conflicts.
func (p *pass) name(f *incident.Finding) string {
	for n := 0; ; n++ {
		seed := p.in.Workload.Ref.Kind + "/" + f.Fingerprint
		if n > 0 {
			seed += "/" + strconv.Itoa(n)
		}
		name := IncidentName(p.in.Workload.Ref, f.Kind, seed)
		taken := slices.ContainsFunc(p.in.Incidents, func(i incident.Incident) bool { return i.Name == name }) ||
			slices.ContainsFunc(p.tracked, func(t *tracked) bool { return t.inc.Name == name })
		if !taken {
			return name
		}
	}
}

// IncidentName returns the name of an incident: workload, kind and a hash of the seed, so that two leaders that see the same
// failure make the same name, and the second one conflicts.
func IncidentName(w cluster.Ref, k incident.Kind, seed string) string {
	end := "-" + strings.ToLower(string(k)) + "-" + shortHash(seed)
	head := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, w.Name)
	head = strings.Trim(head[:min(len(head), maxLabel-len(end))], "-")
	if head == "" {
		head = "workload"
	}
	return head + end
}

// shortHash is long enough to tell the causes of one workload apart: 40 bits.
func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:5])
}
