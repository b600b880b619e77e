package record

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// random makes nouns with some fields set and some not.
type random struct{ *rand.Rand }

func (r random) text() string {
	if r.IntN(3) == 0 {
		return ""
	}
	return string([]rune("abcßx →\n\"7")[r.IntN(10)]) + strings.Repeat("w", r.IntN(6))
}

func (r random) texts() []string {
	return some(r, func(random) string { return r.text() })
}

// time has microseconds, as the API keeps, or is zero.
func (r random) time() time.Time {
	if r.IntN(4) == 0 {
		return time.Time{}
	}
	return time.UnixMicro(r.Int64N(4e15)).UTC()
}

func (r random) number() int32 { return r.Int32N(1000) }

func some[T any](r random, make func(random) T) []T {
	var out []T
	for range r.IntN(4) {
		out = append(out, make(r))
	}
	return out
}

func (r random) point() metrics.Point {
	p := metrics.Point{At: time.UnixMicro(r.Int64N(4e15)).UTC(), CPUMilli: r.Int64N(4000), MemoryBytes: r.Int64N(1 << 40)}
	if r.IntN(3) == 0 {
		p.CPUMilli = metrics.NotKnown
	}
	if r.IntN(3) == 0 {
		p.MemoryBytes = metrics.NotKnown
	}
	return p
}

func (r random) evidence() incident.Evidence {
	e := incident.Evidence{
		Kind: incident.EvidenceLog, At: r.time(), Replica: r.text(), Container: r.text(), Message: r.text(), Lines: r.texts(),
		Points: some(r, random.point), MemoryLimit: r.Int64N(3) << 30, Source: r.text(),
		Templates: some(r, func(r random) incident.LogTemplate {
			return incident.LogTemplate{
				Template: r.text(), Count: r.number(), Before: r.number() - 1, Siblings: r.number() - 1, Novelty: r.number(), Example: r.text(),
			}
		}),
	}
	if r.IntN(2) == 0 {
		e.Termination = &cluster.Termination{
			ContainerID: r.text(), ExitCode: r.number(), Signal: r.number(), Reason: r.text(), Message: r.text(),
			StartedAt: r.time(), FinishedAt: r.time(),
		}
	}
	return e
}

func (r random) ref() cluster.Ref {
	return cluster.Ref{Kind: "StatefulSet", Namespace: r.text(), Name: r.text(), UID: r.text()}
}

// forecast has at most four decimals, as the object keeps, or is none.
func (r random) forecast() *incident.Forecast {
	if r.IntN(3) == 0 {
		return nil
	}
	return &incident.Forecast{
		At: r.time(), OOMAt: r.time(), Earliest: r.time(), Latest: r.time(), Memory: r.Int64N(1 << 40), Limit: r.Int64N(1 << 40),
		Slope: float64(r.IntN(1e6)) / 16, Fit: float64(r.IntN(17)) / 16, Span: time.Duration(r.Int64N(1e13)),
	}
}

func (r random) remedyChange() incident.Change {
	if r.IntN(3) == 0 {
		return incident.Change{}
	}
	c := incident.Change{
		Container: r.text(), FromMemory: r.Int64N(1 << 40), ToMemory: r.Int64N(1 << 40), FromReplicas: r.number(), ToReplicas: r.number(),
		FromRevision: r.text(), ToRevision: r.text(), Key: r.text(), Template: r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		c.Target = r.ref()
	}
	return c
}

func (r random) incident() incident.Incident {
	kinds := incident.Kinds()
	return incident.Incident{
		Namespace: "demo", Name: r.text(), Version: r.text(),
		Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: r.text(), UID: r.text()},
		Kind:     kinds[r.IntN(len(kinds))], State: incident.Acting, Policy: r.text(), Cause: r.text(), Confidence: r.number(),
		For: r.texts(), Against: r.texts(), OpenedAt: r.time(), StartedAt: r.time(), LastSeenAt: r.time(),
		HealthySince: r.time(), ResolvedAt: r.time(), Occurrences: r.number(), Fingerprints: r.texts(), ForgottenUntil: r.time(),
		Subjects: some(r, func(r random) incident.Subject {
			return incident.Subject{Replica: r.text(), UID: r.text(), Node: r.text(), Container: r.text(), At: r.time(), Restarts: r.number(), Deaths: r.number()}
		}),
		Evidence: some(r, random.evidence),
		Timeline: some(r, func(r random) incident.Entry {
			return incident.Entry{At: time.UnixMicro(r.Int64N(4e15)).UTC(), Reason: r.text(), Message: r.text()}
		}),
		Remediations: some(r, func(r random) incident.Remediation {
			return incident.Remediation{
				ID: r.text(), Remedy: incident.RemedyRestart, Replica: r.text(), ReplicaUID: r.text(), IntendedAt: r.time(),
				Change: r.remedyChange(), Call: r.text(),
				AttemptedAt: r.time(), Attempts: r.number(), FinishedAt: r.time(), By: r.text(), Outcome: incident.Pending, Reason: r.text(), Message: r.text(),
			}
		}),
		Root: r.text(), MemberCount: r.number(), Forecast: r.forecast(), Proposal: r.text(),
		Members: some(r, func(r random) incident.Member {
			return incident.Member{Workload: r.ref(), Incident: r.text(), Kind: kinds[r.IntN(len(kinds))], Since: r.time()}
		}),
		Reason: r.text(), Message: r.text(),
	}
}

