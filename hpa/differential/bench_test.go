//go:build unix

package differential

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// BenchmarkDecision holds one decision about a target in steady state against Kubernetes', all inputs prepared:
//
//   - ours: the whole of it, with windows, limits, conditions and history (hpa.Decider)
//   - calculator: ReplicaCalculator.GetResourceReplicas alone, the exported part of theirs: the lister and the metric, no
//     window, limit, condition or history. It is the least that a decision of theirs can take.
//   - controller: one sync of the real controller, which reads and writes nothing beyond memory
//
// The ratios are theirs over ours, of the processor time that the process took, the garbage collector's too: how many times
// the throughput ours has. They hold on a busy machine, where the times per operation do not.
func BenchmarkDecision(b *testing.B) {
	for _, pods := range []int{10, 100} {
		b.Run(fmt.Sprintf("replicas=%d", pods), func(b *testing.B) {
			var ours float64
			b.Run("ours", func(b *testing.B) {
				ours = perOperation(b, benchmarkOurs(b, pods))
			})
			b.Run("calculator", func(b *testing.B) {
				b.ReportMetric(perOperation(b, benchmarkCalculator(b, pods))/ours, "x-ours")
			})
			b.Run("controller", func(b *testing.B) {
				b.ReportMetric(perOperation(b, benchmarkController(b, pods))/ours, "x-ours")
			})
		})
	}
}

// perOperation reports processor time in nanoseconds for each operation.
func perOperation(b *testing.B, took time.Duration) float64 {
	b.Helper()
	b.ReportAllocs()
	each := float64(took) / float64(b.N)
	b.ReportMetric(each, "cpu-ns/op")
	return each
}

// processor is the processor time of the process until now.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// target80 is the policy of all three: cpu at 80 % of the requests, with the defaults of Kubernetes.
func target80(pods int) hpa.Policy {
	p := hpa.DefaultPolicy()
	p.Max, p.Health = int32(2*pods), hpa.HealthPolicy{}
	return p
}

func benchmarkOurs(b *testing.B, pods int) time.Duration {
	b.Helper()
	p, now := target80(pods), time.Now()
	o := hpa.Observation{Current: int32(pods), StatusReplicas: int32(pods)}
	for i := range pods {
		o.Replicas = append(o.Replicas, hpa.Replica{
			Name: podName(i), Phase: cluster.PhaseRunning, StartedAt: now.Add(-time.Hour), Ready: true, ReadyKnown: true, ReadySince: now.Add(-time.Hour),
			CPU: hpa.Usage{Known: true, Value: 80, Request: 100, At: now, Window: 15 * time.Second},
		})
	}
	var d hpa.Decider
	var h hpa.History
	start := processor()
	for b.Loop() {
		var rec *hpa.Recommendation
		if rec, h = d.Decide(&p, &o, h, now); rec.Desired != o.Current {
			b.Fatal(d.Explain().Message)
		}
		now = now.Add(time.Second)
	}
	return processor() - start
}

func podName(i int) string { return fmt.Sprintf("web-%d", i) }

func steadyPods(pods int) (list []*v1.Pod, usage metricsclient.PodMetricsInfo) {
	now := time.Now()
	usage = metricsclient.PodMetricsInfo{}
	hour := time.Hour
	for i := range pods {
		p := Pod{Name: podName(i), App: "web", Phase: v1.PodRunning, Started: &hour, Ready: v1.ConditionTrue, ReadyFor: hour, Containers: []Container{
			{Name: "app", Requests: Amounts{CPU: resource.NewMilliQuantity(100, resource.DecimalSI)}},
		}}
		list = append(list, p.object(now))
		usage[p.Name] = metricsclient.PodMetric{Timestamp: now, Window: 15 * time.Second, Value: 80}
	}
	return list, usage
}

// prepared is a metrics client that has its answer ready. In a steady state nobody changes it.
type prepared struct{ usage metricsclient.PodMetricsInfo }

func (p prepared) GetResourceMetric(context.Context, v1.ResourceName, string, labels.Selector, string) (metricsclient.PodMetricsInfo, time.Time, error) {
	return p.usage, time.Time{}, nil
}

