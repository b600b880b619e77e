package differential

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	scalefake "k8s.io/client-go/scale/fake"
	core "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	customapi "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	externalapi "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	metricsapi "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsfake "k8s.io/metrics/pkg/client/clientset/versioned/fake"
	customfake "k8s.io/metrics/pkg/client/custom_metrics/fake"
	externalfake "k8s.io/metrics/pkg/client/external_metrics/fake"

	"github.com/homeostat/homeostat/hpa"
)

// decide is hpa.Decide, or what a test puts in its place.
type decide func(hpa.Policy, hpa.Observation, hpa.History, time.Time) (hpa.Recommendation, hpa.History)

// bubble is one cluster of fakes with the real controller in it. It lives in the fake time of testing/synctest.
type bubble struct {
	c       *Case
	decide  decide
	targets []*state
	client  *fake.Clientset
	podsIn  cache.Indexer
	hpasIn  cache.Indexer
	scales  *scalefake.FakeScaleClient
	sources []interface{ ClearActions() }

	step *Step
	at   time.Time // the sync that the step was made for
	pods []*v1.Pod // as long as step.Pods, nil where the pod is gone
	// begun has the target of every sync that the controller began.
	begun chan *state
}

// state is one target, and what ours makes of it.
type state struct {
	b        *bubble
	index    int
	name     string
	policy   hpa.Policy
	replicas int32
	selector labels.Selector // that the controller knows
	// retrying is true between a failed write and the read that follows it.
	retrying bool
	// of the sync
	read     bool // the scale could be read, so there was a decision
	before   int32
	seen     hpa.Observation
	rec      hpa.Recommendation
	panicked string
	writes   []int32
	written  bool

	history    hpa.History
	conditions map[string]hpa.Condition
	windows    windows
}

func (s *state) step() *TargetStep { return &s.b.step.Targets[s.index] }

// scaledToZero reads the condition as the controller does.
func (s *state) scaledToZero() bool {
	if !s.b.c.Gates.ScaleToZero {
		return false
	}
	for _, c := range s.b.status(s).Conditions {
		if c.Type == autoscalingv2.ScaledToZero {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

// status of the autoscaler as the controller sees it.
func (b *bubble) status(s *state) *autoscalingv2.HorizontalPodAutoscalerStatus {
	o, ok, err := b.hpasIn.GetByKey(namespace + "/" + s.name)
	if err != nil || !ok {
		return &autoscalingv2.HorizontalPodAutoscalerStatus{}
	}
	return &o.(*autoscalingv2.HorizontalPodAutoscaler).Status
}

// open starts the controller. Its targets come half a sync period after each other, so that their order is always the same.
func open(ctx context.Context, c *Case, decide decide) (*bubble, func(), error) {
	b := &bubble{c: c, decide: decide, client: fake.NewSimpleClientset(), scales: &scalefake.FakeScaleClient{}, begun: make(chan *state, 8)}
	ctx, cancel := context.WithCancel(ctx)
	factory := informers.NewSharedInformerFactory(b.client, 0)
	b.podsIn = factory.Core().V1().Pods().Informer().GetIndexer()
	b.hpasIn = factory.Autoscaling().V2().HorizontalPodAutoscalers().Informer().GetIndexer()
	b.scales.AddReactor("get", "deployments", b.getScale)
	b.scales.AddReactor("update", "deployments", b.updateScale)
	resources, custom, external := &metricsfake.Clientset{}, &customfake.FakeCustomMetricsClient{}, &externalfake.FakeExternalMetricsClient{}
	resources.AddReactor("list", "pods", b.listUsage)
	custom.AddReactor("get", "*", b.getCustom)
	external.AddReactor("list", "*", b.listExternal)
	b.sources = []interface{ ClearActions() }{b.scales, b.client, resources, custom, external}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{appsv1.SchemeGroupVersion})
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
	controller := podautoscaler.NewHorizontalController(ctx, b.client.CoreV1(), b.scales, b.client.AutoscalingV2(), mapper,
		metricsclient.NewRESTMetricsClient(resources.MetricsV1beta1(), custom, external),
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), factory.Core().V1().Pods(), c.SyncPeriod,
		c.DownscaleStabilization, c.Tolerance, c.CPUInitializationPeriod, c.InitialReadinessDelay)
	factory.Start(ctx.Done())
	go controller.Run(ctx, 1)
	end := func() {
		cancel()
		factory.Shutdown()
		time.Sleep(time.Minute) // the events' broadcaster ends in its own time
	}
	factory.WaitForCacheSync(ctx.Done())
	for i := range c.Targets {
		if err := b.add(ctx, i); err != nil {
			end()
			return nil, nil, err
		}
	}
	return b, end, nil
}

func (b *bubble) add(ctx context.Context, i int) error {
	t := &b.c.Targets[i]
	s := &state{
		b: b, index: i, name: t.Name, policy: b.c.policy(t.Policy), replicas: t.Replicas, selector: labels.Nothing(),
		conditions: map[string]hpa.Condition{},
	}
	b.targets = append(b.targets, s)
	h := autoscaler(t.Name, &t.Policy)
	if t.ScaledToZero {
		h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{
			Type: autoscalingv2.ScaledToZero, Status: v1.ConditionTrue, Reason: hpa.CondScaledToZero,
		}}
		s.conditions[hpa.ScaledToZero] = hpa.Condition{Type: hpa.ScaledToZero, Status: true, Reason: hpa.CondScaledToZero}
	}
	if i > 0 {
		time.Sleep(b.c.SyncPeriod / time.Duration(len(b.c.Targets)))
	}
	_, err := b.client.AutoscalingV2().HorizontalPodAutoscalers(namespace).Create(ctx, h, metav1.CreateOptions{})
	return err
}

