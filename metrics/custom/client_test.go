package custom

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta1"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// apiServer answers by path; what it has not is not found.
type apiServer struct {
	answers map[string]any
	asked   atomic.Int64
	query   atomic.Pointer[string]
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	query := r.URL.Query().Encode()
	s.query.Store(&query)
	answer, ok := s.answers[r.URL.Path]
	switch a := answer.(type) {
	case nil:
		if ok {
			<-r.Context().Done()
			return
		}
		// As the aggregator answers for a group that nobody serves.
		http.Error(w, "404 page not found", http.StatusNotFound)
	case string:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(a))
	case metav1.Status:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(a.Code))
		_ = json.NewEncoder(w).Encode(a)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a)
	}
}

func group(name string, versions ...string) metav1.APIGroup {
	g := metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: name}
	for _, v := range versions {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	g.PreferredVersion = g.Versions[0]
	return g
}

const (
	customGroup = "/apis/custom.metrics.k8s.io"
	customV2    = customGroup + "/v1beta2/namespaces/shop/"
	externalV1  = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/"
)

// serve returns a client of a server with both APIs and the given answers.
func serve(t *testing.T, answers map[string]any) (*Client, *apiServer) {
	t.Helper()
	s := &apiServer{answers: map[string]any{
		customGroup: group(v1beta2.GroupName, "v1beta2", "v1beta1"), "/apis/external.metrics.k8s.io": group(external.GroupName, "v1beta1"),
	}}
	maps.Copy(s.answers, answers)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "networking.k8s.io", Version: "v1"}, {Version: "v1"}})
	mapper.Add(schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}, meta.RESTScopeNamespace)
	mapper.Add(schema.GroupVersionKind{Version: "v1", Kind: "Service"}, meta.RESTScopeNamespace)
	c, err := New(&rest.Config{Host: server.URL}, client, mapper)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func value(kind, name, quantity string) v1beta2.MetricValue {
	return v1beta2.MetricValue{
		DescribedObject: corev1.ObjectReference{Kind: kind, Namespace: "shop", Name: name},
		Metric:          v1beta2.MetricIdentifier{Name: "requests"},
		Timestamp:       metav1.NewTime(noon), Value: resource.MustParse(quantity),
	}
}

func list(items ...v1beta2.MetricValue) v1beta2.MetricValueList {
	return v1beta2.MetricValueList{
		TypeMeta: metav1.TypeMeta{Kind: "MetricValueList", APIVersion: v1beta2.SchemeGroupVersion.String()}, Items: items,
	}
}

func status(code int32, reason metav1.StatusReason, message string) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}
}

