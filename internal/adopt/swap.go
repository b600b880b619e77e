package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/policy"
)

const (
	fieldManager = "homeostat-adopt"
	// DefaultTimeout is how long the Autoscaler may take until it decides as the HorizontalPodAutoscaler does.
	DefaultTimeout = 2 * time.Minute
	// takeOver is how long the Autoscaler may take once the HorizontalPodAutoscaler is gone. Nothing scales meanwhile; a
	// controller needs about a second.
	takeOver = 30 * time.Second
	// putBack bounds how long it may take to put everything back.
	putBack = 30 * time.Second
	// pollEvery is how often a status is looked at; attempts how often a write is tried over somebody else's.
	pollEvery = 500 * time.Millisecond
	attempts  = 10

	// reasonScalingDisabled is the reason of an Autoscaler whose target has zero replicas on purpose.
	reasonScalingDisabled = "ScalingDisabled"
)

// Swap puts an Autoscaler in the place of a HorizontalPodAutoscaler.
type Swap struct {
	Cluster Cluster
	// Name of the HorizontalPodAutoscaler, and of the Autoscaler.
	Name string
	// Timeout is how long the Autoscaler may take until it decides as the HorizontalPodAutoscaler does. Default
	// DefaultTimeout.
	Timeout time.Duration
	// AllowChange swaps although the number of replicas changes by it.
	AllowChange bool
	// Out takes one line for each step.
	Out io.Writer

	native *autoscalingv2.HorizontalPodAutoscaler
	plan   Plan
	made   *v1alpha1.Autoscaler // once it exists
	// asked is true once the deletion of the HorizontalPodAutoscaler was asked for.
	asked bool
}

// Run swaps the two, and puts the HorizontalPodAutoscaler back if anything goes wrong or ctx ends; the error says both. It is
// called once.
func (s *Swap) Run(ctx context.Context) error {
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	if err := s.check(ctx); err != nil {
		return err
	}
	err := s.swap(ctx)
	if err == nil {
		return nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBack)
	defer cancel()
	return errors.Join(err, s.undo(undo))
}

// check reads the HorizontalPodAutoscaler and asks the API server whether everything that will be written could be. Nothing
// is changed.
func (s *Swap) check(ctx context.Context) (err error) {
	if s.native, err = s.Cluster.Natives.Get(ctx, s.Name, metav1.GetOptions{}); err != nil {
		return fmt.Errorf("read hpa/%s: %w", s.Name, err)
	}
	s.plan = For(s.native)
	if s.plan.Invalid != nil {
		return fmt.Errorf("autoscaler/%s would be refused: %w", s.Name, s.plan.Invalid)
	}
	if s.plan.Blocked != nil {
		return s.plan.Blocked
	}
	a := s.plan.Autoscaler
	a.Spec.Mode = v1alpha1.ModeDryRun
	if a.Annotations == nil {
		a.Annotations = map[string]string{}
	}
	a.Annotations[FromAnnotation] = s.origin()
	dry := []string{metav1.DryRunAll}
	if err := s.checkFree(ctx, dry); err != nil {
		return err
	}
	// Under another name, because the one that it has is taken.
	again := s.anew()
	again.Name, again.GenerateName = "", s.Name+"-"
	if _, err := s.Cluster.Natives.Create(ctx, again, metav1.CreateOptions{DryRun: dry, FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("check that hpa/%s could be put back: %w", s.Name, err)
	}
	if err := s.Cluster.Natives.Delete(ctx, s.Name, metav1.DeleteOptions{DryRun: dry}); err != nil {
		return fmt.Errorf("check that hpa/%s could be deleted: %w", s.Name, err)
	}
	return s.say("checked: the Autoscaler would be accepted, and the HPA could be deleted and put back")
}

// checkFree makes sure that the name is free, or taken by what an earlier swap of the same object has left.
func (s *Swap) checkFree(ctx context.Context, dry []string) error {
	old, err := s.Cluster.Autoscalers.Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case err == nil && old.Annotations[FromAnnotation] == s.origin() && !s.scalesAs(old):
		return fmt.Errorf("autoscaler/%s was made by an earlier swap and does not scale as hpa/%s does now: delete it and swap again", s.Name, s.Name)
	case err == nil && old.Annotations[FromAnnotation] == s.origin():
		s.made = old
		return nil
	case err == nil:
		return fmt.Errorf("autoscaler/%s exists already: delete it, or take hpa/%s away yourself", s.Name, s.Name)
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read autoscaler/%s: %w", s.Name, err)
	}
	_, err = s.Cluster.Autoscalers.Create(ctx, s.plan.Autoscaler.DeepCopy(), metav1.CreateOptions{DryRun: dry, FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return errors.New("homeostat's kinds are not in this cluster: install it first (deploy/README.md)")
	}
	if err != nil {
		return fmt.Errorf("check that autoscaler/%s would be accepted: %w", s.Name, err)
	}
	return nil
}

// scalesAs reports whether the Autoscaler that is there decides as the one that is planned: either of them may have been changed since
// it was made. What the API server fills in makes no difference.
func (s *Swap) scalesAs(old *v1alpha1.Autoscaler) bool {
	planned, err := policy.Autoscaling(&s.plan.Autoscaler.Spec)
	if err != nil {
		return false
	}
	there, err := policy.Autoscaling(&old.Spec)
	return err == nil && apiequality.Semantic.DeepEqual(planned, there) &&
		s.plan.Autoscaler.Spec.ScaleTargetRef == old.Spec.ScaleTargetRef
}

// swap does it. The Autoscaler first decides beside the HorizontalPodAutoscaler, without writing.
func (s *Swap) swap(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.agree(ctx); err != nil {
		return err
	}
	if err := s.setMode(ctx, v1alpha1.ModeActive); err != nil {
		return err
	}
	before, err := s.Cluster.Targets.Replicas(ctx, s.native.Spec.ScaleTargetRef)
	if err != nil {
		return err //nolint:wrapcheck // it says what it read
	}
	if err := s.takeAway(ctx); err != nil {
		return err
	}
	a, err := s.await(ctx, takeOver, func(a *v1alpha1.Autoscaler) (bool, string) {
		c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionAccepted)
		if a.Status.ObservedGeneration != a.Generation || c == nil {
			return false, "no controller has looked at it"
		}
		return c.Status == metav1.ConditionTrue && a.Status.LastDecision != nil, c.Reason + ": " + c.Message
	})
	if err != nil {
		return err
	}
	after, err := s.Cluster.Targets.Replicas(ctx, s.native.Spec.ScaleTargetRef)
	if err != nil {
		return err //nolint:wrapcheck // it says what it read
	}
	d := a.Status.LastDecision
	if after != before && !s.AllowChange {
		return fmt.Errorf("the number of replicas went from %d to %d (%s: %s); with --allow-change that would be let pass", before, after, d.Reason, d.Message)
	}
	return s.say("autoscaler/%s scales now: %d replicas before, %d after (%s: %s)", s.Name, before, after, d.Reason, d.Message)
}

