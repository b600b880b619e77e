package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// The reasons of an autoscaler that gives way to somebody else, and of the condition Conflict.
const (
	// reasonAmbiguous: the target is scaled by another object too.
	reasonAmbiguous = "AmbiguousTarget"
	// reasonOtherController: another controller writes the status of a HorizontalPodAutoscaler that is to be managed.
	reasonOtherController = "OtherController"
	// reasonReverted: somebody writes the target's number of replicas back.
	reasonReverted = "ReplicasReverted"
	// reasonApplied: the target's number of replicas is given by a server-side apply. Only a warning: the next apply may
	// never come.
	reasonApplied = "ReplicasApplied"
	// reasonNoConflict: a conflict is over.
	reasonNoConflict = "NoConflict"
)

// conditionConflict is the type of the condition that is true while somebody else has a say in the number of replicas.
const conditionConflict = "Conflict"

// The rules of giving way. Two numbers that somebody else wrote over ours, not further apart than revertWindow, and nothing
// is written for firstHold; each further time that it comes to this, twice as long.
const (
	maxReverts   = 2
	revertWindow = 5 * time.Minute
	firstHold    = 5 * time.Minute
	longestHold  = time.Hour
)

// contests remembers what became of the numbers that were written. Safe for concurrent use; make one with newContests.
type contests struct {
	mu      sync.Mutex
	targets map[string]*contest // by workloadKey
}

// contest is the struggle for one target.
type contest struct {
	touched time.Time // last
	wrote   int32
	wroteAt time.Time // zero once it is known what became of the write
	reverts []time.Time
	hold    time.Duration
	until   time.Time
	message string
}

func newContests() *contests { return &contests{targets: map[string]*contest{}} }

// wrote notes a write.
func (c *contests) wrote(key string, replicas int32, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.targets { // those that say nothing any more
		if now.Sub(e.touched) > 2*longestHold {
			delete(c.targets, k)
		}
	}
	e := c.targets[key]
	if e == nil {
		e = &contest{}
		c.targets[key] = e
	}
	e.wrote, e.wroteAt, e.touched = replicas, now, now
}

// overwritten reports whether the number is not the one that was last written, a while ago at most.
func (c *contests) overwritten(key string, current int32, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.targets[key]
	return e != nil && !e.wroteAt.IsZero() && now.Sub(e.wroteAt) <= revertWindow && e.wrote != current
}

// tookAway reports whether the number that was last written, a while ago at most, is zero.
func (c *contests) tookAway(key string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.targets[key]
	return e != nil && !e.wroteAt.IsZero() && now.Sub(e.wroteAt) <= revertWindow && e.wrote == 0
}

// reverted notes that somebody wrote over the last write. It returns true where nothing is to be written from now on, with
// what say makes of it.
func (c *contests) reverted(key string, now time.Time, say func(wrote int32, until time.Time) string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.targets[key]
	if e == nil {
		return false
	}
	e.wroteAt, e.touched = time.Time{}, now
	e.reverts = slices.DeleteFunc(e.reverts, func(at time.Time) bool { return now.Sub(at) > revertWindow })
	e.reverts = append(e.reverts, now)
	if len(e.reverts) < maxReverts {
		return false
	}
	if now.Sub(e.until) > e.hold+revertWindow {
		e.hold = 0 // the last time is long over
	}
	e.hold = min(max(2*e.hold, firstHold), longestHold)
	e.until, e.reverts = now.Add(e.hold), nil
	e.message = say(e.wrote, e.until)
	return true
}

// held returns why nothing is to be written, empty where it may.
func (c *contests) held(key string, now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.targets[key]; e != nil && now.Before(e.until) {
		return e.message
	}
	return ""
}

// holdContested makes the autoscaler invalid while somebody writes its target's number of replicas back.
func (p *Platform) holdContested(a *control.Autoscaler, now time.Time) {
	if a.Invalid != "" {
		return
	}
	if why := p.contests.held(workloadKey(a.Target), now); why != "" {
		a.Invalid, a.InvalidReason = why, reasonReverted
	}
}

