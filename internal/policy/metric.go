package policy

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

func readMetrics(specs []v1alpha1.MetricSpec, at *field.Path) ([]hpa.Metric, field.ErrorList) {
	if len(specs) > MaxMetrics {
		return nil, field.ErrorList{field.TooMany(at, len(specs), MaxMetrics)}
	}
	var errs field.ErrorList
	metrics := make([]hpa.Metric, 0, len(specs))
	for i := range specs {
		m, faults := readMetric(&specs[i], at.Index(i))
		metrics = append(metrics, m)
		errs = append(errs, faults...)
	}
	return metrics, errs
}

// readMetric reads the field that is named like the type, and refuses the others.
func readMetric(m *v1alpha1.MetricSpec, at *field.Path) (hpa.Metric, field.ErrorList) {
	fields := []struct {
		of    autoscalingv2.MetricSourceType
		name  string
		given bool
		read  func(*field.Path) (hpa.Metric, field.ErrorList)
	}{
		{autoscalingv2.ResourceMetricSourceType, "resource", m.Resource != nil, func(at *field.Path) (hpa.Metric, field.ErrorList) { return readResource(m.Resource, at) }},
		{autoscalingv2.ContainerResourceMetricSourceType, "containerResource", m.ContainerResource != nil, func(at *field.Path) (hpa.Metric, field.ErrorList) {
			return readContainerResource(m.ContainerResource, at)
		}},
		{autoscalingv2.PodsMetricSourceType, "pods", m.Pods != nil, func(at *field.Path) (hpa.Metric, field.ErrorList) { return readPods(m.Pods, at) }},
		{autoscalingv2.ObjectMetricSourceType, "object", m.Object != nil, func(at *field.Path) (hpa.Metric, field.ErrorList) { return readObject(m.Object, at) }},
		{autoscalingv2.ExternalMetricSourceType, "external", m.External != nil, func(at *field.Path) (hpa.Metric, field.ErrorList) { return readExternal(m.External, at) }},
		{v1alpha1.MetricPrometheus, "prometheus", m.Prometheus != nil, func(at *field.Path) (hpa.Metric, field.ErrorList) { return readPrometheus(m.Prometheus, at) }},
	}
	var out hpa.Metric
	var errs field.ErrorList
	known := make([]autoscalingv2.MetricSourceType, len(fields))
	found := false
	for i, f := range fields {
		known[i] = f.of
		switch {
		case f.of != m.Type && f.given:
			errs = append(errs, field.Forbidden(at.Child(f.name), fmt.Sprintf("only allowed in a metric of type %s, this one is of type %s", f.of, m.Type)))
		case f.of == m.Type && !f.given:
			errs = append(errs, field.Required(at.Child(f.name), fmt.Sprintf("a metric of type %s needs it", f.of)))
		case f.of == m.Type:
			var faults field.ErrorList
			out, faults = f.read(at.Child(f.name))
			errs = append(errs, faults...)
		}
		found = found || f.of == m.Type
	}
	if !found {
		return out, field.ErrorList{field.NotSupported(at.Child("type"), m.Type, known)}
	}
	fallback, faults := readFallback(m.Fallback, at.Child("fallback"))
	out.Fallback = fallback
	return out, append(errs, faults...)
}

func readResource(m *autoscalingv2.ResourceMetricSource, at *field.Path) (hpa.Metric, field.ErrorList) {
	errs := checkResource(m.Name, at.Child("name"))
	out, faults := readUsageTarget(m.Name, &m.Target, at.Child("target"))
	out.Source = hpa.OfResource(hpa.Resource(m.Name))
	return out, append(errs, faults...)
}

func readContainerResource(m *autoscalingv2.ContainerResourceMetricSource, at *field.Path) (hpa.Metric, field.ErrorList) {
	errs := checkResource(m.Name, at.Child("name"))
	if problems := validation.IsDNS1123Label(m.Container); len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("container"), m.Container, "must be the name of a container: "+problems[0]))
	}
	out, faults := readUsageTarget(m.Name, &m.Target, at.Child("target"))
	out.Source = hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.Resource(m.Name), Container: m.Container}
	return out, append(errs, faults...)
}

func checkResource(name corev1.ResourceName, at *field.Path) field.ErrorList {
	if name == corev1.ResourceCPU || name == corev1.ResourceMemory {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, name, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory})}
}

