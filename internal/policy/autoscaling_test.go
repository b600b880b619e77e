package policy

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
)

// everything has each field of an Autoscaler, with another value than the default.
const everything = `
  minReplicas: 2
  maxReplicas: 10
  mode: DryRun
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: AverageValue, averageValue: 0.5}}
    fallback: {type: Hold}
  - type: Resource
    resource: {name: memory, target: {type: AverageValue, averageValue: 256Mi}}
    fallback: {type: LastGood, for: 10m}
  - type: Resource
    resource: {name: memory, target: {type: Utilization, averageUtilization: 70}}
    fallback: {type: Replicas, replicas: 3}
  - type: ContainerResource
    containerResource: {name: cpu, container: app, target: {type: Utilization, averageUtilization: 60}}
  - type: ContainerResource
    containerResource: {name: memory, container: app, target: {type: AverageValue, averageValue: 1.5Ki}}
  - type: Pods
    pods:
      metric:
        name: http_requests
        selector: {matchLabels: {verb: GET}, matchExpressions: [{key: code, operator: In, values: ["204", "200"]}]}
      target: {type: AverageValue, averageValue: 100m}
  - type: Object
    object:
      describedObject: {apiVersion: networking.k8s.io/v1, kind: Ingress, name: main}
      metric: {name: hits}
      target: {type: Value, value: 2k}
  - type: Object
    object:
      describedObject: {kind: Service, name: web}
      metric: {name: hits, selector: {}}
      target: {type: AverageValue, averageValue: 1}
  - type: External
    external: {metric: {name: queue, selector: {matchLabels: {b: c, a: d}}}, target: {type: AverageValue, averageValue: 30}}
  - type: Prometheus
    prometheus:
      query: |
        sum(queue)
      target: {type: Value, value: 7}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 0
      selectPolicy: Min
      tolerance: 0.05
      policies: [{type: Pods, value: 4, periodSeconds: 15}, {type: Percent, value: 100, periodSeconds: 60}]
    scaleDown: {stabilizationWindowSeconds: 60, selectPolicy: Disabled, tolerance: 0, policies: [{type: Pods, value: 1, periodSeconds: 1}]}
  appMetrics: {port: 9090, path: /app, scheme: https, container: app}
  schedules: [{name: office, start: 0 8 * * *, end: 0 18 * * *, timeZone: Europe/Berlin, minReplicas: 4}]
  pause: {scaleUp: true, scaleDown: true}
  timing: {cpuInitializationPeriod: 0s, initialReadinessDelay: 1m30s, syncPeriod: 15s}
  health:
    holdScaleDownOnIncident: false
    crashLoopIsNotCapacity: false
    oomKilledIsNotCapacity: false
    oomWindow: 1m
    failingIsNotCapacity: false
    neverReadyIsNotCapacity: false
    partialIsMissing: false
    memorySettle: 0s
    holdOnFailingRollout: false
    holdScaleUpOnShortage: false
`

