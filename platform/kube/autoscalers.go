package kube

import (
	"context"
	"fmt"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// reasonAmbiguous is the reason of an Autoscaler whose target is scaled by something else too.
const reasonAmbiguous = "AmbiguousTarget"

// Autoscalers returns every Autoscaler, sorted by age. One whose spec is not valid, or whose target something else
// scales already, is invalid. Of two Autoscalers with one target the older one goes on; a HorizontalPodAutoscaler always
// comes first. One that does not write (DryRun, Paused) is in nobody's way.
func (p *Platform) Autoscalers(context.Context) ([]control.Autoscaler, error) {
	list := records[*v1alpha1.Autoscaler](p.feeds.autoscalers)
	byAge(list, func(a *v1alpha1.Autoscaler) int64 { return a.CreationTimestamp.Unix() })
	taken := map[string]string{} // who scales a target
	for _, n := range records[*view.NativeHPA](p.feeds.natives) {
		taken[workloadKey(cluster.Ref{Kind: n.TargetKind, Namespace: n.Namespace, Name: n.TargetName})] = "HorizontalPodAutoscaler " + n.Name
	}
	out := make([]control.Autoscaler, 0, len(list))
	for _, o := range list {
		a := p.autoscaler(o)
		if a.Invalid == "" && a.Mode == control.Active {
			key := workloadKey(a.Target)
			if other, is := taken[key]; is {
				a.Invalid, a.InvalidReason = fmt.Sprintf("spec.scaleTargetRef: %s is scaled by %s already: only one may; set spec.mode to DryRun to compare", a.Target, other), reasonAmbiguous
			} else {
				taken[key] = "Autoscaler " + o.Name
			}
		}
		out = append(out, a)
	}
	return out, nil
}

func (p *Platform) autoscaler(o *v1alpha1.Autoscaler) control.Autoscaler {
	rule := p.rules.ofScaling(o)
	a := control.Autoscaler{
		Ref:        cluster.Ref{Kind: v1alpha1.KindAutoscaler, Namespace: o.Namespace, Name: o.Name, UID: string(o.UID)},
		Generation: o.Generation, Mode: rule.mode, Policy: rule.policy,
		Target:  cluster.Ref{Kind: o.Spec.ScaleTargetRef.Kind, Namespace: o.Namespace, Name: o.Spec.ScaleTargetRef.Name},
		Invalid: rule.invalid,
	}
	if a.Invalid != "" {
		a.InvalidReason = string(control.ReasonInvalidSpec)
	}
	return a
}
