package custom

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	internal "k8s.io/metrics/pkg/apis/custom_metrics"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/custom_metrics/scheme"
)

// defaultWindow is what a value covers that does not say, as Kubernetes' own autoscaler has it.
const defaultWindow = time.Minute

// PodValue is the value of a metric of one pod.
type PodValue struct {
	// Milli is the value in thousandths, and the nearest number there is where it is too large.
	Milli int64
	// At is the time of the value, and Window the span that it covers; 1m where the answer does not say.
	At     time.Time
	Window time.Duration
}

// Value is one value in thousandths, and the nearest number there is where it is too large.
type Value struct {
	Milli int64
	// At is the time of the value; of a sum that of its oldest part.
	At time.Time
}

// Object names an object that a metric describes.
type Object struct {
	// APIVersion is a group and a version, or v1.
	APIVersion, Kind, Name string
}

// ErrNoValues is the error of an answer without a value.
var ErrNoValues = errors.New("no values returned")

// Client asks an API server. Make one with New. It is safe for concurrent use.
type Client struct {
	rest    rest.Interface
	mapper  meta.RESTMapper
	convert *custom_metrics.MetricConverter

	custom, external installed
}

// New returns a client of the API server that config is of, with the given HTTP client (as rest.HTTPClientFor makes it).
// mapper translates the kinds of objects. The role needs get and list on all resources of custom.metrics.k8s.io and
// external.metrics.k8s.io.
func New(config *rest.Config, client *http.Client, mapper meta.RESTMapper) (*Client, error) {
	own := rest.CopyConfig(config)
	own.APIPath, own.GroupVersion = "/apis", &v1beta2.SchemeGroupVersion // replaced by the version that is there
	own.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	own.ContentType, own.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	// Whoever polls bounds how much is asked at once; the default of five requests a second would hold back 80 metrics.
	own.QPS, own.RateLimiter = -1, nil
	if own.UserAgent == "" {
		own.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	c, err := rest.RESTClientForConfigAndClient(own, client)
	if err != nil {
		return nil, fmt.Errorf("make client of metrics: %w", err)
	}
	return &Client{
		rest: c, mapper: mapper, convert: custom_metrics.NewMetricConverter(),
		custom:   installed{group: v1beta2.GroupName, known: custom_metrics.MetricVersions},
		external: installed{group: external.GroupName, known: []schema.GroupVersion{external.SchemeGroupVersion}},
	}, nil
}

// Pods returns the values of a metric for the pods that podSelector matches, by name. A nil selector matches all. The
// error is one plain sentence; it is ErrNoValues where there is none.
func (c *Client) Pods(ctx context.Context, namespace, metric string, podSelector, metricSelector labels.Selector) (map[string]PodValue, error) {
	list, err := c.list(ctx, request{
		namespace: namespace, resource: "pods", name: v1beta2.AllObjects, metric: metric,
		options: internal.MetricListOptions{LabelSelector: text(podSelector), MetricLabelSelector: text(metricSelector)},
	})
	if err != nil {
		return nil, fmt.Errorf("metric %s of the pods: %w", metric, err)
	}
	values := make(map[string]PodValue, len(list))
	for i := range list {
		m := &list[i]
		v := PodValue{Milli: milli(&m.Value), At: m.Timestamp.UTC(), Window: defaultWindow}
		if m.WindowSeconds != nil {
			v.Window = time.Duration(*m.WindowSeconds) * time.Second
		}
		values[m.DescribedObject.Name] = v
	}
	return values, nil
}

// Object returns the value of a metric that describes an object of the namespace, or the namespace itself where the
// object is one of kind Namespace, whatever its name: an autoscaler sees no other. The error is one plain sentence.
func (c *Client) Object(ctx context.Context, namespace string, o Object, metric string, selector labels.Selector) (Value, error) {
	v, err := c.object(ctx, namespace, o, metric, selector)
	if err != nil {
		return Value{}, fmt.Errorf("metric %s of %s %s: %w", metric, o.Kind, o.Name, err)
	}
	return v, nil
}

func (c *Client) object(ctx context.Context, namespace string, o Object, metric string, selector labels.Selector) (Value, error) {
	r := request{namespace: namespace, name: o.Name, metric: metric, options: internal.MetricListOptions{MetricLabelSelector: text(selector)}}
	kind := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).GroupKind()
	if kind.Group == "" && kind.Kind == "Namespace" {
		r.resource, r.name, r.metric = "metrics", metric, ""
	} else {
		mapping, err := c.mapper.RESTMapping(kind)
		if err != nil {
			return Value{}, fmt.Errorf("kind %s is not known: %w", kind, err)
		}
		r.resource = mapping.Resource.GroupResource().String()
	}
	list, err := c.list(ctx, r)
	if err != nil {
		return Value{}, err
	}
	if len(list) != 1 {
		return Value{}, fmt.Errorf("%d values returned, allowed is one", len(list))
	}
	return Value{Milli: milli(&list[0].Value), At: list[0].Timestamp.UTC()}, nil
}

