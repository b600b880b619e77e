package write

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

// FieldManager is the name under which the number of replicas and the status of HorizontalPodAutoscalers are written, so that
// metadata.managedFields tells these writes from those of others.
const FieldManager = "homeostat"

// Target names an object with a scale subresource.
type Target struct {
	// APIVersion such as apps/v1.
	APIVersion string
	Ref        cluster.Ref
}

// GetScale reads the target's scale from the API server.
func (w *Writer) GetScale(ctx context.Context, t Target) (*autoscalingv1.Scale, error) {
	resource, err := w.resource(t)
	if err != nil {
		return nil, err
	}
	s, err := w.scales.Scales(t.Ref.Namespace).Get(ctx, resource, t.Ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get scale of %s: %w", t.Ref, err)
	}
	return s, nil
}

// Scale writes the target's number of replicas from one number to another. control.ErrConflict if the target does not
// ask for the first number any more; then nothing was written.
func (w *Writer) Scale(ctx context.Context, t Target, from, to int32) error {
	resource, err := w.resource(t)
	if err != nil {
		return err
	}
	s, err := w.GetScale(ctx, t)
	if err != nil {
		return err
	}
	if s.Spec.Replicas != from {
		return fmt.Errorf("scale %s: it asks for %d replicas, not %d: %w", t.Ref, s.Spec.Replicas, from, control.ErrConflict)
	}
	// The resourceVersion that was read goes with it, so that whatever came in between makes the API server refuse.
	s.Spec.Replicas = to
	_, err = w.scales.Scales(t.Ref.Namespace).Update(ctx, resource, s, metav1.UpdateOptions{FieldManager: FieldManager})
	switch {
	case apierrors.IsConflict(err):
		return fmt.Errorf("scale %s: %w", t.Ref, control.ErrConflict)
	case err != nil:
		return fmt.Errorf("scale %s: %w", t.Ref, err)
	default:
		return nil
	}
}

// resource finds the resource of the target's kind.
func (w *Writer) resource(t Target) (schema.GroupResource, error) {
	gv, err := schema.ParseGroupVersion(t.APIVersion)
	if err != nil {
		return schema.GroupResource{}, fmt.Errorf("parse apiVersion %q of %s: %w", t.APIVersion, t.Ref, err)
	}
	// The version is a hint: what counts is the kind, in whatever version the server prefers.
	m, err := w.mapper.RESTMapping(schema.GroupKind{Group: gv.Group, Kind: t.Ref.Kind})
	if err != nil {
		return schema.GroupResource{}, fmt.Errorf("find kind %s of %s: %w", t.Ref.Kind, t.APIVersion, err)
	}
	return m.Resource.GroupResource(), nil
}
