package adopt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// fake is one namespace with a controller in it: an HPA, a target, and the Autoscaler once there is one. It is the fake of
// every interface, by way of the types below.
type fake struct {
	mu         sync.Mutex
	version    int
	native     *autoscalingv2.HorizontalPodAutoscaler
	autoscaler *v1alpha1.Autoscaler
	replicas   int32
	log        []string

	// desired is what the Autoscaler would decide; 0: as the target has it.
	desired int32
	// idle is true where no controller runs; deaf where it stops when the HPA is gone.
	idle, deaf bool
	// busy is how often the HPA's status is written between the reading and the deletion.
	busy int
	// changes the HPA's spec when the Autoscaler becomes active.
	meddle bool
	// refuse fails the call of that name ("create hpa"), dry or not as it says.
	refuse map[string]bool
}

func newFake(t *testing.T) *fake {
	t.Helper()
	return &fake{native: native(t, webHPA), replicas: 3, version: 10, refuse: map[string]bool{}}
}

func (f *fake) swap(out *bytes.Buffer) *Swap {
	return &Swap{Cluster: Cluster{Natives: natives{f}, Autoscalers: autoscalers{f}, Targets: f}, Name: "web", Out: out}
}

func (f *fake) next() string {
	f.version++
	return fmt.Sprint(f.version)
}

// call notes a call and fails it where that is wanted. The lock must be held.
func (f *fake) call(name string, dry []string) error {
	if len(dry) > 0 {
		name = "dry " + name
	} else {
		f.log = append(f.log, name)
	}
	if f.refuse[name] {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "web", errors.New(name+" is not allowed"))
	}
	return nil
}

func notFound() error { return apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "web") }

func conflict() error {
	return apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "web", errors.New("changed"))
}

// Replicas is the target's number.
func (f *fake) Replicas(context.Context, autoscalingv2.CrossVersionObjectReference) (int32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replicas, nil
}

// control does what the controller would do by now. The lock must be held.
func (f *fake) control() {
	a := f.autoscaler
	if a == nil || f.idle || f.deaf && f.native == nil {
		return
	}
	desired := f.desired
	if desired == 0 {
		desired = f.replicas
	}
	accepted := metav1.Condition{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: "Accepted"}
	a.Status.LastDecision = &v1alpha1.Decision{Current: f.replicas, Desired: desired, Reason: "WithinTolerance", Message: "cpu is at work"}
	active := metav1.Condition{Type: v1alpha1.ConditionScalingActive, Status: metav1.ConditionTrue, Reason: "ValidMetricFound"}
	if a.Spec.Mode == v1alpha1.ModeActive {
		if f.native != nil {
			accepted.Status, accepted.Reason = metav1.ConditionFalse, "AmbiguousTarget"
			active.Status, active.Reason = metav1.ConditionFalse, "AmbiguousTarget"
		} else {
			f.replicas = desired
		}
	}
	meta.SetStatusCondition(&a.Status.Conditions, accepted)
	meta.SetStatusCondition(&a.Status.Conditions, active)
	a.Status.ObservedGeneration = a.Generation
	a.ResourceVersion = f.next()
}

type natives struct{ *fake }

func (n natives) Get(context.Context, string, metav1.GetOptions) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.native == nil {
		return nil, notFound()
	}
	return n.native.DeepCopy(), nil
}

func (n natives) Create(_ context.Context, h *autoscalingv2.HorizontalPodAutoscaler, o metav1.CreateOptions) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.call("create hpa", o.DryRun); err != nil {
		return nil, err
	}
	switch {
	case h.ResourceVersion != "" || h.UID != "":
		return nil, errors.New("resourceVersion should not be set on objects to be created")
	case n.native != nil && h.Name == n.native.Name:
		return nil, apierrors.NewAlreadyExists(schema.GroupResource{}, "web")
	case len(o.DryRun) > 0:
		return h, nil
	}
	n.native = h.DeepCopy()
	n.native.UID, n.native.ResourceVersion = "u2", n.next()
	return n.native.DeepCopy(), nil
}

func (n natives) Delete(_ context.Context, _ string, o metav1.DeleteOptions) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.call("delete hpa", o.DryRun); err != nil || len(o.DryRun) > 0 {
		return err
	}
	if n.busy > 0 {
		n.busy--
		n.native.ResourceVersion = n.next()
	}
	if *o.Preconditions.UID != n.native.UID || *o.Preconditions.ResourceVersion != n.native.ResourceVersion {
		return conflict()
	}
	n.native = nil
	return nil
}

type autoscalers struct{ *fake }