// External returns the sum of the values of a metric from outside of the cluster. The error is one plain sentence; it is
// ErrNoValues where there is none. The name of the metric is asked for in lower case, as Kubernetes does.
func (c *Client) External(ctx context.Context, namespace, metric string, selector labels.Selector) (Value, error) {
	version, err := c.external.version(ctx, c.rest, time.Now())
	if err != nil {
		return Value{}, fmt.Errorf("external metric %s: %w", metric, err)
	}
	var list external.ExternalMetricValueList
	body, err := raw(c.rest.Get().AbsPath("/apis", version.Group, version.Version).Namespace(namespace).Resource(metric).
		Param("labelSelector", text(selector)).Do(ctx))
	if err == nil {
		err = decodeExternal(body, &list)
	}
	if err == nil && len(list.Items) == 0 {
		err = ErrNoValues
	}
	if err != nil {
		return Value{}, fmt.Errorf("external metric %s: %w", metric, plain(err))
	}
	sum := Value{At: list.Items[0].Timestamp.UTC()}
	for i := range list.Items {
		m := &list.Items[i]
		sum.Milli = add(sum.Milli, milli(&m.Value))
		if at := m.Timestamp.UTC(); at.Before(sum.At) {
			sum.At = at
		}
	}
	return sum, nil
}

// request is one of a metric of objects. Without a metric it is the name.
type request struct {
	namespace, resource, name, metric string
	options                           internal.MetricListOptions
}

// list returns at least one value.
func (c *Client) list(ctx context.Context, r request) ([]v1beta2.MetricValue, error) {
	version, err := c.custom.version(ctx, c.rest, time.Now())
	if err != nil {
		return nil, err
	}
	params, err := c.convert.ConvertListOptionsToVersion(&r.options, version)
	if err != nil {
		return nil, fmt.Errorf("convert options: %w", err)
	}
	// Each part is checked to be one segment of a path: the author of an autoscaler chooses the names.
	ask := c.rest.Get().AbsPath("/apis", version.Group, version.Version).Namespace(r.namespace).Resource(r.resource).Name(r.name)
	if r.metric != "" {
		ask = ask.SubResource(r.metric)
	}
	result := ask.SpecificallyVersionedParams(params, scheme.ParameterCodec, version).Do(ctx)
	if result.Error() != nil {
		return nil, plain(result.Error())
	}
	object, err := c.convert.ConvertResultToVersion(result, v1beta2.SchemeGroupVersion)
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w", err)
	}
	list, ok := object.(*v1beta2.MetricValueList)
	if !ok {
		return nil, fmt.Errorf("the answer is a %T, allowed is a list of values", object)
	}
	if len(list.Items) == 0 {
		return nil, ErrNoValues
	}
	return list.Items, nil
}

// text returns a selector as the API takes it.
func text(s labels.Selector) string {
	if s == nil {
		return ""
	}
	return s.String()
}
