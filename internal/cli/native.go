package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/decisions"
	"github.com/homeostat/homeostat/internal/report"
)

// shownEvents bounds the events of an HPA that are shown.
const shownEvents = 10

// natives reads HorizontalPodAutoscalers and their events.
type natives struct {
	hpas   autoscalingclient.HorizontalPodAutoscalersGetter
	events coreclient.EventsGetter
}

func openNatives(cfg *rest.Config) (natives, error) {
	hpas, err := autoscalingclient.NewForConfig(cfg)
	if err != nil {
		return natives{}, fmt.Errorf("make client: %w", err)
	}
	events, err := coreclient.NewForConfig(cfg)
	if err != nil {
		return natives{}, fmt.Errorf("make client: %w", err)
	}
	return natives{hpas: hpas, events: events}, nil
}

func (r natives) list(ctx context.Context, namespace string) ([]autoscalingv2.HorizontalPodAutoscaler, error) {
	list, err := r.hpas.HorizontalPodAutoscalers(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list hpas: %w", err)
	}
	return list.Items, nil
}

// describe returns what the object and its events say. Events that may not be read are left out.
func (r natives) describe(ctx context.Context, h *autoscalingv2.HorizontalPodAutoscaler) (report.HPA, error) {
	out := report.HPA{
		Ref:    cluster.Ref{Kind: decisions.KindHPA, Namespace: h.Namespace, Name: h.Name, UID: string(h.UID)},
		Target: cluster.Ref{Kind: h.Spec.ScaleTargetRef.Kind, Namespace: h.Namespace, Name: h.Spec.ScaleTargetRef.Name},
		Min:    1, Max: h.Spec.MaxReplicas, CannotSee: []decisions.Rule{},
		Did: report.HPAState{
			Current: h.Status.CurrentReplicas, Desired: h.Status.DesiredReplicas, Metrics: nativeMetrics(h),
		},
	}
	if h.Spec.MinReplicas != nil {
		out.Min = *h.Spec.MinReplicas
	}
	if t := h.Status.LastScaleTime; t != nil {
		out.Did.LastScale = t.Time
	}
	for _, c := range h.Status.Conditions {
		out.Did.Conditions = append(out.Did.Conditions, hpa.Condition{
			Type: string(c.Type), Status: c.Status == corev1.ConditionTrue, Reason: c.Reason, Message: c.Message,
		})
	}
	list, err := r.events.Events(h.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.kind": decisions.KindHPA, "involvedObject.name": h.Name}.String(),
	})
	if err != nil && !apierrors.IsForbidden(err) {
		return report.HPA{}, fmt.Errorf("list events: %w", err)
	}
	if err == nil {
		out.Did.Events = newest(list.Items, shownEvents)
	}
	return out, nil
}

// newest returns the newest events, at most that many, newest first.
func newest(list []corev1.Event, most int) []cluster.Event {
	out := make([]cluster.Event, 0, len(list))
	for i := range list {
		e := &list[i]
		first := latest(e.FirstTimestamp.Time, e.EventTime.Time)
		last, n := latest(e.LastTimestamp.Time, first), max(e.Count, 1)
		if e.Series != nil {
			last, n = latest(last, e.Series.LastObservedTime.Time), max(n, e.Series.Count)
		}
		out = append(out, cluster.Event{Type: e.Type, Reason: e.Reason, Message: e.Message, Count: n, First: first, Last: last})
	}
	slices.SortStableFunc(out, func(a, b cluster.Event) int { return b.Last.Compare(a.Last) })
	return out[:min(len(out), most)]
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// nativeMetrics returns the metrics of the spec with their values in the status, which has them in the same order.
func nativeMetrics(h *autoscalingv2.HorizontalPodAutoscaler) []report.HPAMetric {
	var out []report.HPAMetric
	for i := range h.Spec.Metrics {
		spec := &h.Spec.Metrics[i]
		name, target := named(spec)
		if target == nil {
			continue
		}
		m := report.HPAMetric{Name: name, Target: shown(target.AverageUtilization, target.AverageValue, target.Value)}
		if i < len(h.Status.CurrentMetrics) && h.Status.CurrentMetrics[i].Type == spec.Type {
			if v := current(&h.Status.CurrentMetrics[i]); v != nil {
				// The status has the average value beside a utilization; what counts is what the target is in.
				m.Now = shown(v.AverageUtilization, v.AverageValue, v.Value)
				if target.Type == autoscalingv2.ValueMetricType {
					m.Now = shown(nil, v.Value, v.AverageValue)
				}
			}
		}
		out = append(out, m)
	}
	return out
}

// named returns the metric's name for people and its target; nil where the spec is broken.
func named(m *autoscalingv2.MetricSpec) (string, *autoscalingv2.MetricTarget) {
	switch {
	case m.Resource != nil:
		return string(m.Resource.Name), &m.Resource.Target
	case m.ContainerResource != nil:
		return fmt.Sprintf("%s of container %s", m.ContainerResource.Name, m.ContainerResource.Container), &m.ContainerResource.Target
	case m.Pods != nil:
		return m.Pods.Metric.Name + " of the pods", &m.Pods.Target
	case m.Object != nil:
		o := m.Object.DescribedObject
		return fmt.Sprintf("%s of %s %s", m.Object.Metric.Name, o.Kind, o.Name), &m.Object.Target
	case m.External != nil:
		return m.External.Metric.Name, &m.External.Target
	}
	return "", nil
}

func current(m *autoscalingv2.MetricStatus) *autoscalingv2.MetricValueStatus {
	switch {
	case m.Resource != nil:
		return &m.Resource.Current
	case m.ContainerResource != nil:
		return &m.ContainerResource.Current
	case m.Pods != nil:
		return &m.Pods.Current
	case m.Object != nil:
		return &m.Object.Current
	case m.External != nil:
		return &m.External.Current
	}
	return nil
}

// shown writes a percentage, or else the first quantity that there is.
func shown(percent *int32, quantities ...*resource.Quantity) string {
	if percent != nil {
		return strconv.Itoa(int(*percent)) + "%"
	}
	for _, q := range quantities {
		if q != nil {
			return q.String()
		}
	}
	return ""
}