// readUsageTarget reads the target of a usage: percent of the requests, or an amount per replica.
func readUsageTarget(name corev1.ResourceName, t *autoscalingv2.MetricTarget, at *field.Path) (hpa.Metric, field.ErrorList) {
	var errs field.ErrorList
	out := hpa.Metric{Type: hpa.TargetType(t.Type)}
	if t.Value != nil {
		errs = append(errs, field.Forbidden(at.Child("value"), "use averageUtilization or averageValue"))
	}
	percent, value := at.Child("averageUtilization"), at.Child("averageValue")
	switch t.Type { //nolint:exhaustive // the others are refused
	case autoscalingv2.UtilizationMetricType:
		if t.AverageValue != nil {
			errs = append(errs, field.Forbidden(value, "a target of type Utilization has averageUtilization only"))
		}
		switch {
		case t.AverageUtilization == nil:
			errs = append(errs, field.Required(percent, "a target of type Utilization needs it, in percent of the requests"))
		case *t.AverageUtilization < 1:
			errs = append(errs, field.Invalid(percent, *t.AverageUtilization, "must be at least 1 (percent)"))
		default:
			out.Target = int64(*t.AverageUtilization)
		}
		return out, errs
	case autoscalingv2.AverageValueMetricType:
		if t.AverageUtilization != nil {
			errs = append(errs, field.Forbidden(percent, "a target of type AverageValue has averageValue only"))
		}
		amount, faults := readAmount(t.AverageValue, name != corev1.ResourceMemory, value, "a target of type AverageValue needs it, such as 500m or 256Mi")
		out.Target = amount
		return out, append(errs, faults...)
	default:
		return out, append(errs, field.NotSupported(at.Child("type"), t.Type,
			[]autoscalingv2.MetricTargetType{autoscalingv2.UtilizationMetricType, autoscalingv2.AverageValueMetricType}))
	}
}

// readAmount reads a quantity greater than zero, in thousandths or whole units, rounded up.
func readAmount(q *resource.Quantity, thousandths bool, at *field.Path, needed string) (int64, field.ErrorList) {
	const largest = math.MaxInt64 / 1000
	switch {
	case q == nil:
		return 0, field.ErrorList{field.Required(at, needed)}
	case q.Sign() <= 0:
		return 0, field.ErrorList{field.Invalid(at, q.String(), "must be greater than 0")}
	case q.CmpInt64(largest) > 0:
		return 0, field.ErrorList{field.Invalid(at, q.String(), fmt.Sprintf("must be at most %d", int64(largest)))}
	case thousandths:
		return q.MilliValue(), nil
	}
	return q.Value(), nil
}

func readPods(m *autoscalingv2.PodsMetricSource, at *field.Path) (hpa.Metric, field.ErrorList) {
	source, errs := readIdentifier(hpa.FromPods, &m.Metric, at.Child("metric"))
	t, target := &m.Target, at.Child("target")
	if t.Type != autoscalingv2.AverageValueMetricType {
		errs = append(errs, field.NotSupported(target.Child("type"), t.Type, []autoscalingv2.MetricTargetType{autoscalingv2.AverageValueMetricType}))
	}
	if t.Value != nil || t.AverageUtilization != nil {
		errs = append(errs, field.Forbidden(target.Child("averageValue"), "a metric of type Pods has averageValue only"))
	}
	amount, faults := readAmount(t.AverageValue, true, target.Child("averageValue"), "a metric of type Pods needs it, such as 100")
	return hpa.Metric{Source: source, Type: hpa.AverageValue, Target: amount}, append(errs, faults...)
}

func readObject(m *autoscalingv2.ObjectMetricSource, at *field.Path) (hpa.Metric, field.ErrorList) {
	source, errs := readIdentifier(hpa.FromObject, &m.Metric, at.Child("metric"))
	o, object := &m.DescribedObject, at.Child("describedObject")
	errs = append(errs, checkSegment(o.Kind, object.Child("kind"), "give the kind of the object, such as Ingress")...)
	errs = append(errs, checkSegment(o.Name, object.Child("name"), "give the name of the object")...)
	if len(o.APIVersion) > maxName {
		errs = append(errs, field.TooLong(object.Child("apiVersion"), o.APIVersion, maxName))
	} else if _, err := schema.ParseGroupVersion(o.APIVersion); err != nil {
		errs = append(errs, field.Invalid(object.Child("apiVersion"), o.APIVersion, "must be a group and a version, such as networking.k8s.io/v1"))
	}
	source.Object = o.APIVersion + "/" + o.Kind + "/" + o.Name
	out, faults := readValueTarget(&m.Target, at.Child("target"))
	out.Source = source
	return out, append(errs, faults...)
}

func readExternal(m *autoscalingv2.ExternalMetricSource, at *field.Path) (hpa.Metric, field.ErrorList) {
	source, errs := readIdentifier(hpa.FromExternal, &m.Metric, at.Child("metric"))
	out, faults := readValueTarget(&m.Target, at.Child("target"))
	out.Source = source
	return out, append(errs, faults...)
}

func readPrometheus(m *v1alpha1.PrometheusMetricSource, at *field.Path) (hpa.Metric, field.ErrorList) {
	var errs field.ErrorList
	query := strings.TrimSpace(m.Query)
	switch n := utf8.RuneCountInString(query); {
	case n == 0:
		errs = append(errs, field.Required(at.Child("query"), "give a query in PromQL whose result is one number"))
	case n > maxQuery:
		errs = append(errs, field.TooLong(at.Child("query"), query, maxQuery))
	}
	out, faults := readValueTarget(&m.Target, at.Child("target"))
	out.Source = hpa.Source{Type: hpa.FromPrometheus, Name: query}
	return out, append(errs, faults...)
}