// begin creates the Autoscaler, in DryRun.
func (s *Swap) begin(ctx context.Context) (err error) {
	if s.made != nil {
		if err := s.setMode(ctx, v1alpha1.ModeDryRun); err != nil {
			return err
		}
		return s.say("autoscaler/%s is there from before; it is in mode DryRun", s.Name)
	}
	s.made, err = s.Cluster.Autoscalers.Create(ctx, s.plan.Autoscaler.DeepCopy(), metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("create autoscaler/%s: %w", s.Name, err)
	}
	return s.say("created autoscaler/%s in mode DryRun", s.Name)
}

// agree waits until the Autoscaler decides, and for the number that the target has.
func (s *Swap) agree(ctx context.Context) error {
	var now int32
	a, err := s.await(ctx, s.Timeout, func(a *v1alpha1.Autoscaler) (bool, string) {
		d := a.Status.LastDecision
		if a.Status.ObservedGeneration != a.Generation || d == nil {
			return false, "no controller has looked at it; does Homeostat run, and watch this namespace?"
		}
		if d.Reason == reasonScalingDisabled {
			return true, ""
		}
		for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionAbleToScale, v1alpha1.ConditionScalingActive} {
			c := meta.FindStatusCondition(a.Status.Conditions, kind)
			if c != nil && c.Status != metav1.ConditionTrue {
				return false, c.Reason + ": " + c.Message
			}
		}
		var err error
		if now, err = s.Cluster.Targets.Replicas(ctx, s.native.Spec.ScaleTargetRef); err != nil {
			return false, err.Error()
		}
		return s.AllowChange || d.Desired == now,
			fmt.Sprintf("it would change the number of replicas from %d to %d (%s: %s); with --allow-change that would be let pass", now, d.Desired, d.Reason, d.Message)
	})
	if err != nil {
		return err
	}
	d := a.Status.LastDecision
	return s.say("autoscaler/%s decides: it asks for %d replicas, the target has %d (%s)", s.Name, d.Desired, now, d.Reason)
}

// setMode writes the mode of the Autoscaler, whatever else is written to it meanwhile.
func (s *Swap) setMode(ctx context.Context, mode v1alpha1.AutoscalerMode) error {
	var err error
	for range attempts {
		var a *v1alpha1.Autoscaler
		if a, err = s.Cluster.Autoscalers.Get(ctx, s.Name, metav1.GetOptions{}); err != nil {
			break
		}
		a.Spec.Mode = mode
		if a, err = s.Cluster.Autoscalers.Update(ctx, a, metav1.UpdateOptions{FieldManager: fieldManager}); err == nil {
			s.made = a
			return nil
		}
		if !apierrors.IsConflict(err) {
			break
		}
	}
	return fmt.Errorf("set spec.mode of autoscaler/%s to %s: %w", s.Name, mode, err)
}

