package policy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

func native(t *testing.T, text string) *autoscalingv2.HorizontalPodAutoscalerSpec {
	t.Helper()
	spec := &autoscalingv2.HorizontalPodAutoscalerSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// An HPA's spec that is pasted into an Autoscaler, and the Autoscaler that is made of it, mean the same.
func TestAnAutoscalerMadeOfAnHPADecidesAsThePastedOne(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{maxReplicas: 4, scaleTargetRef: {kind: Deployment, name: web}}",
		`
scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
minReplicas: 0
maxReplicas: 30
metrics:
- {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
- {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}}
- {type: ContainerResource, containerResource: {name: cpu, container: app, target: {type: AverageValue, averageValue: 250m}}}
- {type: Pods, pods: {metric: {name: x, selector: {matchExpressions: [{key: a, operator: Exists}]}}, target: {type: AverageValue, averageValue: 1500m}}}
- {type: Object, object: {metric: {name: x}, describedObject: {apiVersion: v1, kind: Service, name: web}, target: {type: Value, value: 3}}}
- {type: Object, object: {metric: {name: x}, describedObject: {apiVersion: v1, kind: Service, name: web}, target: {type: AverageValue, averageValue: 3}}}
- {type: External, external: {metric: {name: q}, target: {type: Value, value: 10}}}
- {type: External, external: {metric: {name: q}, target: {type: Value, value: 10}}}
behavior:
  scaleUp: {stabilizationWindowSeconds: 10, selectPolicy: Min, tolerance: 5m, policies: [{type: Pods, value: 1, periodSeconds: 2}]}
  scaleDown: {policies: [{type: Percent, value: 10, periodSeconds: 60}]}
`,
	} {
		spec := native(t, text)
		raw, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		pasted := parse(t, `{"apiVersion":"homeostat.dev/v1alpha1","kind":"Autoscaler","metadata":{"name":"web"},"spec":`+string(raw)+"}")
		want, err := Autoscaling(&pasted.Autoscalers[0].Spec)
		if err != nil {
			t.Fatal(err)
		}
		made := FromHPA(spec)
		got, err := Autoscaling(&made)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v, -pasted +made:\n%s", err, diff)
		}
	}
}

// The API server lets an HPA through whose target is of another type than its value. Kubernetes goes by the value then.
func TestAnHPAsTargetIsTheOneThatKubernetesGoesBy(t *testing.T) {
	t.Parallel()
	const object = "type: Object, object: {metric: {name: x}, describedObject: {apiVersion: v1, kind: Service, name: web}, target: "
	for _, c := range []struct {
		metric  string
		of      hpa.TargetType
		target  int64
		refused string
	}{
		{metric: "type: Resource, resource: {name: cpu, target: {type: Utilization, averageValue: 500m}}", of: hpa.AverageValue, target: 500},
		{metric: "type: Resource, resource: {name: cpu, target: {type: Value, averageUtilization: 50, value: 3}}", of: hpa.Utilization, target: 50},
		{metric: "type: ContainerResource, containerResource: {name: cpu, container: a, target: {type: AverageValue, averageUtilization: 50}}", of: hpa.Utilization, target: 50},
		{metric: "type: Pods, pods: {metric: {name: x}, target: {type: Value, averageValue: 2, value: 3}}", of: hpa.AverageValue, target: 2000},
		{metric: "type: External, external: {metric: {name: x}, target: {type: Value, averageValue: 2}}", of: hpa.AverageValue, target: 2000},
		{metric: "type: External, external: {metric: {name: x}, target: {type: Utilization, value: 2, averageUtilization: 5}}", of: hpa.Value, target: 2000},
		{metric: object + "{type: Value, value: 3, averageValue: 2}}", of: hpa.Value, target: 3000},
		{metric: object + "{type: AverageValue, value: 3, averageValue: 2}}", of: hpa.AverageValue, target: 2000},
		{metric: object + "{type: Value, averageValue: 2}}", refused: "spec.metrics[0].object.target.value: Required value"},
		{metric: "type: Resource, resource: {name: disk, target: {type: Utilization, averageUtilization: 50}}", refused: `spec.metrics[0].resource.name: Unsupported value: "disk"`},
	} {
		spec := FromHPA(native(t, "{maxReplicas: 4, scaleTargetRef: {kind: Deployment, name: web}, metrics: [{"+c.metric+"}]}"))
		p, err := Autoscaling(&spec)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v, want %s", c.metric, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.metric, err)
			continue
		}
		if m := p.Metrics[0]; m.Type != c.of || m.Target != c.target {
			t.Errorf("%s: the target is %s %d, want %s %d", c.metric, m.Type, m.Target, c.of, c.target)
		}
	}
}

func TestTheAutoscalerSharesNothingWithTheHPA(t *testing.T) {
	t.Parallel()
	spec := native(t, "{minReplicas: 2, maxReplicas: 4, scaleTargetRef: {kind: Deployment, name: web}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}")
	made := FromHPA(spec)
	*made.MinReplicas, *made.Metrics[0].Resource.Target.AverageUtilization = 3, 60
	if *spec.MinReplicas != 2 || *spec.Metrics[0].Resource.Target.AverageUtilization != 50 {
		t.Errorf("the HPA changed with the Autoscaler: %+v", spec)
	}
}

// A field that a later version of autoscaling/v2 has must not be lost.
func TestAnAutoscalerHasEveryFieldOfAnHPA(t *testing.T) {
	t.Parallel()
	for ours, theirs := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[v1alpha1.AutoscalerSpec](): reflect.TypeFor[autoscalingv2.HorizontalPodAutoscalerSpec](),
		reflect.TypeFor[v1alpha1.MetricSpec]():     reflect.TypeFor[autoscalingv2.MetricSpec](),
	} {
		for f := range theirs.Fields() {
			own, ok := ours.FieldByName(f.Name)
			metrics := f.Name == "Metrics" // the one that is a type of our own
			if !ok || own.Tag.Get("json") != f.Tag.Get("json") || (own.Type != f.Type && !metrics) {
				t.Errorf("%s.%s is %v in %s", theirs, f.Name, own, ours)
			}
		}
	}
}
