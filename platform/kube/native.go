package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// kindNative is the kind of an autoscaler that is a HorizontalPodAutoscaler.
const kindNative = "HorizontalPodAutoscaler"

// NativeMode says what is done about the HorizontalPodAutoscalers of the cluster.
type NativeMode string

// The choices of NativeMode.
const (
	NativeObserve NativeMode = "Observe" // decided as if it were an Autoscaler in DryRun; nothing is written
	NativeManage  NativeMode = "Manage"  // scaled, and reported in its status, as Kubernetes' own controller does
	NativeOff     NativeMode = "Off"     // none is listed
)

// scaler is the object behind a control.Autoscaler: an Autoscaler or a HorizontalPodAutoscaler.
type scaler struct {
	target write.Target
	own    *v1alpha1.Autoscaler // nil for a HorizontalPodAutoscaler
	native *view.NativeHPA      // nil for an Autoscaler
}

// scaler returns the object as the informer shows it. control.ErrConflict if it is gone.
func (p *Platform) scaler(a control.Autoscaler) (scaler, error) {
	if a.Ref.Kind == kindNative {
		n, ok := named[*view.NativeHPA](p.feeds.natives, a.Ref.Namespace, a.Ref.Name, nil)
		if !ok || n.UID != a.Ref.UID {
			return scaler{}, fmt.Errorf("find %s: it is gone: %w", a.Ref, control.ErrConflict)
		}
		return scaler{target: write.Target{APIVersion: n.TargetAPIVersion, Ref: a.Target}, native: n}, nil
	}
	o, ok := named[*v1alpha1.Autoscaler](p.feeds.autoscalers, a.Ref.Namespace, a.Ref.Name, nil)
	if !ok || string(o.UID) != a.Ref.UID {
		return scaler{}, fmt.Errorf("find %s: it is gone: %w", a.Ref, control.ErrConflict)
	}
	return scaler{target: write.Target{APIVersion: o.Spec.ScaleTargetRef.APIVersion, Ref: a.Target}, own: o}, nil
}

// scaledToZero reports whether the status says that a decision took the target to zero replicas.
func (s *scaler) scaledToZero() bool {
	if s.native != nil {
		return s.native.ScaledToZero()
	}
	return meta.IsStatusConditionTrue(s.own.Status.Conditions, hpa.ScaledToZero)
}

