package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// kindNative is the kind of an autoscaler that is a HorizontalPodAutoscaler.
const kindNative = "HorizontalPodAutoscaler"

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
