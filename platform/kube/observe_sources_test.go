package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/metrics/promql"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// query is a Prometheus that answers every query with the same.
type query struct {
	value promql.Value
	err   error
}

func (q query) Query(context.Context, string) (promql.Value, error) { return q.value, q.err }

// metricsAPI answers for custom.metrics.k8s.io and external.metrics.k8s.io.
func metricsAPI(at time.Time) apitest.Hook {
	stamp := at.UTC().Format(time.RFC3339)
	group := func(name, version string) string {
		v := fmt.Sprintf(`{"groupVersion":"%s/%s","version":%q}`, name, version, version)
		return fmt.Sprintf(`{"kind":"APIGroup","apiVersion":"v1","name":%q,"versions":[%s],"preferredVersion":%s}`, name, v, v)
	}
	value := func(kind, name, metric, v string) string {
		return fmt.Sprintf(`{"describedObject":{"kind":%q,"namespace":"shop","name":%q},"metric":{"name":%q},"timestamp":%q,"value":%q}`, kind, name, metric, stamp, v)
	}
	list := func(items ...string) string {
		return `{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},"items":[` + strings.Join(items, ",") + `]}`
	}
	const customAPI = "/apis/custom.metrics.k8s.io"
	answers := map[string]string{
		customAPI:                       group("custom.metrics.k8s.io", "v1beta2"),
		"/apis/external.metrics.k8s.io": group("external.metrics.k8s.io", "v1beta1"),
		customAPI + "/v1beta2/namespaces/shop/pods/*/hits":               list(value("Pod", "web-1", "hits", "12500m"), value("Pod", "elsewhere", "hits", "1")),
		customAPI + "/v1beta2/namespaces/shop/deployments.apps/web/load": list(value("Deployment", "web", "load", "7")),
		"/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue": fmt.Sprintf(
			`{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","items":[`+
				`{"metricName":"queue","timestamp":%q,"value":"3"},{"metricName":"queue","timestamp":%q,"value":"4"}]}`, stamp, stamp),
	}
	return func(rw http.ResponseWriter, r *http.Request) bool {
		body, ok := answers[strings.TrimSuffix(r.URL.Path, "/")]
		if ok {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, body)
		}
		return ok
	}
}

func average(v string) autoscalingv2.MetricTarget {
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: new(resource.MustParse(v))}
}

func podsMetric(name string) v1alpha1.MetricSpec {
	return v1alpha1.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{
		Metric: autoscalingv2.MetricIdentifier{Name: name}, Target: average("10"),
	}}
}

// everyMetric has one metric of each source that is no Resource.
func everyMetric(a *v1alpha1.Autoscaler) {
	queue := autoscalingv2.MetricIdentifier{Name: "queue", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"q": "in"}}}
	a.Spec.Metrics = []v1alpha1.MetricSpec{
		{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
			Name: corev1.ResourceCPU, Container: "web", Target: average("100m"),
		}},
		{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
			Name: corev1.ResourceMemory, Container: "proxy", Target: average("1Mi"),
		}},
		podsMetric("hits"),
		{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{
			DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			Metric:          autoscalingv2.MetricIdentifier{Name: "load"}, Target: average("10"),
		}},
		{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{Metric: queue, Target: average("10")}},
		{Type: v1alpha1.MetricPrometheus, Prometheus: &v1alpha1.PrometheusMetricSource{Query: "sum(up)", Target: average("10")}},
	}
}

// readings returns the readings by the name of their source.
func readings(obs hpa.Observation) map[string]hpa.Reading {
	out := map[string]hpa.Reading{}
	for _, r := range obs.Readings {
		out[r.Source.String()] = r
	}
	return out
}