func (a autoscalers) Get(context.Context, string, metav1.GetOptions) (*v1alpha1.Autoscaler, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.autoscaler == nil {
		return nil, notFound()
	}
	a.control()
	return a.autoscaler.DeepCopy(), nil
}

func (a autoscalers) Create(_ context.Context, o *v1alpha1.Autoscaler, opts metav1.CreateOptions) (*v1alpha1.Autoscaler, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.call("create autoscaler "+string(o.Spec.Mode), opts.DryRun); err != nil || len(opts.DryRun) > 0 {
		return nil, err
	}
	a.autoscaler = o.DeepCopy()
	a.autoscaler.UID, a.autoscaler.ResourceVersion, a.autoscaler.Generation = "a1", a.next(), 1
	return a.autoscaler.DeepCopy(), nil
}

func (a autoscalers) Update(_ context.Context, o *v1alpha1.Autoscaler, _ metav1.UpdateOptions) (*v1alpha1.Autoscaler, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.call("update autoscaler "+string(o.Spec.Mode), nil); err != nil {
		return nil, err
	}
	if o.ResourceVersion != a.autoscaler.ResourceVersion {
		return nil, conflict()
	}
	if a.meddle {
		a.native.Spec.MaxReplicas++
		a.native.ResourceVersion = a.next()
	}
	a.autoscaler = o.DeepCopy()
	a.autoscaler.Generation++
	a.autoscaler.ResourceVersion = a.next()
	return a.autoscaler.DeepCopy(), nil
}

func (a autoscalers) Delete(_ context.Context, _ string, o metav1.DeleteOptions) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.call("delete autoscaler", o.DryRun); err != nil {
		return err
	}
	if *o.Preconditions.UID != a.autoscaler.UID {
		return conflict()
	}
	a.autoscaler = nil
	return nil
}

func TestSwap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.busy = 3 // the HPA's own controller goes on writing its status
		var out bytes.Buffer
		if err := f.swap(&out).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.native != nil || f.autoscaler == nil || f.autoscaler.Spec.Mode != v1alpha1.ModeActive || f.replicas != 3 {
			t.Errorf("after the swap: hpa %v, autoscaler %+v, %d replicas", f.native, f.autoscaler, f.replicas)
		}
		if got := f.autoscaler.Annotations[FromAnnotation]; got != "hpa/web u1" {
			t.Errorf("the Autoscaler says that it was made from %q", got)
		}
		want := []string{
			"checked: the Autoscaler would be accepted, and the HPA could be deleted and put back",
			"created autoscaler/web in mode DryRun",
			"autoscaler/web decides: it asks for 3 replicas, the target has 3 (WithinTolerance)",
			"deleted hpa/web",
			"autoscaler/web scales now: 3 replicas before, 3 after (WithinTolerance: cpu is at work)",
		}
		if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("it said:\n%s", out.String())
		}
		// At no time were there neither of the two, nor two that write.
		calls := strings.Join(f.log, ", ")
		if calls != "create autoscaler DryRun, update autoscaler Active, delete hpa, delete hpa, delete hpa, delete hpa" {
			t.Errorf("the calls were: %s", calls)
		}
	})
}

func TestWhatGoesWrongLeavesTheHPA(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		change   func(*fake)
		want     string // in the error
		recreate bool   // the HPA was gone in between
	}{
		{name: "the Autoscaler is not accepted", change: func(f *fake) { f.refuse["dry create autoscaler DryRun"] = true }, want: "check that autoscaler/web would be accepted"},
		{name: "the HPA could not be put back", change: func(f *fake) { f.refuse["dry create hpa"] = true }, want: "check that hpa/web could be put back"},
		{name: "the HPA could not be deleted", change: func(f *fake) { f.refuse["dry delete hpa"] = true }, want: "check that hpa/web could be deleted"},
		{name: "the spec is not valid", change: func(f *fake) { f.native.Spec.MaxReplicas = 1 }, want: "would be refused: spec.maxReplicas"},
		{name: "no controller runs", change: func(f *fake) { f.idle = true }, want: "does Homeostat run"},
		{name: "the number would change", change: func(f *fake) { f.desired = 7 }, want: "from 3 to 7"},
		{name: "the mode cannot be set", change: func(f *fake) { f.refuse["update autoscaler Active"] = true }, want: "set spec.mode"},
		{name: "the deletion is refused", change: func(f *fake) { f.refuse["delete hpa"] = true }, want: "delete hpa/web"},
		{name: "the HPA is changed meanwhile", change: func(f *fake) { f.meddle = true }, want: "hpa/web was changed meanwhile"},
		{name: "the HPA is written again and again", change: func(f *fake) { f.busy = 100 }, want: "again and again"},
		{name: "the controller dies in between", change: func(f *fake) { f.deaf = true }, want: "does not decide", recreate: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				tt.change(f)
				spec := f.native.Spec.DeepCopy()
				var out bytes.Buffer
				err := f.swap(&out).Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error is %v, want %q", err, tt.want)
				}
				if f.autoscaler != nil {
					t.Error("an Autoscaler is left")
				}
				if f.native == nil {
					t.Fatal("the HPA is gone")
				}
				if f.meddle {
					spec.MaxReplicas++
				}
				if f.native.Spec.MaxReplicas != spec.MaxReplicas || len(f.native.Spec.Metrics) != len(spec.Metrics) {
					t.Errorf("the HPA is another now: %+v", f.native.Spec)
				}
				if was := f.native.UID != types.UID("u1"); was != tt.recreate || was != strings.Contains(out.String(), "put hpa/web back") {
					t.Errorf("the HPA was made anew: %v; it said:\n%s", was, out.String())
				}
			})
		})
	}
}

