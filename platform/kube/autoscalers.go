package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/platform/kube/keda"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// Autoscalers returns every Autoscaler, sorted by age, and after them the HorizontalPodAutoscalers that Options.NativeHPAs
// asks for. One whose spec is not valid, or whose target something else scales already, is invalid. Of two Autoscalers with
// one target the older one goes on; a HorizontalPodAutoscaler or a ScaledObject always comes first. One that does not write
// (DryRun, Paused) is in nobody's way.
func (p *Platform) Autoscalers(context.Context) ([]control.Autoscaler, error) {
	now := time.Now()
	list := records[*v1alpha1.Autoscaler](p.feeds.autoscalers)
	byAge(list, func(a *v1alpha1.Autoscaler) int64 { return a.CreationTimestamp.Unix() })
	natives := records[*view.NativeHPA](p.feeds.natives)
	slices.SortFunc(natives, func(x, y *view.NativeHPA) int {
		return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	held := holdersOf(natives, p.keda.Objects())
	out := make([]control.Autoscaler, 0, len(list)+len(natives))
	for _, o := range list {
		a := p.autoscaler(o)
		if a.Invalid == "" && a.Mode == control.Active {
			held.take(&a)
			p.holdContested(&a, now)
		}
		out = append(out, a)
	}
	if p.opts.NativeHPAs == NativeOff {
		return out, nil
	}
	for _, n := range natives {
		if n.Unobserved {
			continue
		}
		a := p.nativeAutoscaler(n, now)
		if a.Mode == control.Active {
			p.holdContested(&a, now)
		}
		out = append(out, a)
	}
	return out, nil
}

func (p *Platform) autoscaler(o *v1alpha1.Autoscaler) control.Autoscaler {
	rule := p.rules.ofScaling(o)
	a := control.Autoscaler{
		Ref:        cluster.Ref{Kind: v1alpha1.KindAutoscaler, Namespace: o.Namespace, Name: o.Name, UID: string(o.UID)},
		Generation: o.Generation, Mode: rule.mode, Policy: rule.policy, Period: rule.period,
		Stored:  func() hpa.History { return resumed(&o.Status, time.Now()) },
		Target:  cluster.Ref{Kind: o.Spec.ScaleTargetRef.Kind, Namespace: o.Namespace, Name: o.Spec.ScaleTargetRef.Name},
		Invalid: rule.invalid,
	}
	if value, has := o.Annotations[v1alpha1.AnnotationHealFloor]; has && a.Invalid == "" {
		if _, err := policy.ReadHealFloor(value); err != nil {
			a.Invalid = err.Error()
		}
	}
	if a.Invalid != "" {
		a.InvalidReason = string(control.ReasonInvalidSpec)
	}
	return a
}

// holders says who scales a target, by workloadKey.
type holders map[string]holder

// holder scales a target. Hint is what can be done about it, beside running dry.
type holder struct{ who, hint string }

// holdersOf returns the targets that something else than an Autoscaler scales.
func holdersOf(natives []*view.NativeHPA, objects []*keda.ScaledObject) holders {
	out := holders{}
	for _, n := range natives {
		key := workloadKey(cluster.Ref{Kind: n.TargetKind, Namespace: n.Namespace, Name: n.TargetName})
		if _, is := out[key]; is {
			continue
		}
		h := holder{who: kindNative + " " + n.Name, hint: "`homeostat adopt hpa/" + n.Name + " --swap` takes over from it; "}
		if n.Controller.Kind == keda.Kind {
			h = holder{who: fmt.Sprintf("%s %s (KEDA, by way of %s %s)", keda.Kind, n.Controller.Name, kindNative, n.Name)}
		}
		out[key] = h
	}
	for _, o := range objects {
		key := workloadKey(cluster.Ref{Kind: o.TargetKind, Namespace: o.Namespace, Name: o.TargetName})
		if _, is := out[key]; !is && !o.Paused {
			out[key] = holder{who: fmt.Sprintf("%s %s (KEDA)", keda.Kind, o.Name)}
		}
	}
	return out
}

// take gives the autoscaler its target, or makes it invalid where somebody has it already.
func (h holders) take(a *control.Autoscaler) {
	key := workloadKey(a.Target)
	other, is := h[key]
	if !is {
		h[key] = holder{who: a.Ref.Kind + " " + a.Ref.Name}
		return
	}
	a.InvalidReason = reasonAmbiguous
	a.Invalid = fmt.Sprintf("spec.scaleTargetRef: %s is scaled by %s already: only one may; %sset spec.mode to DryRun to compare",
		a.Target, other.who, other.hint)
}