// nativeAutoscaler returns what a HorizontalPodAutoscaler means: an Autoscaler in DryRun, or with NativeManage one that
// writes, if no other controller does.
func (p *Platform) nativeAutoscaler(n *view.NativeHPA, now time.Time) control.Autoscaler {
	rule := p.natives.rule(n)
	a := control.Autoscaler{
		Ref:        cluster.Ref{Kind: kindNative, Namespace: n.Namespace, Name: n.Name, UID: n.UID},
		Generation: n.Generation, Mode: control.DryRun, Policy: rule.policy,
		Target:  cluster.Ref{Kind: n.TargetKind, Namespace: n.Namespace, Name: n.TargetName},
		Invalid: rule.invalid,
	}
	if a.Invalid != "" {
		a.InvalidReason = string(control.ReasonInvalidSpec)
	}
	if p.opts.NativeHPAs != NativeManage {
		return a
	}
	a.Mode = control.Active
	if other, until := p.natives.rival(n, now); now.Before(until) {
		a.InvalidReason = reasonOtherController
		a.Invalid = fmt.Sprintf("%s wrote the status at %s, so that another controller scales it: only one may; switch that one off "+
			"(kube-controller-manager: --controllers=*,-horizontal-pod-autoscaler-controller) or set nativeHPAs to Observe; "+
			"looked at again at %s if it writes no more",
			other.Manager, other.At.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
	}
	return a
}

// reportNative writes the status of a HorizontalPodAutoscaler that is managed. Nothing is written to one that is observed, or
// that another controller writes.
func (p *Platform) reportNative(ctx context.Context, n *view.NativeHPA, o write.Outcome) error {
	if p.opts.NativeHPAs != NativeManage {
		return nil
	}
	if o.Autoscaler.InvalidReason == reasonOtherController {
		if p.natives.sayRival(n.UID) {
			p.writer.SayNative(n, corev1.EventTypeWarning, reasonOtherController, o.Autoscaler.Invalid)
		}
		return nil
	}
	wrote, err := p.writer.ReportNative(ctx, n, o)
	if wrote {
		p.natives.wrote(n.UID, time.Now())
	}
	return err //nolint:wrapcheck // it names the object
}

// nativeGone forgets a HorizontalPodAutoscaler that was deleted.
func (p *Platform) nativeGone(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if n, ok := obj.(*view.NativeHPA); ok {
		p.natives.forget(n.UID)
		p.writer.ForgetNative(n.Namespace, n.Name)
	}
}

// natives remembers what the specs of HorizontalPodAutoscalers mean and who writes their status. Safe for concurrent use.
type natives struct {
	mu      sync.Mutex
	entries map[string]*nativeEntry // by UID
}

type nativeEntry struct {
	version string // of the object that the rule was made from
	rule    scalingRule
	// written is when this process last wrote the status, lost the own write after which another controller's write was last
	// seen, and losses how often that happened.
	written, lost time.Time
	losses        int
	said          bool // that another controller writes
}

// The wait after another controller's last write of a status, before it counts as switched off: Kubernetes' own writes at
// least when a value has changed, so within a sync period of 15 s, seldom later. Each time that this proves wrong it is
// doubled.
const (
	firstQuiet   = 2 * time.Minute
	longestQuiet = time.Hour
)

func newNatives() *natives { return &natives{entries: map[string]*nativeEntry{}} }

// of returns the entry; the lock must be held.
func (n *natives) of(uid string) *nativeEntry {
	e := n.entries[uid]
	if e == nil {
		e = &nativeEntry{}
		n.entries[uid] = e
	}
	return e
}

// rule returns what the spec means, with every health rule on that its annotation does not switch off.
func (n *natives) rule(h *view.NativeHPA) scalingRule {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.of(h.UID)
	if e.version == h.Version && e.version != "" {
		return e.rule
	}
	e.version, e.rule = h.Version, scalingRule{}
	spec := policy.FromHPA(h.Spec)
	var err error
	if spec.Health, err = policy.HealthOff(h.HealthOff); err == nil {
		e.rule.policy, err = policy.Autoscaling(&spec)
	}
	if err != nil {
		e.rule.invalid = err.Error()
	}
	return e.rule
}

// rival returns who else wrote the status last, and until when that means that it still does.
func (n *natives) rival(h *view.NativeHPA, now time.Time) (other view.FieldWriter, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.of(h.UID)
	own := e.written
	for _, w := range h.StatusWriters {
		switch {
		case w.Manager == write.FieldManager:
			own = later(own, w.At)
		case w.At.After(other.At):
			other = w
		}
	}
	if other.Manager == "" {
		return other, time.Time{}
	}
	own = own.Truncate(time.Second) // as managedFields has it
	if !own.IsZero() && other.At.After(own) && !e.lost.Equal(own) {
		e.lost = own
		e.losses++
	}
	quiet := firstQuiet
	for range e.losses {
		quiet = min(2*quiet, longestQuiet)
	}
	until = other.At.Add(quiet)
	if !now.Before(until) {
		e.said = false
	}
	return other, until
}

// wrote notes that this process wrote the status.
func (n *natives) wrote(uid string, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of(uid).written = now
}

// sayRival reports whether it is still to be said that another controller writes.
func (n *natives) sayRival(uid string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.of(uid)
	first := !e.said
	e.said = true
	return first
}

// forget drops what is remembered of an object that is gone.
func (n *natives) forget(uid string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.entries, uid)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
