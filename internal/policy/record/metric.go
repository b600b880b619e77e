package record

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// The bounds of a summary, so that a table of Autoscalers stays one: metrics, and characters of the name of one (a query
// may be long).
const (
	maxInSummary  = 3
	maxSummarized = 40
)

// CurrentMetrics returns the state of each metric that could be computed, as an HPA's status has it. There is none of a
// metric of type Prometheus, which an HPA cannot have.
func CurrentMetrics(rec *hpa.Recommendation) []autoscalingv2.MetricStatus {
	var out []autoscalingv2.MetricStatus
	for i := range rec.Metrics {
		m := &rec.Metrics[i]
		if m.Err != "" {
			continue
		}
		if s, ok := current(m); ok {
			out = append(out, s)
		}
	}
	return out
}

// current returns the state of one metric; ok is false where autoscaling/v2 has no such type.
func current(m *hpa.MetricProposal) (s autoscalingv2.MetricStatus, ok bool) {
	source, value := &m.Metric.Source, valueStatus(m)
	name := corev1.ResourceName(source.Resource)
	id := autoscalingv2.MetricIdentifier{Name: source.Name, Selector: selector(source.Selector)}
	s.Type = autoscalingv2.MetricSourceType(source.Type)
	switch source.Type {
	case hpa.FromResource:
		s.Resource = &autoscalingv2.ResourceMetricStatus{Name: name, Current: value}
	case hpa.FromContainerResource:
		s.ContainerResource = &autoscalingv2.ContainerResourceMetricStatus{Name: name, Container: source.Container, Current: value}
	case hpa.FromPods:
		s.Pods = &autoscalingv2.PodsMetricStatus{Metric: id, Current: value}
	case hpa.FromObject:
		s.Object = &autoscalingv2.ObjectMetricStatus{Metric: id, Current: value, DescribedObject: object(source.Object)}
	case hpa.FromExternal:
		s.External = &autoscalingv2.ExternalMetricStatus{Metric: id, Current: value}
	case hpa.FromPrometheus:
		return autoscalingv2.MetricStatus{}, false
	default:
		return autoscalingv2.MetricStatus{}, false
	}
	return s, true
}

func valueStatus(m *hpa.MetricProposal) autoscalingv2.MetricValueStatus {
	q := quantity(m.Metric.Source.Resource, m.Value)
	switch m.Metric.Type {
	case hpa.Value:
		return autoscalingv2.MetricValueStatus{Value: q}
	case hpa.Utilization:
		percent := int32(min(m.Utilization, math.MaxInt32))
		return autoscalingv2.MetricValueStatus{AverageValue: q, AverageUtilization: &percent}
	case hpa.AverageValue:
	}
	return autoscalingv2.MetricValueStatus{AverageValue: q}
}

// selector reads the text of a label selector; nil where there is none.
func selector(text string) *metav1.LabelSelector {
	if text == "" {
		return nil
	}
	s, err := metav1.ParseToLabelSelector(text)
	if err != nil {
		return nil
	}
	return s
}

func object(text string) autoscalingv2.CrossVersionObjectReference {
	version, kind, name := hpa.DescribedObject(text)
	return autoscalingv2.CrossVersionObjectReference{APIVersion: version, Kind: kind, Name: name}
}

// MetricsSummary returns each metric's value over its target, such as "cpu: 83%/40%, memory: 210Mi/256Mi, queue: 12/5
// (avg)"; a metric that could not be computed has the value <unknown>, as kubectl writes it for an HPA. "(avg)" stands
// where a value of no single replica is divided by their number. Of more than three metrics it has the first three.
func MetricsSummary(rec *hpa.Recommendation) string {
	shown := min(len(rec.Metrics), maxInSummary)
	parts := make([]string, 0, shown)
	for i := range shown {
		m := &rec.Metrics[i]
		source := &m.Metric.Source
		var value, target string
		if m.Metric.Type == hpa.Utilization {
			value, target = strconv.FormatInt(m.Utilization, 10)+"%", strconv.FormatInt(m.Metric.Target, 10)+"%"
		} else {
			value, target = amount(source.Resource, m.Value), amount(source.Resource, m.Metric.Target)
		}
		if m.Err != "" {
			value = "<unknown>"
		}
		if m.Metric.Type == hpa.AverageValue && (source.Type == hpa.FromObject || source.Type == hpa.FromExternal || source.Type == hpa.FromPrometheus) {
			target += " (avg)"
		}
		parts = append(parts, summarized(source.String())+": "+value+"/"+target)
	}
	out := strings.Join(parts, ", ")
	if more := len(rec.Metrics) - shown; more > 0 {
		out += " + " + strconv.Itoa(more) + " more"
	}
	return out
}

// summarized returns the name on one line and not longer than maxSummarized.
func summarized(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	if utf8.RuneCountInString(name) <= maxSummarized {
		return name
	}
	return string([]rune(name)[:maxSummarized-1]) + "…"
}

// quantity returns bytes of memory, and thousandths of anything else.
func quantity(r hpa.Resource, v int64) *resource.Quantity {
	if r == hpa.Memory {
		return resource.NewQuantity(v, resource.BinarySI)
	}
	return resource.NewMilliQuantity(v, resource.DecimalSI)
}

// amount writes thousandths as a quantity and bytes in whole Mi, or Ki below one Mi, for people.
func amount(r hpa.Resource, v int64) string {
	switch {
	case r != hpa.Memory:
		return quantity(r, v).String()
	case v >= 1<<20:
		return strconv.FormatInt((v+1<<19)>>20, 10) + "Mi"
	default:
		return strconv.FormatInt((v+1<<9)>>10, 10) + "Ki"
	}
}

// fromSource returns the source as a status has it: the resource stands where the name of another metric does.
func fromSource(s hpa.Source) v1alpha1.MetricSource {
	out := v1alpha1.MetricSource{Type: string(s.Type), Name: s.Name, Container: s.Container, Object: s.Object, Selector: s.Selector}
	if s.Resource != "" {
		out.Name = string(s.Resource)
	}
	return out
}

func toSource(s *v1alpha1.MetricSource) hpa.Source {
	out := hpa.Source{Type: hpa.SourceType(s.Type), Name: s.Name, Container: s.Container, Object: s.Object, Selector: s.Selector}
	if out.Type == hpa.FromResource || out.Type == hpa.FromContainerResource {
		out.Resource, out.Name = hpa.Resource(s.Name), ""
	}
	return out
}