func TestAnInterruptPutsTheHPABack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.deaf = true // so that it waits for the Autoscaler once the HPA is gone
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := f.swap(&bytes.Buffer{}).Run(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || f.native == nil || f.autoscaler != nil {
			t.Errorf("after an interrupt: %v; hpa %v, autoscaler %v", err, f.native, f.autoscaler)
		}
	})
}

func TestAJumpIsUndone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		s := f.swap(&bytes.Buffer{})
		s.Cluster.Natives = jumping{natives{f}}
		err := s.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the number of replicas went from 3 to 9") || f.native == nil || f.autoscaler != nil {
			t.Errorf("after a jump: %v; hpa %v, autoscaler %v", err, f.native, f.autoscaler)
		}
		f = newFake(t)
		s = f.swap(&bytes.Buffer{})
		s.Cluster.Natives, s.AllowChange = jumping{natives{f}}, true
		if err := s.Run(t.Context()); err != nil || f.native != nil || f.replicas != 9 {
			t.Errorf("a change that is allowed: %v; hpa %v, %d replicas", err, f.native, f.replicas)
		}
	})
}

// jumping has the Autoscaler decide for another number once the HPA is gone.
type jumping struct{ natives }

func (j jumping) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	if len(o.DryRun) == 0 {
		j.desired = 9
	}
	return j.natives.Delete(ctx, name, o)
}

func TestADeletionOfUnknownOutcomeIsUndone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		s := f.swap(&bytes.Buffer{})
		s.Cluster.Natives = cutOff{natives{f}}
		err := s.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "connection reset") || f.native == nil || f.autoscaler != nil {
			t.Errorf("after a deletion whose answer was lost: %v; hpa %v, autoscaler %v", err, f.native, f.autoscaler)
		}
	})
}

// cutOff loses the answer to the deletion.
type cutOff struct{ natives }

func (c cutOff) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	err := c.natives.Delete(ctx, name, o)
	if len(o.DryRun) == 0 {
		return errors.New("connection reset")
	}
	return err
}

func TestAnHPAThatCannotBePutBackIsPrinted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.deaf, f.refuse["create hpa"] = true, true
		err := f.swap(&bytes.Buffer{}).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "put hpa/web back") || !strings.Contains(err.Error(), "averageUtilization: 60") {
			t.Errorf("error is %v, want one with the HPA in it", err)
		}
		if f.autoscaler == nil {
			t.Error("the Autoscaler was taken away although nothing else scales")
		}
	})
}

func TestASwapThatWasCutOffGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		left := For(f.native).Autoscaler
		left.UID, left.Generation, left.ResourceVersion, left.Spec.Mode = "a0", 4, "4", v1alpha1.ModeActive
		left.Annotations = map[string]string{FromAnnotation: "hpa/web u1"}
		f.autoscaler = left
		if err := f.swap(&bytes.Buffer{}).Run(t.Context()); err != nil || f.native != nil || f.autoscaler.UID != "a0" {
			t.Errorf("going on with what an earlier swap left: %v; hpa %v", err, f.native)
		}
		f = newFake(t)
		f.autoscaler = For(f.native).Autoscaler
		err := f.swap(&bytes.Buffer{}).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "autoscaler/web exists already") || f.native == nil || f.autoscaler == nil || len(f.log) > 0 {
			t.Errorf("somebody else's Autoscaler: %v, calls %v", err, f.log)
		}
	})
}
