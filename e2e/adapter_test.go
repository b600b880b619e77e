//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	custom "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// The metrics adapter of TestMetricsAPIsOfTheCluster is this test binary again, run in the network of the lab's first node
// with envAdapter set: the API server's aggregator has to reach it.
const (
	envAdapter  = "E2E_ADAPTER"
	adapterPort = 16443 // on the node; the API server has 6443
	customAPI   = "custom.metrics.k8s.io/v1beta2"
	externalAPI = "external.metrics.k8s.io/v1beta1"
)

// Pods, Object and External metrics come through the API server's aggregator from an adapter, as they do from a cluster's
// own, with the rights that the controller's role gives.
func TestMetricsAPIsOfTheCluster(t *testing.T) {
	t.Parallel()
	if env.lab == "" {
		t.Skip("SKIPPED: this cluster is not a lab, so no adapter can be run on its node")
	}
	s := newSpace(t, "adapter")
	startAdapter(t)
	s.register()
	s.deploy(workload{replicas: 2})
	s.set("queue", 8)   // of all replicas
	s.set("backlog", 1) // that the Deployment has
	s.set("work", 1)    // each replica
	s.scale(func(a *v1alpha1.AutoscalerSpec) {
		whole := autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: new(resource.MustParse("1"))}
		a.Metrics = []v1alpha1.MetricSpec{
			{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: "queue"}, Target: perReplica("4"),
			}},
			{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{
				DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: web},
				Metric:          autoscalingv2.MetricIdentifier{Name: "backlog"}, Target: whole,
			}},
			{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: "work"}, Target: perReplica("1"),
			}},
		}
	})
	s.awaitAutoscaler("two replicas, and where each metric comes from", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		d := st.LastDecision
		if d == nil || len(d.Metrics) != 3 {
			return fmt.Errorf("the last decision is %+v", d)
		}
		for i, want := range []string{"external.metrics.k8s.io", "custom.metrics.k8s.io", "custom.metrics.k8s.io"} {
			if m := d.Metrics[i]; m.Error != "" || !strings.Contains(m.From, want) || m.Replicas != 2 {
				return fmt.Errorf("%+v does not ask for two replicas from %s", m, want)
			}
		}
		return hasReplicas(2)(st)
	})
	s.set("queue", 12)
	s.awaitAutoscaler("three replicas for a queue of twelve", time.Minute, hasReplicas(3))
	s.set("queue", -1) // no such metric
	s.set("work", 4)
	s.awaitAutoscaler("four replicas for the work of each, though the queue is not known", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		return errors.Join(hasReplicas(4)(st), conditionIs(st.Conditions, v1alpha1.ConditionScalingLimited, metav1.ConditionTrue, string(hpa.ReasonTooManyReplicas)))
	})
	s.set("backlog", 0)
	s.set("work", 0)
	s.awaitAutoscaler("nothing less while the queue is not known", time.Minute, decided(hpa.ReasonInvalidMetrics))
	s.set("queue", 8)
	s.awaitAutoscaler("two replicas again", time.Minute, hasReplicas(2))
}

// register makes the API server ask the adapter for both APIs, until the test ends.
func (s *space) register() {
	s.t.Helper()
	ctx := s.t.Context()
	port := int32(adapterPort)
	if _, err := env.kube.CoreV1().Services(s.name).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "adapter"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := env.kube.DiscoveryV1().EndpointSlices(s.name).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "adapter", Labels: map[string]string{discoveryv1.LabelServiceName: "adapter"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new("https"), Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.88.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	services := env.objects.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
	for _, api := range []string{customAPI, externalAPI} {
		group, version, _ := strings.Cut(api, "/")
		name := version + "." + group
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": name},
			"spec": map[string]any{
				"group": group, "version": version, "groupPriorityMinimum": int64(100), "versionPriority": int64(100), "insecureSkipTLSVerify": true,
				"service": map[string]any{"name": "adapter", "namespace": s.name, "port": int64(443)},
			},
		}}
		if _, err := services.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() {
			// An API that is registered and does not answer keeps every namespace from being removed.
			if err := services.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
				s.t.Error(err)
			}
		})
	}
	for _, api := range []string{customAPI, externalAPI} {
		s.await("the API "+api, time.Minute, func(context.Context) error {
			_, err := env.kube.Discovery().ServerResourcesForGroupVersion(api)
			return err
		})
	}
}