// takeAway deletes the HorizontalPodAutoscaler as it was read: the same object, with the same spec. Its status changes all the
// time, so that its version alone says nothing.
func (s *Swap) takeAway(ctx context.Context) error {
	version := s.native.ResourceVersion
	s.asked = true
	for range attempts {
		err := s.Cluster.Natives.Delete(ctx, s.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.native.UID, ResourceVersion: &version}})
		if err == nil {
			return s.say("deleted hpa/%s", s.Name)
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("delete hpa/%s: %w", s.Name, err)
		}
		now, err := s.Cluster.Natives.Get(ctx, s.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("delete hpa/%s: %w", s.Name, err)
		}
		if now.UID != s.native.UID || !apiequality.Semantic.DeepEqual(now.Spec, s.native.Spec) {
			return fmt.Errorf("hpa/%s was changed meanwhile", s.Name)
		}
		version = now.ResourceVersion
	}
	return fmt.Errorf("delete hpa/%s: it is written again and again", s.Name)
}

// await looks at the Autoscaler until it is as wanted; ok says what is still missing. The error is what was missing last.
func (s *Swap) await(ctx context.Context, timeout time.Duration, ok func(*v1alpha1.Autoscaler) (bool, string)) (*v1alpha1.Autoscaler, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	missing := "it was not looked at"
	for {
		a, err := s.Cluster.Autoscalers.Get(ctx, s.Name, metav1.GetOptions{})
		switch {
		case ctx.Err() != nil:
		case err != nil:
			missing = err.Error()
		case a.UID != s.made.UID:
			return nil, fmt.Errorf("autoscaler/%s was replaced by another", s.Name)
		default:
			done, lacks := ok(a)
			if done {
				return a, nil
			}
			missing = lacks
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("autoscaler/%s does not decide: %s: %w", s.Name, missing, ctx.Err())
		case <-tick.C:
		}
	}
}

// undo puts the HorizontalPodAutoscaler back, and then takes the Autoscaler away: while both are there, the Autoscaler gives way, so
// that at no time two scale. The error says what is to be done by hand.
func (s *Swap) undo(ctx context.Context) error {
	if s.asked {
		if err := s.restore(ctx); err != nil {
			return err
		}
	}
	a, err := s.Cluster.Autoscalers.Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && a.Annotations[FromAnnotation] != s.origin() {
		return nil
	}
	if err == nil {
		err = s.Cluster.Autoscalers.Delete(ctx, s.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &a.UID}})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete autoscaler/%s: %w; delete it yourself", s.Name, err)
	}
	return s.say("deleted autoscaler/%s; hpa/%s scales as before", s.Name, s.Name)
}

// restore makes sure that the HorizontalPodAutoscaler is there. Whether a deletion that failed did delete is not known.
func (s *Swap) restore(ctx context.Context) error {
	h, err := s.Cluster.Natives.Get(ctx, s.Name, metav1.GetOptions{})
	if err == nil && h.DeletionTimestamp == nil {
		return nil
	}
	if err := s.recreate(ctx); err != nil {
		doc, _ := document(s.anew()) // what it was made from was read as JSON
		return fmt.Errorf("put hpa/%s back: %w; autoscaler/%s stays; this is the HPA:\n%s", s.Name, err, s.Name, doc)
	}
	return s.say("put hpa/%s back", s.Name)
}

// recreate creates the HorizontalPodAutoscaler again, a few times if need be.
func (s *Swap) recreate(ctx context.Context) error {
	var err error
	for range attempts {
		if _, err = s.Cluster.Natives.Create(ctx, s.anew(), metav1.CreateOptions{FieldManager: fieldManager}); err == nil {
			return nil
		}
		if apierrors.IsAlreadyExists(err) { // by whoever keeps it
			return nil
		}
		select {
		case <-ctx.Done():
			return err //nolint:wrapcheck // wrapped by the caller
		case <-time.After(pollEvery):
		}
	}
	return err //nolint:wrapcheck // wrapped by the caller
}

// anew returns the HorizontalPodAutoscaler as it can be created.
func (s *Swap) anew() *autoscalingv2.HorizontalPodAutoscaler {
	h := s.native
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: h.Namespace, Name: h.Name, Labels: h.Labels, Annotations: h.Annotations, OwnerReferences: h.OwnerReferences,
		},
		Spec: *h.Spec.DeepCopy(),
	}
}

// origin says what the Autoscaler was made from.
func (s *Swap) origin() string { return "hpa/" + s.Name + " " + string(s.native.UID) }

func (s *Swap) say(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.Out, format+"\n", args...); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
