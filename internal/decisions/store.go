// Package decisions keeps in memory what was decided last about every autoscaler, and serves it as JSON.
//
// It is what nothing else holds: the status of an Autoscaler has no observation, and a HorizontalPodAutoscaler that is only
// observed has no status of ours at all. Everything in it is bounded and is gone with the process; only the controller that acts has
// anything, and it never writes. The package reads no clock, decides nothing and knows no platform.
package decisions

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

// What is kept of one autoscaler, and for how long after its last decision.
const (
	MaxChanges = 20
	MaxReasons = 20
	Keep       = 15 * time.Minute
)

// Kinds of autoscalers.
const (
	KindAutoscaler = "Autoscaler"
	KindHPA        = "HorizontalPodAutoscaler"
)

// Entry is what is kept of one autoscaler. Its JSON is the contract of GET /decisions/NAMESPACE/KIND/NAME (docs/cli.md).
type Entry struct {
	Ref    cluster.Ref  `json:"ref"`
	Target cluster.Ref  `json:"target"`
	Mode   control.Mode `json:"mode"`
	Min    int32        `json:"minReplicas"`
	Max    int32        `json:"maxReplicas"`
	// Decision is the last one. One without Steps decided no number; its Reason and Message say why.
	Decision hpa.Recommendation `json:"lastDecision"`
	// Error of the write or the observation that the decision had; empty: there was none.
	Error string `json:"error,omitempty"`
	// Policy, Observation and History are what the decision was made from; the history is the one before it.
	Policy      hpa.Policy      `json:"policy"`
	Observation hpa.Observation `json:"observation"`
	History     hpa.History     `json:"historyBefore,omitzero"`
	// Changes of the number, newest first, at most MaxChanges.
	Changes []Change `json:"lastChanges,omitempty"`
	// Reasons that were given, each once, the latest first, at most MaxReasons.
	Reasons []Reason `json:"reasons,omitempty"`
	// Health says what the health rules did to the decision; nil where no number was decided. Get fills it in.
	Health *Health `json:"health,omitempty"`
}

// Decided reports whether the last pass came to a number.
func (e *Entry) Decided() bool { return len(e.Decision.Steps) > 0 }

// Change is one change of the number.
type Change struct {
	At   time.Time `json:"at"`
	From int32     `json:"from"`
	To   int32     `json:"to"`
	// Reason and Message of the decision.
	Reason  hpa.Reason `json:"reason"`
	Message string     `json:"message"`
	// Written is false for a change of mind of an autoscaler that only records: From and To are then two decided numbers.
	Written bool `json:"written"`
	// ID of the decision (cluster.DecisionID); empty where it did not differ from what the target asks for.
	ID string `json:"id,omitempty"`
}

// Reason is one reason, and when it was given.
type Reason struct {
	Reason hpa.Reason `json:"reason"`
	// First and Last time, and how many decisions in all.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int64     `json:"count"`
	// Message of the last decision with it.
	Message string `json:"message"`
}

// Store keeps the entries. Its zero value is not ready: see New. Safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	entries map[cluster.Ref]*kept
	leading bool
}

// kept is an entry with what is needed for the next one.
type kept struct {
	entry  Entry
	period time.Duration
}

// New returns an empty store of a controller that does not act yet.
func New() *Store { return &Store{entries: map[cluster.Ref]*kept{}} }

// Leading says whether this process acts. Entries of a time in which it did are dropped at both edges: they are nobody's word any more.
func (s *Store) Leading(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leading = yes
	clear(s.entries)
}

// Decided keeps a decision with all that it was made from, which must not be changed afterwards; err is that of the write or the
// observation. It is to be called with the decisions of one autoscaler in the order of their times.
func (s *Store) Decided(a control.Autoscaler, obs hpa.Observation, before hpa.History, rec hpa.Recommendation, err error) {
	key := a.Ref
	key.UID = ""
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.entries[key]
	if k == nil || k.entry.Ref.UID != a.Ref.UID {
		k = &kept{}
		s.entries[key] = k
	}
	last := &k.entry
	next := Entry{
		Ref: a.Ref, Target: a.Target, Mode: a.Mode, Min: a.Policy.Min, Max: a.Policy.Max,
		Decision: rec, Policy: a.Policy, Observation: obs, History: before,
		Changes: last.Changes, Reasons: last.Reasons,
	}
	if err != nil {
		next.Error = err.Error()
	}
	if c, ok := changed(last, &next); ok {
		next.Changes = append([]Change{c}, last.Changes[:min(len(last.Changes), MaxChanges-1)]...)
	}
	next.Reasons = counted(last.Reasons, &rec)
	k.entry, k.period = next, a.Period
}

// changed returns the change that the next entry made of the number: what was written, or a change of mind where nothing is written.
func changed(last, next *Entry) (Change, bool) {
	rec := &next.Decision
	c := Change{
		At: rec.At, From: rec.Current, To: rec.Desired, Reason: rec.Reason, Message: rec.Message, Written: true,
		ID: cluster.DecisionID(next.Ref, rec.At, rec.Current, rec.Desired),
	}
	if next.Mode == control.DryRun {
		c.Written = false
		if last.Decided() {
			c.From = last.Decision.Desired
		}
	}
	return c, next.Decided() && next.Error == "" && c.From != c.To
}

// counted returns the reasons with that of rec in front. The old slice stays as it is: readers may have it.
func counted(old []Reason, rec *hpa.Recommendation) []Reason {
	r := Reason{Reason: rec.Reason, First: rec.At}
	rest := make([]Reason, 1, len(old)+1)
	for _, o := range old {
		if o.Reason == rec.Reason {
			r = o
			continue
		}
		rest = append(rest, o)
	}
	r.Last, r.Message = rec.At, rec.Message
	r.Count++
	rest[0] = r
	return rest[:min(len(rest), MaxReasons)]
}

// Sweep drops the entries that had no decision for longer than Keep and their own period.
func (s *Store) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, k := range s.entries {
		if now.Sub(k.entry.Decision.At) > Keep+k.period {
			delete(s.entries, key)
		}
	}
}

// List returns every entry, sorted by namespace, kind and name, without Health; ok is false where this process does not act.
func (s *Store) List() (all []Entry, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.entries {
		all = append(all, k.entry)
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Ref.Namespace, b.Ref.Namespace), strings.Compare(a.Ref.Kind, b.Ref.Kind), strings.Compare(a.Ref.Name, b.Ref.Name))
	})
	return all, s.leading
}

// Get returns the entry of one autoscaler with its Health; found is false where there is none, ok where this process does not act.
func (s *Store) Get(namespace, kind, name string) (e Entry, found, ok bool) {
	s.mu.Lock()
	k := s.entries[cluster.Ref{Kind: kind, Namespace: namespace, Name: name}]
	if k != nil {
		e = k.entry
	}
	ok = s.leading
	s.mu.Unlock()
	if k == nil {
		return Entry{}, false, ok
	}
	if e.Decided() {
		e.Health = Explain(e.Policy, e.Observation, e.History, &e.Decision)
	}
	return e, true, ok
}