// set gives a metric its value; a negative one takes it away. The adapter also learns which pods there are.
func (s *space) set(name string, value int) {
	s.t.Helper()
	pods, err := s.pods(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for i := range pods {
		names = append(names, pods[i].Name)
	}
	s.tell("pods", strings.Join(names, ","))
	s.tell(name, strconv.Itoa(value))
}

func (s *space) tell(name, value string) {
	s.t.Helper()
	s.await("the value of "+name, 20*time.Second, func(ctx context.Context) error {
		return env.kube.Discovery().RESTClient().Get().AbsPath("/apis/"+externalAPI+"/set").Param("name", name).
			Param("value", value).Do(ctx).Error()
	})
}

// startAdapter runs this binary as the adapter until the test ends.
func startAdapter(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(env.lab, "enter", self)
	cmd.Env = append(os.Environ(), envAdapter+"=1")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = endsWithUs()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // how it ended is of no interest
		if t.Failed() {
			t.Logf("the adapter says:\n%s", log.String())
		}
	})
}

// adapter keeps values that a test has set and serves them as the metrics APIs do.
type adapter struct {
	mu     sync.Mutex
	values map[string]string
}

// runAdapter serves until standard input ends, and returns the exit code.
func runAdapter() int {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "adapter"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fail(err)
	}
	server := &http.Server{
		Addr: fmt.Sprintf(":%d", adapterPort), Handler: (&adapter{values: map[string]string{}}).routes(), ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}},
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func (a *adapter) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apis/"+customAPI, resources(customAPI, "pods/work", "deployments.apps/backlog"))
	mux.HandleFunc("GET /apis/"+externalAPI, resources(externalAPI, "queue"))
	mux.HandleFunc("GET /apis/"+externalAPI+"/set", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if name, value := r.FormValue("name"), r.FormValue("value"); strings.HasPrefix(value, "-") {
			delete(a.values, name)
		} else {
			a.values[name] = value
		}
		answer(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
	})
	mux.HandleFunc("GET /apis/"+customAPI+"/namespaces/{ns}/{resource}/{name}/{metric}", func(w http.ResponseWriter, r *http.Request) {
		names := []string{r.PathValue("name")}
		if names[0] == "*" {
			a.mu.Lock()
			names = strings.Split(a.values["pods"], ",")
			a.mu.Unlock()
		}
		list := custom.MetricValueList{TypeMeta: metav1.TypeMeta{Kind: "MetricValueList", APIVersion: customAPI}}
		if q, ok := a.value(r.PathValue("metric")); ok {
			for _, n := range names {
				list.Items = append(list.Items, custom.MetricValue{
					DescribedObject: corev1.ObjectReference{Kind: "Pod", Namespace: r.PathValue("ns"), Name: n},
					Metric:          custom.MetricIdentifier{Name: r.PathValue("metric")}, Timestamp: metav1.Now(), Value: q,
				})
			}
		}
		answer(w, list)
	})
	mux.HandleFunc("GET /apis/"+externalAPI+"/namespaces/{ns}/{metric}", func(w http.ResponseWriter, r *http.Request) {
		list := external.ExternalMetricValueList{TypeMeta: metav1.TypeMeta{Kind: "ExternalMetricValueList", APIVersion: externalAPI}}
		if q, ok := a.value(r.PathValue("metric")); ok {
			list.Items = append(list.Items, external.ExternalMetricValue{MetricName: r.PathValue("metric"), Timestamp: metav1.Now(), Value: q})
		}
		answer(w, list)
	})
	return mux
}

func (a *adapter) value(name string) (resource.Quantity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.values[name]
	if !ok {
		return resource.Quantity{}, false
	}
	q, err := resource.ParseQuantity(v)
	return q, err == nil
}

func resources(api string, names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: api}
		for _, n := range names {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: n, Namespaced: true, Kind: "MetricValueList", Verbs: metav1.Verbs{"get"}})
		}
		answer(w, list)
	}
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}