func TestEverythingInAnAutoscalerReachesTheEngine(t *testing.T) {
	t.Parallel()
	spec := &parse(t, autoscaler(everything)).Autoscalers[0].Spec
	got, err := Autoscaling(spec)
	if err != nil {
		t.Fatal(err)
	}
	want := hpa.Policy{
		Min: 2, Max: 10,
		Metrics: []hpa.Metric{
			{Source: hpa.OfResource(hpa.CPU), Type: hpa.AverageValue, Target: 500, Fallback: &hpa.Fallback{Type: hpa.FallbackHold}},
			{Source: hpa.OfResource(hpa.Memory), Type: hpa.AverageValue, Target: 256 << 20, Fallback: &hpa.Fallback{Type: hpa.FallbackLastGood, For: 10 * time.Minute}},
			{Source: hpa.OfResource(hpa.Memory), Type: hpa.Utilization, Target: 70, Fallback: &hpa.Fallback{Type: hpa.FallbackReplicas, Replicas: 3}},
			{Source: hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.CPU, Container: "app"}, Type: hpa.Utilization, Target: 60},
			{Source: hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.Memory, Container: "app"}, Type: hpa.AverageValue, Target: 1536},
			{Source: hpa.Source{Type: hpa.FromPods, Name: "http_requests", Selector: "code in (200,204),verb=GET"}, Type: hpa.AverageValue, Target: 100},
			{Source: hpa.Source{Type: hpa.FromObject, Name: "hits", Object: "networking.k8s.io/v1/Ingress/main"}, Type: hpa.Value, Target: 2_000_000},
			{Source: hpa.Source{Type: hpa.FromObject, Name: "hits", Object: "/Service/web"}, Type: hpa.AverageValue, Target: 1000},
			{Source: hpa.Source{Type: hpa.FromExternal, Name: "queue", Selector: "a=d,b=c"}, Type: hpa.AverageValue, Target: 30_000},
			{Source: hpa.Source{Type: hpa.FromPrometheus, Name: "sum(queue)"}, Type: hpa.Value, Target: 7000},
		},
		Behavior: &hpa.Behavior{
			ScaleUp: &hpa.Rules{
				StabilizationWindow: new(time.Duration(0)), Select: hpa.SelectMin, Tolerance: new(0.05),
				Limits: []hpa.RateLimit{
					{Type: hpa.LimitReplicas, Value: 4, Period: 15 * time.Second},
					{Type: hpa.LimitPercent, Value: 100, Period: time.Minute},
				},
			},
			ScaleDown: &hpa.Rules{
				StabilizationWindow: new(time.Minute), Select: hpa.SelectDisabled, Tolerance: new(0.0),
				Limits: []hpa.RateLimit{{Type: hpa.LimitReplicas, Value: 1, Period: time.Second}},
			},
		},
		Tolerance: 0.1, DownscaleStabilization: 5 * time.Minute, InitialReadinessDelay: 90 * time.Second,
		Health: hpa.HealthPolicy{OOMWindow: time.Minute},
		Pause:  hpa.Pause{ScaleUp: true, ScaleDown: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if mode, err := Mode(spec); mode != control.DryRun || err != nil {
		t.Errorf("Mode = %s, %v", mode, err)
	}
	if got := Period(spec); got != 15*time.Second {
		t.Errorf("Period = %s", got)
	}
	page, given, err := App(spec)
	if diff := cmp.Diff(AppPage{Port: 9090, Path: "/app", Scheme: "https", Container: "app"}, page); diff != "" || !given || err != nil {
		t.Errorf("App: %t, %v, -want +got:\n%s", given, err, diff)
	}
	set, err := Schedules(spec)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]*hpa.Floor{
		"2026-07-01T05:59:59Z": nil, "2026-07-01T06:00:00Z": {Replicas: 4, By: "schedule office"},
		"2026-01-01T06:00:00Z": nil, "2026-01-01T07:00:00Z": {Replicas: 4, By: "schedule office"},
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, set.Floor(now)); diff != "" {
			t.Errorf("at %s, -want +got:\n%s", at, diff)
		}
	}
}

// A field that the engine gets and no Autoscaler can set, or that an Autoscaler gets and this test does not give, is an
// oversight.
func TestEveryFieldIsGivenAndArrives(t *testing.T) {
	t.Parallel()
	spec := parse(t, autoscaler(everything)).Autoscalers[0].Spec
	given := map[string]bool{}
	fields(given, "spec", reflect.ValueOf(spec), reflect.Value{})
	p, err := Autoscaling(&spec)
	if err != nil {
		t.Fatal(err)
	}
	arrived := map[string]bool{}
	fields(arrived, "policy", reflect.ValueOf(p), reflect.ValueOf(hpa.DefaultPolicy()))
	for _, all := range []map[string]bool{given, arrived} {
		if len(all) < 40 {
			t.Errorf("only %d fields were looked at", len(all))
		}
		for field, differs := range all {
			if !differs && !slices.Contains([]string{
				"policy.Tolerance", "policy.DownscaleStabilization", // Kubernetes' flags; behavior has both, per direction
			}, field) {
				t.Errorf("%s has no other value than its default", field)
			}
		}
	}
}