func (prepared) GetRawMetric(string, string, labels.Selector, labels.Selector) (metricsclient.PodMetricsInfo, time.Time, error) {
	return nil, time.Time{}, nil
}

func (prepared) GetObjectMetric(string, string, *autoscalingv2.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	return 0, time.Time{}, nil
}

func (prepared) GetExternalMetric(string, string, labels.Selector) ([]int64, time.Time, error) {
	return nil, time.Time{}, nil
}

func benchmarkCalculator(b *testing.B, pods int) time.Duration {
	b.Helper()
	list, usage := steadyPods(pods)
	index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, p := range list {
		if err := index.Add(p); err != nil {
			b.Fatal(err)
		}
	}
	c := podautoscaler.NewReplicaCalculator(prepared{usage}, corelisters.NewPodLister(index), 5*time.Minute, 30*time.Second)
	selector, err := labels.Parse("app=web")
	if err != nil {
		b.Fatal(err)
	}
	start := processor()
	for b.Loop() {
		n, _, _, _, err := c.GetResourceReplicas(b.Context(), int32(pods), 80, v1.ResourceCPU, podautoscaler.Tolerances{}, namespace, selector, "")
		if err != nil || n != int32(pods) {
			b.Fatal(n, err)
		}
	}
	return processor() - start
}

// scales is a client of the scale subresource that has its answer ready and counts how often it gave it.
type scales struct {
	scale.ScalesGetter
	scale.ScaleInterface
	answer autoscalingv1.Scale
	left   int
	first  bool
	settle func() // waits until the status of the first sync came back, or it would be written again
	begin  func() // called once as many are left as were wanted
	wanted int
	done   chan struct{}
}

func (s *scales) Scales(string) scale.ScaleInterface { return s }

func (s *scales) Get(_ context.Context, _ schema.GroupResource, _ string, _ metav1.GetOptions) (*autoscalingv1.Scale, error) {
	if s.left == s.wanted {
		s.begin()
	}
	if !s.first && s.left > s.wanted {
		s.settle()
	}
	s.first = false
	if s.left--; s.left == 0 {
		close(s.done)
	}
	if s.left < 0 {
		runtime.Goexit() // the worker's work is done
	}
	answer := s.answer
	return &answer, nil
}

// benchmarkController lets the controller sync without a pause: its period is 0.
func benchmarkController(b *testing.B, pods int) time.Duration {
	b.Helper()
	const warm = 10
	list, usage := steadyPods(pods)
	p := target80(pods)
	client := fake.NewSimpleClientset(autoscaler("web", &p))
	var start time.Duration
	begin := func() {
		b.ResetTimer()
		start = processor()
	}
	s := &scales{left: warm + b.N, wanted: b.N, first: true, begin: begin, done: make(chan struct{}), answer: autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: int32(pods)},
		Status:     autoscalingv1.ScaleStatus{Replicas: int32(pods), Selector: "app=web"},
	}}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{appsv1.SchemeGroupVersion})
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
	factory := informers.NewSharedInformerFactory(client, 0)
	podsIn := factory.Core().V1().Pods().Informer().GetIndexer()
	hpas := factory.Autoscaling().V2().HorizontalPodAutoscalers().Lister().HorizontalPodAutoscalers(namespace)
	s.settle = func() {
		for h, err := hpas.Get("web"); err != nil || len(h.Status.Conditions) < 3; h, err = hpas.Get("web") {
			time.Sleep(time.Millisecond)
		}
	}
	// A window of 5 minutes would fill with the recommendations of all these syncs. One of 0 keeps one, as theirs would keep
	// 20, and is the less work.
	c := podautoscaler.NewHorizontalController(b.Context(), client.CoreV1(), s, client.AutoscalingV2(), mapper, prepared{usage},
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), factory.Core().V1().Pods(), 0, 0, 0.1, 5*time.Minute, 30*time.Second)
	factory.Start(b.Context().Done())
	factory.WaitForCacheSync(b.Context().Done())
	for _, k := range list {
		if err := podsIn.Add(k); err != nil {
			b.Fatal(err)
		}
	}
	go c.Run(b.Context(), 1)
	<-s.done
	took := processor() - start
	b.StopTimer()
	return took
}