func selector(t *testing.T, s string) labels.Selector {
	t.Helper()
	parsed, err := labels.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestPods(t *testing.T) {
	seconds := int64(30)
	withWindow := value("Pod", "a", "1500m")
	withWindow.WindowSeconds = &seconds
	c, s := serve(t, map[string]any{customV2 + "pods/*/requests": list(withWindow, value("Pod", "b", "0.0001"), value("Pod", "c", "-2"), value("Pod", "d", "1e18"))})
	got, err := c.Pods(t.Context(), "shop", "requests", selector(t, "app=cart,tier in (web)"), selector(t, "code=200"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]PodValue{
		"a": {1500, noon, 30 * time.Second},
		"b": {1, noon, time.Minute},
		"c": {-2000, noon, time.Minute},
		"d": {math.MaxInt64, noon, time.Minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if q := *s.query.Load(); q != "labelSelector=app%3Dcart%2Ctier+in+%28web%29&metricLabelSelector=code%3D200" {
		t.Errorf("asked with %s", q)
	}
	if _, err := c.Pods(t.Context(), "shop", "requests", nil, nil); err != nil {
		t.Errorf("without selectors: %v", err)
	}
}

func TestPodsOfAnOlderAPI(t *testing.T) {
	c, _ := serve(t, map[string]any{
		customGroup: group(v1beta1.GroupName, "v1beta1"),
		customGroup + "/v1beta1/namespaces/shop/pods/*/requests": v1beta1.MetricValueList{
			TypeMeta: metav1.TypeMeta{Kind: "MetricValueList", APIVersion: v1beta1.SchemeGroupVersion.String()},
			Items: []v1beta1.MetricValue{{
				DescribedObject: corev1.ObjectReference{Kind: "Pod", Name: "a"}, MetricName: "requests", Timestamp: metav1.NewTime(noon), Value: resource.MustParse("3"),
			}},
		},
	})
	got, err := c.Pods(t.Context(), "shop", "requests", nil, nil)
	if diff := cmp.Diff(map[string]PodValue{"a": {3000, noon, time.Minute}}, got); err != nil || diff != "" {
		t.Errorf("values (-want +got), error %v:\n%s", err, diff)
	}
}

func TestObject(t *testing.T) {
	c, _ := serve(t, map[string]any{
		customV2 + "ingresses.networking.k8s.io/front/requests": list(value("Ingress", "front", "250")),
		customV2 + "services/cart/requests":                     list(value("Service", "cart", "7")),
		customV2 + "metrics/requests":                           list(value("Namespace", "shop", "9")),
		customV2 + "services/two/requests":                      list(value("Service", "two", "7"), value("Service", "two", "8")),
		customV2 + "services/none/requests":                     list(),
	})
	tests := []struct {
		name   string
		object Object
		want   Value
		err    string
	}{
		{"of a group", Object{"networking.k8s.io/v1", "Ingress", "front"}, Value{250000, noon}, ""},
		{"of the core", Object{"v1", "Service", "cart"}, Value{7000, noon}, ""},
		{"the namespace itself, whatever its name", Object{"v1", "Namespace", "other"}, Value{9000, noon}, ""},
		{"two values", Object{"v1", "Service", "two"}, Value{}, "metric requests of Service two: 2 values returned, allowed is one"},
		{"no value", Object{"v1", "Service", "none"}, Value{}, "metric requests of Service none: no values returned"},
		{"a kind that is not known", Object{"x.io/v1", "Thing", "a"}, Value{}, `metric requests of Thing a: kind Thing.x.io is not known: no matches for kind "Thing" in group "x.io"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.Object(t.Context(), "shop", tt.object, "requests", nil)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if got != tt.want || said != tt.err {
				t.Errorf("value is %+v, %q, want %+v, %q", got, said, tt.want, tt.err)
			}
		})
	}
}

func externalList(values ...string) external.ExternalMetricValueList {
	l := external.ExternalMetricValueList{TypeMeta: metav1.TypeMeta{Kind: "ExternalMetricValueList", APIVersion: external.SchemeGroupVersion.String()}}
	for i, v := range values {
		l.Items = append(l.Items, external.ExternalMetricValue{
			MetricName: "queue", Timestamp: metav1.NewTime(noon.Add(time.Duration(-i) * time.Second)), Value: resource.MustParse(v),
		})
	}
	return l
}

func TestExternal(t *testing.T) {
	c, s := serve(t, map[string]any{
		externalV1 + "queue": externalList("1", "2500m", "-0.5"),
		externalV1 + "huge":  externalList("9e15", "9e15", "5"),
		externalV1 + "tiny":  externalList("-9e15", "-9e15"),
		externalV1 + "zero":  externalList("0"),
		externalV1 + "vast":  `{"kind":"ExternalMetricValueList","items":[{"timestamp":"2026-03-01T12:00:00Z","value":"1e999999999"}]}`,
		externalV1 + "void":  `{"items":[{"timestamp":"2026-03-01T12:00:00Z","value":"0e999999999"}]}`,
		externalV1 + "none":  externalList(),
		externalV1 + "other": list(value("Pod", "a", "1")),
		externalV1 + "text":  "<html>",
		externalV1 + "gone":  status(404, metav1.StatusReasonNotFound, "the server could not find the metric gone"),
		externalV1 + "down":  status(503, metav1.StatusReasonServiceUnavailable, "no endpoints\n available"),
		externalV1 + "no":    status(403, metav1.StatusReasonForbidden, "forbidden: User cannot get"),
	})
	tests := []struct {
		metric string
		want   Value
		err    string
	}{
		{"queue", Value{3000, noon.Add(-2 * time.Second)}, ""},
		{"huge", Value{math.MaxInt64, noon.Add(-2 * time.Second)}, ""},
		{"tiny", Value{math.MinInt64, noon.Add(-time.Second)}, ""},
		{"zero", Value{0, noon}, ""},
		{"vast", Value{math.MaxInt64, noon}, ""},
		{"void", Value{0, noon}, ""},
		{"none", Value{}, "external metric none: no values returned"},
		{"other", Value{}, `external metric other: the answer is a "MetricValueList", allowed is a list of values of external metrics`},
		{"text", Value{}, "external metric text: the answer cannot be read: invalid character '<' looking for beginning of value"},
		{"gone", Value{}, "external metric gone: the server could not find the metric gone"},
		{"down", Value{}, "external metric down: no endpoints available"},
		{"no", Value{}, "external metric no: forbidden: User cannot get"},
	}
	for _, tt := range tests {
		t.Run(tt.metric, func(t *testing.T) {
			got, err := c.External(t.Context(), "shop", tt.metric, selector(t, "q=a"))
			said := ""
			if err != nil {
				said = err.Error()
			}
			if got != tt.want || said != tt.err {
				t.Errorf("value is %+v, %q, want %+v, %q", got, said, tt.want, tt.err)
			}
			if errors.Is(err, ErrNoValues) != (tt.metric == "none") {
				t.Errorf("error is %v: is it ErrNoValues?", err)
			}
		})
	}
	if q := *s.query.Load(); q != "labelSelector=q%3Da" {
		t.Errorf("asked with %s", q)
	}
}

func TestAnAPIThatIsNotInstalled(t *testing.T) {
	c, s := serve(t, nil)
	delete(s.answers, customGroup)
	s.answers["/apis/external.metrics.k8s.io"] = group(external.GroupName, "v1", "v2")
	_, err := c.Pods(t.Context(), "shop", "requests", nil, nil)
	var missing *NotInstalledError
	if !errors.As(err, &missing) || err.Error() != "metric requests of the pods: the API custom.metrics.k8s.io is not installed in this cluster" {
		t.Errorf("error is %v", err)
	}
	_, err = c.External(t.Context(), "shop", "queue", nil)
	if !errors.As(err, &missing) || err.Error() != "external metric queue: the API external.metrics.k8s.io has the versions [v1 v2] in this cluster, of which none is known" {
		t.Errorf("error is %v", err)
	}
	before := s.asked.Load()
	for range 10 {
		if _, err := c.Object(t.Context(), "shop", Object{"v1", "Service", "cart"}, "requests", nil); !errors.As(err, &missing) {
			t.Fatalf("error is %v", err)
		}
	}
	if n := s.asked.Load() - before; n != 0 {
		t.Errorf("asked %d times for an API that was not there just now", n)
	}
}

func TestAnAPIIsAskedForAgain(t *testing.T) {
	c, s := serve(t, nil)
	delete(s.answers, customGroup)
	ask := func(after time.Duration) (string, error) {
		v, err := c.custom.version(t.Context(), c.rest, noon.Add(after))
		return v.Version, err
	}
	if _, err := ask(0); err == nil {
		t.Fatal("it is there")
	}
	s.answers[customGroup] = group(v1beta2.GroupName, "v9", "v1beta1")
	if _, err := ask(missingFor - 1); err == nil {
		t.Error("it was asked for before its time")
	}
	if v, err := ask(missingFor); err != nil || v != "v1beta1" {
		t.Errorf("version is %q, %v, want the one that is known", v, err)
	}
	s.answers[customGroup] = status(500, metav1.StatusReasonInternalError, "etcd is away")
	if v, err := ask(missingFor + 2*foundFor); err != nil || v != "v1beta1" {
		t.Errorf("version is %q, %v, want what was known", v, err)
	}
	s.answers[customGroup] = group(v1beta2.GroupName, "v1beta2")
	if v, err := ask(missingFor + 3*foundFor); err != nil || v != "v1beta2" {
		t.Errorf("version is %q, %v, want the new one", v, err)
	}
}

func TestAServerThatFailsIsNoMissingAPI(t *testing.T) {
	c, s := serve(t, nil)
	s.answers[customGroup] = status(403, metav1.StatusReasonForbidden, "forbidden: no")
	_, err := c.Pods(t.Context(), "shop", "requests", nil, nil)
	var missing *NotInstalledError
	if errors.As(err, &missing) || err == nil || err.Error() != "metric requests of the pods: ask for the API custom.metrics.k8s.io: forbidden: no" {
		t.Errorf("error is %v", err)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	c, _ := serve(t, map[string]any{customV2 + "pods/*/requests": nil, externalV1 + "queue": nil})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Pods(ctx, "shop", "requests", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if _, err := c.External(ctx, "shop", "queue", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

// Who writes an autoscaler chooses the names in it, and must not choose the path that the controller asks.
func TestNamesDoNotLeaveTheirPlaceInThePath(t *testing.T) {
	c, s := serve(t, nil)
	if _, err := c.Pods(t.Context(), "shop", "warm-up", nil, nil); err == nil {
		t.Fatal("there is a value")
	}
	if _, err := c.External(t.Context(), "shop", "warm-up", nil); err == nil {
		t.Fatal("there is a value")
	}
	before := s.asked.Load()
	for _, name := range []string{"../../../../../api/v1/namespaces/kube-system/secrets", "..", ".", "a/b", "a%2fb"} {
		if _, err := c.Pods(t.Context(), "shop", name, nil, nil); err == nil || !strings.Contains(err.Error(), "invalid") {
			t.Errorf("metric %q of pods: error is %v", name, err)
		}
		if _, err := c.External(t.Context(), "shop", name, nil); err == nil || !strings.Contains(err.Error(), "invalid") {
			t.Errorf("external metric %q: error is %v", name, err)
		}
		if _, err := c.Object(t.Context(), "shop", Object{"v1", "Service", name}, "requests", nil); err == nil || !strings.Contains(err.Error(), "invalid") {
			t.Errorf("object %q: error is %v", name, err)
		}
		if _, err := c.Object(t.Context(), "shop", Object{"v1", "Namespace", "x"}, name, nil); err == nil || !strings.Contains(err.Error(), "invalid") {
			t.Errorf("metric %q of the namespace: error is %v", name, err)
		}
	}
	if n := s.asked.Load() - before; n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func FuzzDecodeExternal(f *testing.F) {
	for _, l := range []any{externalList("1", "2500m"), externalList(), list(value("Pod", "a", "1")), map[string]any{"items": []any{nil}}} {
		body, err := json.Marshal(l)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"items":[{"value":"1e999999999"}]}`))
	f.Add([]byte(`{"items":[{"value":"-9223372036854775808"},{"value":"0.0000001"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var l external.ExternalMetricValueList
		if decodeExternal(body, &l) != nil {
			return
		}
		for i := range l.Items {
			q := &l.Items[i].Value
			if got := milli(q); q.Sign() > 0 && got <= 0 || q.Sign() < 0 && got > 0 {
				t.Errorf("%s is %d thousandths", q, got)
			}
		}
	})
}