// fields marks the fields below v that differ from those of the default, or from zero where that has none.
func fields(set map[string]bool, path string, v, def reflect.Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
		if def.IsValid() && def.Kind() == reflect.Pointer {
			def = def.Elem()
		}
	}
	switch {
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			fields(set, path, v.Index(i), reflect.Value{})
		}
	case v.Kind() == reflect.Struct && strings.HasPrefix(v.Type().PkgPath(), "github.com/homeostat/"):
		for i := range v.NumField() {
			f, at := v.Field(i), path+"."+v.Type().Field(i).Name
			var d reflect.Value
			if def.IsValid() {
				d = def.Field(i)
			}
			if differs := !f.IsZero(); d.IsValid() {
				set[at] = set[at] || !reflect.DeepEqual(f.Interface(), d.Interface())
			} else {
				set[at] = set[at] || differs
			}
			fields(set, at, f, d)
		}
	}
}

func TestWhatIsLeftOutHasItsDefault(t *testing.T) {
	t.Parallel()
	spec := &parse(t, autoscaler("  maxReplicas: 4\n  appMetrics: {port: web}")).Autoscalers[0].Spec
	page, given, err := App(spec)
	if diff := cmp.Diff(AppPage{PortName: "web", Path: "/metrics", Scheme: "http"}, page); diff != "" || !given || err != nil {
		t.Errorf("App: %t, %v, -want +got:\n%s", given, err, diff)
	}
	if got := Period(spec); got != time.Second {
		t.Errorf("Period = %s, want 1s", got)
	}
	if set, err := Schedules(spec); len(set) != 0 || err != nil {
		t.Errorf("Schedules = %v, %v", set, err)
	}
	if page, given, err := App(&v1alpha1.AutoscalerSpec{}); given || err != nil || page != (AppPage{}) {
		t.Errorf("an app's page without appMetrics: %+v, %t, %v", page, given, err)
	}
}