// set makes the cluster that of the step.
func (b *bubble) set(ctx context.Context, step *Step, at time.Time) error {
	b.step, b.at, b.pods = step, at, make([]*v1.Pod, len(step.Pods))
	var objects []any
	for i := range step.Pods {
		if p := &step.Pods[i]; !p.Gone {
			b.pods[i] = p.object(at)
			objects = append(objects, b.pods[i])
		}
	}
	if err := b.podsIn.Replace(objects, ""); err != nil {
		return err
	}
	for _, s := range b.sources {
		s.ClearActions()
	}
	for i, s := range b.targets {
		t := &step.Targets[i]
		s.read, s.writes, s.written, s.panicked = false, nil, false, ""
		if t.Replicas != nil {
			s.replicas = *t.Replicas
		}
		if t.Policy == nil {
			continue
		}
		s.policy = b.c.policy(*t.Policy)
		client := b.client.AutoscalingV2().HorizontalPodAutoscalers(namespace)
		h, err := client.Get(ctx, s.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		h.Spec = autoscaler(s.name, t.Policy).Spec
		if _, err := client.Update(ctx, h, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (b *bubble) byName(name string) *state {
	for _, s := range b.targets {
		if s.name == name {
			return s
		}
	}
	return nil
}

// getScale is the first thing that the controller does in a sync, so ours decides here, at the same time.
func (b *bubble) getScale(a core.Action) (bool, runtime.Object, error) {
	s := b.byName(a.(core.GetAction).GetName())
	if !s.retrying {
		s.begin(time.Now())
		b.begun <- s
	}
	s.retrying = false
	if s.step().Fault == FaultRead {
		return true, nil, errors.New("the scale cannot be read")
	}
	return true, &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: s.replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: s.step().StatusReplicas, Selector: s.step().Selector},
	}, nil
}

// begin decides.
func (s *state) begin(now time.Time) {
	s.before = s.replicas
	if s.step().Fault == FaultRead {
		s.conditions[hpa.AbleToScale] = hpa.Condition{Type: hpa.AbleToScale, Reason: "FailedGetScale"}
		return
	}
	defer func() {
		if r := recover(); r != nil {
			s.panicked = fmt.Sprint(r)
		}
	}()
	if s.step().HandOver {
		next, err := handedOver(s.history)
		if err != nil {
			panic(err)
		}
		s.history = next
	}
	s.read, s.seen = true, s.b.observe(s, now)
	s.rec, s.history = s.b.decide(s.policy, s.seen, s.history, now)
	s.windows.decided(&s.policy, &s.rec, now)
	for _, c := range s.rec.Conditions {
		if c.Type != hpa.ScaledToZero {
			s.conditions[c.Type] = c
		}
	}
	if s.rec.Change() {
		s.conditions[hpa.AbleToScale] = hpa.Condition{Type: hpa.AbleToScale, Reason: "FailedUpdateScale"}
	}
}

// updateScale is the write. What ours wanted is taken as carried out once it is.
func (b *bubble) updateScale(a core.Action) (bool, runtime.Object, error) {
	o := a.(core.UpdateAction).GetObject().(*autoscalingv1.Scale)
	s := b.byName(o.Name)
	s.writes = append(s.writes, o.Spec.Replicas)
	fault := s.step().Fault
	if fault == FaultWrite || fault == FaultConflicts || (fault == FaultConflict && len(s.writes) <= 2) {
		s.retrying = true
		if fault == FaultWrite {
			return true, nil, errors.New("the scale cannot be written")
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, s.name, errors.New("it was changed"))
	}
	s.replicas, s.written = o.Spec.Replicas, true
	if s.rec.Change() {
		s.history = s.history.Applied(s.rec, time.Now())
		s.conditions[hpa.AbleToScale] = hpa.Condition{Type: hpa.AbleToScale, Status: true, Reason: "SucceededRescale"}
		for _, c := range s.rec.Conditions {
			if c.Type == hpa.ScaledToZero {
				s.conditions[c.Type] = c
			}
		}
	}
	return true, o, nil
}

func (b *bubble) listUsage(a core.Action) (bool, runtime.Object, error) {
	if b.step.Resources == FaultError {
		return true, nil, errors.New("the resource metrics API is down")
	}
	if b.step.Resources == FaultEmpty {
		return true, &metricsapi.PodMetricsList{}, nil
	}
	selector := a.(core.ListAction).GetListRestrictions().Labels
	list := &metricsapi.PodMetricsList{}
	for i := range b.step.Pods {
		if m, ok := b.step.Pods[i].metrics(b.at); ok && selector.Matches(labels.Set(m.Labels)) {
			list.Items = append(list.Items, m)
		}
	}
	return true, list, nil
}

func (b *bubble) getCustom(a core.Action) (bool, runtime.Object, error) {
	get := a.(customfake.GetForAction)
	name, value := get.GetMetricName(), b.step.Values[get.GetMetricName()]
	list := &customapi.MetricValueList{}
	switch {
	case value.Fault == FaultError:
		return true, nil, errors.New("the custom metrics API is down")
	case value.Fault == FaultEmpty:
	case get.GetName() != "*":
		for _, q := range value.Items {
			list.Items = append(list.Items, customapi.MetricValue{Value: q, Timestamp: metav1.Time{Time: b.at}})
		}
	default:
		for i := range b.step.Pods {
			p := &b.step.Pods[i]
			if v, ok := p.Values[name]; ok && get.GetLabelSelector().Matches(labels.Set{"app": p.App}) {
				list.Items = append(list.Items, customapi.MetricValue{
					DescribedObject: v1.ObjectReference{Kind: "Pod", Name: p.Name},
					Value:           v.Value, Timestamp: metav1.Time{Time: b.at.Add(-v.Age)}, WindowSeconds: v.Window,
				})
			}
		}
	}
	return true, list, nil
}

func (b *bubble) listExternal(a core.Action) (bool, runtime.Object, error) {
	value := b.step.Values[a.GetResource().Resource]
	list := &externalapi.ExternalMetricValueList{}
	if value.Fault == FaultError {
		return true, nil, errors.New("the external metrics API is down")
	}
	if value.Fault == "" {
		for _, q := range value.Items {
			list.Items = append(list.Items, externalapi.ExternalMetricValue{Value: q, Timestamp: metav1.Time{Time: b.at}})
		}
	}
	return true, list, nil
}