func TestObserveEverySource(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", everyMetric)
	w.pod(t, "web-3", "sidecar")
	w.sample("web-1", "web", 30, 1<<20)
	w.sample("web-3", "web", 40, 2<<20)
	w.sample("web-3", "proxy", 5, 1<<20)
	at := w.now.Truncate(time.Second)
	w.Hook(metricsAPI(at))
	p := w.start(t, func(o *Options) {
		o.Sources = Sources{CustomMetrics: true, Prometheus: query{value: promql.Value{Milli: 2500, At: at}}}
	})
	a := only(t, p, "web")
	if _, err := p.Observe(t.Context(), a, w.now); !errors.Is(err, control.ErrNotYet) {
		t.Errorf("error before anything was read: %v", err)
	}
	first := readings(observe(t, p, a, w.now))
	for _, name := range []string{"hits", "load", "queue", "sum(up)"} {
		if r := first[name]; r.Known || r.Why != "it has not been read yet" {
			t.Errorf("%s before anything was read: %+v", name, r)
		}
	}
	var got map[string]hpa.Reading
	until(t, "every source has answered", func() bool {
		got = readings(observe(t, p, a, time.Now()))
		return got["hits"].Known && got["load"].Known && got["queue"].Known && got["sum(up)"].Known
	})
	if _, err := p.Observe(t.Context(), a, time.Now()); err != nil {
		t.Errorf("error once every source has answered: %v", err)
	}
	for name, want := range map[string]hpa.Reading{
		"load":    {Known: true, From: "custom.metrics.k8s.io", Value: 7000, At: at},
		"queue":   {Known: true, From: "external.metrics.k8s.io", Value: 7000, At: at},
		"sum(up)": {Known: true, From: "prometheus", Value: 2500, At: at},
		"hits": {Known: true, From: "custom.metrics.k8s.io", At: at, Window: time.Minute, Replicas: []hpa.Usage{
			{Known: true, Value: 12500, At: at, Window: time.Minute}, {Why: "no value"}, {Why: "no value"},
		}},
		"cpu of container web": {Known: true, At: w.now, Window: 15 * time.Second, Replicas: []hpa.Usage{
			{Known: true, Value: 30, Request: 100, At: w.now, Window: 15 * time.Second},
			{Why: "Missing", Request: 100},
			{Known: true, Value: 40, Request: 100, At: w.now, Window: 15 * time.Second},
		}},
		"memory of container proxy": {Known: true, At: w.now, Window: 15 * time.Second, Replicas: []hpa.Usage{
			{Why: "Missing", RequestMissing: "proxy"},
			{Why: "Missing", RequestMissing: "proxy"},
			{Known: true, Value: 1 << 20, Request: 32 << 20, At: w.now, Window: 15 * time.Second},
		}},
	} {
		have := got[name]
		have.Source = hpa.Source{}
		if diff := cmp.Diff(want, have, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// An answer that was got too long ago says nothing, whatever it says of its own time.
	for name, r := range readings(observe(t, p, a, time.Now().Add(2*time.Minute))) {
		if !strings.Contains(name, "container") && (r.Known || !strings.HasPrefix(r.Why, "the last value is 2m")) {
			t.Errorf("%s two minutes later: known %v because %q", name, r.Known, r.Why)
		}
	}
}

func TestSourcesThatAreNotThere(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", everyMetric)
	p := w.start(t, nil)
	if _, err := p.Observe(t.Context(), only(t, p, "web"), w.now); err != nil {
		t.Errorf("what is not there is waited for: %v", err)
	}
	got := readings(observe(t, p, only(t, p, "web"), w.now))
	for name, want := range map[string]string{
		"hits": "sources.customMetrics", "load": "sources.customMetrics", "queue": "sources.customMetrics", "sum(up)": "sources.prometheus.address",
	} {
		if r := got[name]; r.Known || !strings.Contains(r.Why, want) {
			t.Errorf("%s is known %v because %q, want %q named", name, r.Known, r.Why, want)
		}
	}
}

func TestASlowSourceDelaysNobody(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "slow", func(a *v1alpha1.Autoscaler) { a.Spec.Metrics = []v1alpha1.MetricSpec{podsMetric("hits")} })
	w.autoscaler(t, "quick", func(a *v1alpha1.Autoscaler) {
		a.Spec.Metrics = []v1alpha1.MetricSpec{podsMetric("others")}
		a.Spec.Mode = v1alpha1.ModeDryRun
	})
	api := metricsAPI(w.now)
	asked, hang := atomic.Bool{}, make(chan struct{})
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/hits") { // never answers while the test goes on
			asked.Store(true)
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return false
		}
		r.URL.Path = strings.Replace(r.URL.Path, "/others", "/hits", 1)
		return api(rw, r)
	})
	p := w.start(t, func(o *Options) { o.Sources.CustomMetrics = true })
	t.Cleanup(func() { close(hang) })
	slow, quick := only(t, p, "slow"), only(t, p, "quick")
	until(t, "the slow one is asked", func() bool { observe(t, p, slow, time.Now()); return asked.Load() })
	until(t, "the quick one is read meanwhile", func() bool { return observe(t, p, quick, time.Now()).Readings[0].Known })
	if r := observe(t, p, slow, time.Now()).Readings[0]; r.Known {
		t.Errorf("the slow one is known: %+v", r)
	}
}