// The object is the engine's only memory: a new leader must read exactly what the old one knew.
func TestAnIncidentSurvivesItsObjectAndJSON(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		want := random{rand.New(rand.NewPCG(seed, 1))}.incident()
		raw, err := json.Marshal(Incident(&want))
		if err != nil {
			t.Fatal(err)
		}
		var stored v1alpha1.Incident
		if err := json.Unmarshal(raw, &stored); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ReadIncident(&stored)); diff != "" {
			t.Fatalf("seed %d (-want +read):\n%s\n%s", seed, diff, raw)
		}
	}
}

// A field that is added to the engine's nouns and not to the random incidents would be stored untested, or not at all.
func TestTheRandomIncidentsHaveEveryField(t *testing.T) {
	t.Parallel()
	set := map[string]bool{}
	for seed := range uint64(200) {
		note(set, "Incident", reflect.ValueOf(random{rand.New(rand.NewPCG(seed, 2))}.incident()))
	}
	if len(set) < 50 {
		t.Errorf("only %d fields were looked at", len(set))
	}
	for field, ever := range set {
		if !ever {
			t.Errorf("%s is never set", field)
		}
	}
}

// note marks the fields of v that are not zero, and all others as seen.
func note(set map[string]bool, path string, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		note(set, path, v.Elem())
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			note(set, path, v.Index(i))
		}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			at := path + "." + v.Type().Field(i).Name
			set[at] = set[at] || !v.Field(i).IsZero()
			note(set, at, v.Field(i))
		}
	}
}

// What is about a node is compared by a reference without a namespace.
func TestANodeHasNoNamespace(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Node", "Cluster"} {
		want := incident.Incident{Namespace: "homeostat-system", Name: "x", Workload: cluster.Ref{Kind: kind, Name: "one"}}
		if got := ReadIncident(Incident(&want)); !got.Workload.Same(want.Workload) || got.Namespace != want.Namespace {
			t.Errorf("%s is read as %+v", kind, got.Workload)
		}
	}
}

func TestTimesAreKeptToTheMicrosecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
	got := ReadIncident(Incident(&incident.Incident{OpenedAt: at}))
	if want := time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC); !got.OpenedAt.Equal(want) || got.OpenedAt.Location() != time.UTC {
		t.Errorf("OpenedAt = %v, want %v", got.OpenedAt, want)
	}
	if !got.ResolvedAt.IsZero() {
		t.Errorf("ResolvedAt = %v, want zero", got.ResolvedAt)
	}
}

func TestAnObjectSharesNoNumbersWithTheIncident(t *testing.T) {
	t.Parallel()
	in := incident.Incident{Evidence: []incident.Evidence{{Points: []metrics.Point{{MemoryBytes: 7}}}}}
	o := Incident(&in)
	in.Evidence[0].Points[0].MemoryBytes = 8
	if got := *o.Status.Evidence[0].Points[0].MemoryBytes; got != 7 {
		t.Errorf("the object's point has %d bytes after the incident's changed, want 7", got)
	}
}

func TestLabelValueIsAlwaysValid(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long-name.", 25)
	for _, s := range []string{"", "web", "Deployment", long, long + "x", "ends-with-", "-", "äöü", "a b", strings.Repeat("-", 70)} {
		v := LabelValue(s)
		if faults := validation.IsValidLabelValue(v); len(faults) > 0 {
			t.Errorf("LabelValue(%q) = %q: %v", s, v, faults)
		}
		if len(validation.IsValidLabelValue(s)) == 0 && v != s {
			t.Errorf("LabelValue(%q) = %q, want it unchanged", s, v)
		}
	}
	if LabelValue(long) == LabelValue(long+"x") {
		t.Error("two long names with the same beginning have the same label value")
	}
}