// contested looks, before a write, at what became of the last one. The view may lag, so that what looks like somebody
// else's write is asked for once more. control.ErrConflict if nothing is to be written now.
func (p *Platform) contested(ctx context.Context, t write.Target, current int32, now time.Time) error {
	key := workloadKey(t.Ref)
	if !p.contests.overwritten(key, current, now) {
		return nil
	}
	s, err := p.writer.GetScale(ctx, t)
	if err != nil {
		return err //nolint:wrapcheck // it names the target
	}
	if s.Spec.Replicas != current {
		return fmt.Errorf("scale %s: it asks for %d replicas, not %d: %w", t.Ref, s.Spec.Replicas, current, control.ErrConflict)
	}
	by := "somebody"
	if w, ok := p.otherWriter(t, func(view.FieldWriter) bool { return true }); ok {
		by = w.Manager
	}
	held := p.contests.reverted(key, now, func(wrote int32, until time.Time) string {
		return fmt.Sprintf("%s set spec.replicas of %s to %d after it had been scaled to %d, for the second time within %d minutes: "+
			"nothing is written until %s; %s", by, t.Ref, current, wrote, int(revertWindow.Minutes()), until.UTC().Format(time.RFC3339), advice(by))
	})
	if held { // the next pass finds the autoscaler invalid, and says why
		return fmt.Errorf("scale %s: %s: %w", t.Ref, p.contests.held(key, now), control.ErrConflict)
	}
	return nil
}

// otherWriter returns who else last wrote the target's number of replicas, of those that are wanted. Only targets that are
// watched tell.
func (p *Platform) otherWriter(t write.Target, want func(view.FieldWriter) bool) (view.FieldWriter, bool) {
	var last view.FieldWriter
	if !fromView(t) {
		return last, false
	}
	o, ok := p.owner(t.Ref)
	if !ok {
		return last, false
	}
	for _, w := range o.ReplicasWriters {
		if w.Manager != write.FieldManager && want(w) && !w.At.Before(last.At) {
			last = w
		}
	}
	return last, last.Manager != ""
}

// advice says what ends the struggle with a manager.
func advice(manager string) string {
	const manifest = "leave spec.replicas out of the manifest"
	switch {
	case strings.Contains(manager, "argocd"):
		return manifest + ", or give the Application ignoreDifferences for /spec/replicas and the sync option RespectIgnoreDifferences=true"
	case manager == "kustomize-controller", manager == "flux":
		return manifest + " that Flux applies"
	case manager == "helm" || manager == "helm-controller":
		return "leave spec.replicas out of the chart's template where it is autoscaled"
	default:
		return manifest + " that is applied, or let only one scale the target"
	}
}

// withConflict adds the condition Conflict to those of the recommendation: true while there is one, false once one is over.
func (p *Platform) withConflict(s scaler, a control.Autoscaler, rec hpa.Recommendation) hpa.Recommendation {
	c := hpa.Condition{Type: conditionConflict, Status: true, Reason: a.InvalidReason, Message: a.Invalid}
	applied := func(w view.FieldWriter) bool { return w.Applied }
	switch {
	case a.InvalidReason == reasonAmbiguous || a.InvalidReason == reasonReverted:
	case a.Mode == control.Active:
		if w, is := p.otherWriter(s.target, applied); is {
			c.Reason = reasonApplied
			c.Message = fmt.Sprintf("spec.replicas of %s was applied by %s, whose next apply may set it back: %s", a.Target, w.Manager, advice(w.Manager))
			break
		}
		fallthrough
	default:
		if !meta.IsStatusConditionTrue(s.own.Status.Conditions, conditionConflict) {
			return rec
		}
		c = hpa.Condition{Type: conditionConflict, Reason: reasonNoConflict, Message: "nothing else writes the number of replicas"}
	}
	rec.Conditions = append(slices.Clone(rec.Conditions), c)
	return rec
}