// page serves a metrics page of one pod: a gauge, and a CPU counter of half a core.
func page(t *testing.T) (port int) {
	t.Helper()
	began := time.Now()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, "# TYPE inflight gauge\ninflight{path=\"a\"} 2.5\ninflight{path=\"b\"} 1\n"+
			"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %f\n"+
			"process_start_time_seconds %d\n", time.Since(began).Seconds()/2, began.Unix())
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err = strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// located changes a stored pod so that it is reached on this machine.
func (w *world) located(t *testing.T, name string, change func(*corev1.Pod)) {
	t.Helper()
	var pod corev1.Pod
	w.Get(t, "pods", "shop", name, &pod)
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	pod.Status.PodIP = "127.0.0.1"
	change(&pod)
	w.Put(t, &pod)
}

func TestTheAppsOwnPage(t *testing.T) {
	w := newWorld(t)
	port := page(t)
	w.autoscaler(t, "web", func(a *v1alpha1.Autoscaler) {
		inflight := podsMetric("inflight")
		inflight.Pods.Metric.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"path": "a"}}
		a.Spec.Metrics = []v1alpha1.MetricSpec{inflight, podsMetric("hits"), {
			Type:     autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU, Target: average("100m")},
		}}
	})
	w.autoscaler(t, "spec", func(a *v1alpha1.Autoscaler) {
		a.Spec.Mode = v1alpha1.ModeDryRun
		a.Spec.Metrics = []v1alpha1.MetricSpec{podsMetric("inflight")}
		a.Spec.AppMetrics = &v1alpha1.AppMetrics{Port: intstr.FromString("telemetry")}
	})
	w.located(t, "web-1", func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{app.AnnotationScrape: "true", app.AnnotationPort: strconv.Itoa(port)}
	})
	w.located(t, "web-2", func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "telemetry", ContainerPort: int32(port)}}
	})
	w.sample("web-1", "web", 30, 1<<20)
	w.Hook(metricsAPI(w.now))
	scraper, err := app.New(app.Config{Span: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	p := w.start(t, func(o *Options) { o.Sources = Sources{CustomMetrics: true, App: scraper} })
	a := only(t, p, "web")
	var obs hpa.Observation
	until(t, "page and metrics API are read", func() bool {
		obs = observe(t, p, a, time.Now())
		return obs.Readings[0].Known && obs.Readings[1].Known && obs.Replicas[0].CPU.From != ""
	})
	if r := obs.Readings[0]; r.From != "app /metrics" || r.Replicas[0].Value != 2500 || r.Replicas[1].Known || r.Replicas[1].Why != "no metrics page is told of" {
		t.Errorf("a metric of the page is %+v", r)
	}
	if r := obs.Readings[1]; r.From != "custom.metrics.k8s.io" || r.Replicas[0].Value != 12500 {
		t.Errorf("a metric that is not on the page is %+v", r)
	}
	cpu, memory := obs.Replicas[0].CPU, obs.Replicas[0].Memory
	if cpu.From != "app /metrics" || cpu.Value < 400 || cpu.Value > 600 || !cpu.At.After(w.now) || cpu.Request != 100 {
		t.Errorf("the page's cpu is %+v", cpu)
	}
	if memory.Value != 1<<20 || !memory.At.Equal(w.now) || memory.From != "" {
		t.Errorf("memory is %+v, want the kubelet's", memory)
	}
	// spec.appMetrics counts, whatever the annotations say: only web-2 has a port of that name.
	until(t, "the page of the spec is read", func() bool {
		obs = observe(t, p, only(t, p, "spec"), time.Now())
		return obs.Readings[0].Known
	})
	if r := obs.Readings[0]; r.Replicas[0].Why != "no container has a port named telemetry" || r.Replicas[1].Value != 3500 {
		t.Errorf("the page of the spec gives %+v", r)
	}
}