func decided() hpa.Recommendation {
	const external = "custom.metrics.k8s.io"
	oldest := time.UnixMicro(1767225599000001).UTC()
	return hpa.Recommendation{
		At: time.UnixMicro(1767225600123456).UTC(), Current: 2, Proposed: 5, Desired: 4,
		Reason: hpa.ReasonTooManyReplicas, Message: "wants 5, the maximum is 4",
		Metrics: []hpa.MetricProposal{
			{
				Metric: hpa.Metric{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 40}, Replicas: 5, Ratio: 2.075, AdjustedRatio: 1.3333,
				Value: 83, Utilization: 83, CPUPressure: 35.25, Ready: 2, ReadyFirst: []string{"web-2", "web-3"}, Unready: hpa.Names{Count: 1, First: []string{"web-1: crash loop"}},
				Missing: hpa.Names{Count: 7}, Message: "cpu 83 %", From: "app /metrics", Oldest: oldest,
			},
			{
				Metric: hpa.Metric{Source: hpa.OfResource(hpa.Memory), Type: hpa.AverageValue, Target: 256 << 20}, Replicas: 2, Ratio: 0.8203,
				Value: 210<<20 + 5, WithinTolerance: true, Ready: 2, Ignored: hpa.Names{Count: 1, First: []string{"web-2: deleted"}},
			},
			{
				Metric: hpa.Metric{Source: hpa.OfResource(hpa.CPU), Type: hpa.AverageValue, Target: 1500},
				Err:    "no samples", ErrReason: "FailedGetResourceMetric",
			},
			{
				Metric: hpa.Metric{
					Source: hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.CPU, Container: "app"}, Type: hpa.Utilization, Target: 60,
				},
				Replicas: 3, Ratio: 0.5, Value: 150, Utilization: 30,
			},
			{
				Metric: hpa.Metric{
					Source: hpa.Source{Type: hpa.FromPods, Name: "http_requests", Selector: "code in (200,204),verb=GET"}, Type: hpa.AverageValue, Target: 10_000,
				},
				Replicas: 3, Ratio: 1.25, Value: 12_500, From: external,
			},
			{
				Metric: hpa.Metric{
					Source: hpa.Source{Type: hpa.FromObject, Name: "hits", Object: "networking.k8s.io/v1/Ingress/main"}, Type: hpa.Value, Target: 100_000,
				},
				Replicas: 1, Ratio: 0.3, Value: 30_000, From: external,
			},
			{
				Metric: hpa.Metric{
					Source: hpa.Source{Type: hpa.FromExternal, Name: "queue", Selector: "!dead,name=orders"}, Type: hpa.AverageValue, Target: 5_000,
				},
				Replicas: 3, Ratio: 2.4, Value: 12_000,
			},
			{
				Metric: hpa.Metric{
					Source: hpa.Source{Type: hpa.FromPrometheus, Name: "sum(rate(http_requests_total{job=\"web\"}[1m]))"}, Type: hpa.Value, Target: 90_000,
				},
				Replicas: 4, Err: "no answer", ErrReason: "FailedGetExternalMetric", Fallback: hpa.FallbackLastGood, LastGood: oldest.Add(-time.Minute),
			},
		},
		Steps: []hpa.Step{{Name: hpa.StepBounds, Before: 5, After: 4, Reason: hpa.ReasonTooManyReplicas, Message: "maximum", Cause: "maxReplicas"}},
		Conditions: []hpa.Condition{
			{Type: v1alpha1.ConditionAbleToScale, Status: true, Reason: "ReadyForNewScale", Message: "ok"},
			{Type: v1alpha1.ConditionScalingLimited, Status: true, Reason: "TooManyReplicas", Message: "capped"},
			{Type: v1alpha1.ConditionScaledToZero, Reason: "NotScaledToZero", Message: "no"},
		},
	}
}

func TestADecisionSurvivesTheStatus(t *testing.T) {
	t.Parallel()
	want := decided()
	status := v1alpha1.AutoscalerStatus{LastDecision: Decision(&want)}
	if !SetConditions(&status.Conditions, &want, 3) {
		t.Error("SetConditions reports no change for an empty list")
	}
	raw, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.AutoscalerStatus
	if err := json.Unmarshal(raw, &stored); err != nil {
		t.Fatal(err)
	}
	got, ok := Recommendation(&stored)
	if !ok {
		t.Fatal("no decision in the status")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +read:\n%s", diff)
	}
	if _, ok := Recommendation(&v1alpha1.AutoscalerStatus{}); ok {
		t.Error("an empty status has a decision")
	}
}