// What the schema cannot say is refused here, and becomes the condition Accepted.
func TestFaultsThatNoSchemaFindsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, want string }{
		{
			"schedules: [{name: s, start: 0 25 * * *, end: '@daily', minReplicas: 1}]",
			`line 7: spec.schedules[0].start: Invalid value: "0 25 * * *": must be a cron expression of five fields ` +
				"(minute, hour, day of month, month, day of week), such as 0 8 * * 1-5 (end of range (25) above maximum (23): 25)",
		},
		{"schedules: [{name: s, start: 0 0 30 2 *, end: '@daily', minReplicas: 1}]", "such as 0 8 * * 1-5 that comes at all"},
		{"schedules: [{name: s, start: '@daily', end: '@midnight', minReplicas: 1}]", `spec.schedules[0].end: Invalid value: "@midnight": must be another time than start`},
		{
			"schedules: [{name: s, start: '@daily', end: '@hourly', timeZone: Europe/Bonn, minReplicas: 1}]",
			`spec.schedules[0].timeZone: Invalid value: "Europe/Bonn": must be the name of a time zone, such as UTC or Europe/Berlin (unknown time zone Europe/Bonn)`,
		},
		{"schedules: [{name: s, start: '@daily', end: '@hourly', minReplicas: 1}, {name: s, start: '@daily', end: '@hourly', minReplicas: 1}]", `spec.schedules[1].name: Duplicate value: "s"`},
		{"schedules: [{name: s, start: '@daily', end: '@hourly', minReplicas: 5}]", "spec.schedules[0].minReplicas: Invalid value: 5: must be at most maxReplicas, which is 4"},
		{"appMetrics: {port: web_port}", `spec.appMetrics.port: Invalid value: "web_port": must contain only alpha-numeric characters`},
		{"appMetrics: {port: 8080, container: App}", `spec.appMetrics.container: Invalid value: "App"`},
		{"metrics: [{type: Pods, pods: {metric: {name: a/b}, target: {type: AverageValue, averageValue: 1}}}]", `spec.metrics[0].pods.metric.name: Invalid value: "a/b": may not contain '/'`},
		{
			"metrics: [{type: Pods, pods: {metric: {name: a, selector: {matchLabels: {a b: c}}}, target: {type: AverageValue, averageValue: 1}}}]",
			"spec.metrics[0].pods.metric.selector: Invalid value",
		},
		{
			"metrics: [{type: External, external: {metric: {name: a, selector: {matchExpressions: [{key: a, operator: Like, values: [b]}]}}, target: {type: Value, value: 1}}}]",
			`spec.metrics[0].external.metric.selector: Invalid value: "Like" is not a valid label selector operator`,
		},
		{
			"metrics: [{type: Object, object: {metric: {name: a}, describedObject: {apiVersion: a/b/c, kind: K, name: n}, target: {type: Value, value: 1}}}]",
			`spec.metrics[0].object.describedObject.apiVersion: Invalid value: "a/b/c": must be a group and a version, such as networking.k8s.io/v1`,
		},
		{"metrics: [{type: External, external: {metric: {name: a}, target: {type: Value, value: 1E}}}]", `spec.metrics[0].external.target.value: Invalid value: "1E": must be at most 9223372036854775`},
		{"metrics: [{type: Prometheus, prometheus: {query: ' ', target: {type: Value, value: 1}}}]", "spec.metrics[0].prometheus.query: Required value: give a query in PromQL whose result is one number"},
		{
			"metrics: [{type: ContainerResource, containerResource: {name: cpu, container: a_b, target: {type: Utilization, averageUtilization: 1}}}]",
			`spec.metrics[0].containerResource.container: Invalid value: "a_b": must be the name of a container`,
		},
		// A status has each of these more than once, and must stay small enough to be written.
		{
			"metrics: [{type: Pods, pods: {metric: {name: " + strings.Repeat("a/", 513) + "}, target: {type: AverageValue, averageValue: 1}}}]",
			"spec.metrics[0].pods.metric.name: Too long: may not be more than 1024",
		},
		{
			"metrics: [{type: External, external: {metric: {name: a, selector: {matchExpressions: [{key: a, operator: In, values: [" +
				strings.Join(manyValues(), ", ") + "]}]}}, target: {type: Value, value: 1}}}]",
			"spec.metrics[0].external.metric.selector: Too long: may not be more than 4096",
		},
		{
			"metrics: [{type: Object, object: {metric: {name: a}, describedObject: {apiVersion: " + strings.Repeat("a", 1025) + "/v1, kind: K, name: n}, target: {type: Value, value: 1}}}]",
			"spec.metrics[0].object.describedObject.apiVersion: Too long: may not be more than 1024",
		},
	} {
		_, err := ParseFile(strings.NewReader(autoscaler("  maxReplicas: 4\n  " + c.spec)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.spec, err, c.want)
		}
	}
}

func manyValues() []string {
	values := make([]string, 100)
	for i := range values {
		values[i] = strings.Repeat("v", 60) + strconv.Itoa(i)
	}
	return values
}

// The bounds in the CRD and those of the engine must not drift apart: what is at the bound of one is allowed by the other.
func TestTheEngineTakesTheBoundsOfTheAPI(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{
		"health: {oomWindow: 1ms, memorySettle: 1h}", "health: {oomWindow: 1h, memorySettle: 0s}", "timing: {syncPeriod: 1h}",
		"metrics: [{type: Prometheus, prometheus: {query: up, target: {type: Value, value: 9223372036854775}}, fallback: {type: LastGood, for: 24h}}]",
		"metrics: [{type: Prometheus, prometheus: {query: up, target: {type: Value, value: 1m}}, fallback: {type: Replicas, replicas: 2147483647}}]",
		"minReplicas: 0\n  metrics: [{type: External, external: {metric: {name: q}, target: {type: AverageValue, averageValue: 1}}}]",
		"minReplicas: 0\n  metrics: [{type: Object, object: {metric: {name: q}, describedObject: {kind: a, name: b}, target: {type: AverageValue, averageValue: 1}}}]",
	} {
		f := parse(t, autoscaler("  maxReplicas: 4\n  "+spec))
		p, err := Autoscaling(&f.Autoscalers[0].Spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		for _, m := range p.Metrics {
			if m.Target < 1 || m.Target == math.MaxInt64 {
				t.Errorf("%s: the target is %d", spec, m.Target)
			}
		}
	}
}