// readIdentifier reads the name of a metric and its selector, in the one text that all selectors have that mean the same
// and are written alike: sorted by key, as the metrics APIs are asked with.
func readIdentifier(of hpa.SourceType, id *autoscalingv2.MetricIdentifier, at *field.Path) (hpa.Source, field.ErrorList) {
	errs := checkSegment(id.Name, at.Child("name"), "give the name of the metric")
	out := hpa.Source{Type: of, Name: id.Name}
	if id.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(id.Selector)
		if err != nil {
			return out, append(errs, field.Invalid(at.Child("selector"), field.OmitValueType{}, err.Error()))
		}
		out.Selector = selector.String()
		if len(out.Selector) > maxSelector {
			errs = append(errs, field.TooLong(at.Child("selector"), out.Selector, maxSelector))
		}
	}
	return out, errs
}

// checkSegment refuses what cannot be a part of the path of an API request, and what is so long that a status, which has
// it more than once, could not be written.
func checkSegment(name string, at *field.Path, needed string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, needed)}
	}
	if len(name) > maxName {
		return field.ErrorList{field.TooLong(at, name, maxName)}
	}
	var errs field.ErrorList
	for _, problem := range content.IsPathSegmentName(name) {
		errs = append(errs, field.Invalid(at, name, problem))
	}
	return errs
}

// readValueTarget reads the target of one value: as a whole, or per replica.
func readValueTarget(t *autoscalingv2.MetricTarget, at *field.Path) (hpa.Metric, field.ErrorList) {
	var errs field.ErrorList
	out := hpa.Metric{Type: hpa.TargetType(t.Type)}
	if t.AverageUtilization != nil {
		errs = append(errs, field.Forbidden(at.Child("averageUtilization"), "use value or averageValue"))
	}
	whole, average := at.Child("value"), at.Child("averageValue")
	var faults field.ErrorList
	switch t.Type { //nolint:exhaustive // the others are refused
	case autoscalingv2.ValueMetricType:
		if t.AverageValue != nil {
			errs = append(errs, field.Forbidden(average, "a target of type Value has value only"))
		}
		out.Target, faults = readAmount(t.Value, true, whole, "a target of type Value needs it, such as 100")
	case autoscalingv2.AverageValueMetricType:
		if t.Value != nil {
			errs = append(errs, field.Forbidden(whole, "a target of type AverageValue has averageValue only"))
		}
		out.Target, faults = readAmount(t.AverageValue, true, average, "a target of type AverageValue needs it, such as 100")
	default:
		faults = field.ErrorList{field.NotSupported(at.Child("type"), t.Type,
			[]autoscalingv2.MetricTargetType{autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType})}
	}
	return out, append(errs, faults...)
}

func readFallback(f *v1alpha1.MetricFallback, at *field.Path) (*hpa.Fallback, field.ErrorList) {
	if f == nil {
		return nil, nil
	}
	var errs field.ErrorList
	out := &hpa.Fallback{Type: hpa.FallbackType(f.Type)}
	switch f.Type {
	case v1alpha1.FallbackHold, v1alpha1.FallbackLastGood, v1alpha1.FallbackReplicas:
	default:
		return nil, field.ErrorList{field.NotSupported(at.Child("type"), f.Type,
			[]v1alpha1.FallbackType{v1alpha1.FallbackHold, v1alpha1.FallbackLastGood, v1alpha1.FallbackReplicas})}
	}
	switch age := at.Child("for"); {
	case f.Type == v1alpha1.FallbackLastGood && f.For == nil:
		errs = append(errs, field.Required(age, "a fallback of type LastGood needs it, such as 10m"))
	case f.Type == v1alpha1.FallbackLastGood:
		errs = append(errs, setDuration(&out.For, f.For, time.Nanosecond, maxFallback, age)...)
	case f.For != nil:
		errs = append(errs, field.Forbidden(age, fmt.Sprintf("only allowed in a fallback of type LastGood, this one is of type %s", f.Type)))
	}
	switch replicas := at.Child("replicas"); {
	case f.Type == v1alpha1.FallbackReplicas && f.Replicas == nil:
		errs = append(errs, field.Required(replicas, "a fallback of type Replicas needs it, such as 5"))
	case f.Type == v1alpha1.FallbackReplicas && *f.Replicas < 0:
		errs = append(errs, field.Invalid(replicas, *f.Replicas, "must be at least 0"))
	case f.Type == v1alpha1.FallbackReplicas:
		out.Replicas = *f.Replicas
	case f.Replicas != nil:
		errs = append(errs, field.Forbidden(replicas, fmt.Sprintf("only allowed in a fallback of type Replicas, this one is of type %s", f.Type)))
	}
	return out, errs
}