func TestConditionsChangeOnlyWhenTheyDo(t *testing.T) {
	t.Parallel()
	rec := decided()
	conditions := []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue}}
	SetConditions(&conditions, &rec, 1)
	first := conditions[1].LastTransitionTime
	rec.At = rec.At.Add(time.Minute)
	if SetConditions(&conditions, &rec, 1) {
		t.Error("the same conditions a minute later count as a change, so that every pass would write")
	}
	rec.Conditions[0].Status = false
	if !SetConditions(&conditions, &rec, 1) || conditions[1].LastTransitionTime.Equal(&first) {
		t.Error("a condition that turned false was not written with the decision's time")
	}
	if len(conditions) != 4 {
		t.Errorf("%d conditions, want 4: the other's is kept", len(conditions))
	}
}

func TestSummariesForPeople(t *testing.T) {
	t.Parallel()
	all := decided().Metrics
	for _, c := range []struct {
		metrics []hpa.MetricProposal
		want    string
	}{
		{nil, ""},
		{all[:3], "cpu: 83%/40%, memory: 210Mi/256Mi, cpu: <unknown>/1500m"},
		{all[3:6], "cpu of container app: 30%/60%, http_requests: 12500m/10, hits: 30/100"},
		{all[6:], `queue: 12/5 (avg), sum(rate(http_requests_total{job="web"}…: <unknown>/90`},
		{all, "cpu: 83%/40%, memory: 210Mi/256Mi, cpu: <unknown>/1500m + 5 more"},
	} {
		if got := MetricsSummary(&hpa.Recommendation{Metrics: c.metrics}); got != c.want {
			t.Errorf("MetricsSummary\n got %s\nwant %s", got, c.want)
		}
	}
	if got := ReplicasSummary(2, 4) + " " + ReplicasSummary(2, 2); got != "2→4 2" {
		t.Errorf("ReplicasSummary = %q", got)
	}
}

// What an HPA's status has, in the words and units of one: whoever reads that reads this.
func TestCurrentMetricsAreThoseOfAnHPA(t *testing.T) {
	t.Parallel()
	rec := decided()
	got, err := json.Marshal(CurrentMetrics(&rec))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`[{"type":"Resource","resource":{"name":"cpu","current":{"averageValue":"83m","averageUtilization":83}}}`,
		`{"type":"Resource","resource":{"name":"memory","current":{"averageValue":"220200965"}}}`,
		`{"type":"ContainerResource","containerResource":{"name":"cpu","current":{"averageValue":"150m","averageUtilization":30},"container":"app"}}`,
		`{"type":"Pods","pods":{"metric":{"name":"http_requests","selector":{"matchLabels":{"verb":"GET"},` +
			`"matchExpressions":[{"key":"code","operator":"In","values":["200","204"]}]}},"current":{"averageValue":"12500m"}}}`,
		`{"type":"Object","object":{"metric":{"name":"hits"},"current":{"value":"30"},` +
			`"describedObject":{"kind":"Ingress","name":"main","apiVersion":"networking.k8s.io/v1"}}}`,
		`{"type":"External","external":{"metric":{"name":"queue","selector":{"matchLabels":{"name":"orders"},` +
			`"matchExpressions":[{"key":"dead","operator":"DoesNotExist"}]}},"current":{"averageValue":"12"}}}]`,
	}, ",")
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheLastChangesAreBounded(t *testing.T) {
	t.Parallel()
	var changes []v1alpha1.ScaleChange
	autoscaler := cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web"}
	start := time.Unix(1767225600, 0).UTC()
	for i := range 12 {
		changes = AddChange(changes, autoscaler, &hpa.Recommendation{
			At: start.Add(time.Duration(i) * time.Second), Current: 2, Desired: 4, Reason: hpa.ReasonScaleUpLimit, Message: "slowly",
		})
	}
	if len(changes) != v1alpha1.MaxLastChanges {
		t.Fatalf("%d changes, want %d", len(changes), v1alpha1.MaxLastChanges)
	}
	want := v1alpha1.ScaleChange{
		Time: metav1.NewMicroTime(start.Add(11 * time.Second)), From: 2, To: 4, Reason: "ScaleUpLimit", Message: "slowly",
		ID: cluster.DecisionID(autoscaler, start.Add(11*time.Second), 2, 4),
	}
	if diff := cmp.Diff(want, changes[0]); diff != "" {
		t.Errorf("the newest, -want +got:\n%s", diff)
	}
}
