package record

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

func (r random) moment() time.Time { return time.UnixMicro(r.Int64N(4e15)).UTC() }

func (r random) source() hpa.Source {
	switch r.IntN(4) {
	case 0:
		return hpa.OfResource(hpa.Memory)
	case 1:
		return hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.CPU, Container: r.text()}
	case 2:
		return hpa.Source{Type: hpa.FromObject, Name: r.text(), Object: "v1/Service/" + r.text(), Selector: r.text()}
	}
	return hpa.Source{Type: hpa.FromPrometheus, Name: r.text()}
}

func (r random) change() hpa.Change {
	return hpa.Change{At: r.moment(), Replicas: 1 + r.Int32N(50), Outdated: r.IntN(2) == 0}
}

func (r random) history() hpa.History {
	return hpa.History{
		Recommendations: some(r, func(r random) hpa.Recommended { return hpa.Recommended{At: r.moment(), Replicas: r.number()} }),
		Ups:             some(r, random.change),
		Downs:           some(r, random.change),
		LastGood:        some(r, func(r random) hpa.Good { return hpa.Good{Source: r.source(), At: r.moment(), Replicas: r.number()} }),
	}
}

// stored is what a new leader reads of a history.
func stored(t *testing.T, h hpa.History) hpa.History {
	t.Helper()
	raw, err := json.Marshal(v1alpha1.AutoscalerStatus{History: History(h)})
	if err != nil {
		t.Fatal(err)
	}
	var s v1alpha1.AutoscalerStatus
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return ReadHistory(s.History)
}

// A new leader decides as the old one would have: it reads exactly what that one knew.
func TestAHistorySurvivesTheStatus(t *testing.T) {
	t.Parallel()
	set := map[string]bool{}
	for seed := range uint64(500) {
		want := random{rand.New(rand.NewPCG(seed, 3))}.history()
		if diff := cmp.Diff(want, stored(t, want), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d, -want +read:\n%s", seed, diff)
		}
		note(set, "History", reflect.ValueOf(want))
	}
	for field, ever := range set { // a field that is added to the history has to be stored, too
		if !ever {
			t.Errorf("%s is never set", field)
		}
	}
	if h := History(hpa.History{}); h != nil {
		t.Errorf("an empty history is stored as %+v", h)
	}
}

// The decision after a restart is the one without.
func TestADecisionFromAStoredHistoryIsTheSame(t *testing.T) {
	t.Parallel()
	p := hpa.DefaultPolicy()
	p.Max = 50
	p.Behavior = &hpa.Behavior{ScaleUp: &hpa.Rules{Limits: []hpa.RateLimit{{Type: hpa.LimitReplicas, Value: 3, Period: time.Minute}}}}
	r := random{rand.New(rand.NewPCG(4, 4))}
	now, current := time.UnixMicro(1767225600123456).UTC(), int32(5)
	var h hpa.History
	for i := range 300 {
		now = now.Add(time.Duration(r.IntN(20_000)) * time.Millisecond)
		obs := hpa.Observation{Current: current, StatusReplicas: current}
		for range current {
			obs.Replicas = append(obs.Replicas, hpa.Replica{
				Name: "web", Phase: "Running", StartedAt: now.Add(-time.Hour), Ready: true, ReadyKnown: true, ReadySince: now.Add(-time.Hour),
				CPU: hpa.Usage{Known: true, Value: int64(r.IntN(200)), Request: 100, At: now, Window: time.Second},
			})
		}
		rec, next := hpa.Decide(p, obs, h, now)
		again, _ := hpa.Decide(p, obs, stored(t, h), now)
		if diff := cmp.Diff(rec, again); diff != "" {
			t.Fatalf("pass %d, -without +with a restart:\n%s", i, diff)
		}
		h, current = next.Applied(rec, now), rec.Desired
	}
	if len(h.Ups) == 0 || len(h.Recommendations) < 2 {
		t.Errorf("the story was too dull to tell: %+v", h)
	}
}

func TestALongHistoryIsCutSoThatItHoldsBack(t *testing.T) {
	t.Parallel()
	start := time.UnixMicro(1767225600000000).UTC()
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }
	const n = 200
	for name, extremes := range map[string][2]int{
		"the highest first": {3, 90}, "the lowest first": {90, 3}, "at the very beginning": {0, 1}, "within what is kept anyway": {150, 160},
		"all equal": {-1, -1},
	} {
		var h hpa.History
		for i := range n {
			rec := hpa.Recommended{At: at(i), Replicas: 10}
			switch i {
			case extremes[0]:
				rec.Replicas = 30
			case extremes[1]:
				rec.Replicas = 2
			}
			h.Recommendations = append(h.Recommendations, rec)
		}
		kept := stored(t, h).Recommendations
		if len(kept) != v1alpha1.MaxRecommendations {
			t.Fatalf("%s: %d recommendations are kept", name, len(kept))
		}
		if !slices.IsSortedFunc(kept, func(a, b hpa.Recommended) int { return a.At.Compare(b.At) }) {
			t.Errorf("%s: not oldest first", name)
		}
		if diff := cmp.Diff(h.Recommendations[n-v1alpha1.MaxRecommendations+2:], kept[2:]); diff != "" {
			t.Errorf("%s: the newest, -want +kept:\n%s", name, diff)
		}
		for _, i := range extremes {
			if i >= 0 && !slices.Contains(kept, h.Recommendations[i]) {
				t.Errorf("%s: %+v is gone", name, h.Recommendations[i])
			}
		}
	}

	var h hpa.History
	for i := range n {
		h.Ups = append(h.Ups, hpa.Change{At: at(n - i), Replicas: 2}) // in any order
		h.Downs = append(h.Downs, hpa.Change{At: at(i), Replicas: math.MaxInt32})
	}
	kept := stored(t, h)
	if len(kept.Ups) != v1alpha1.MaxHistoryChanges || len(kept.Downs) != v1alpha1.MaxHistoryChanges {
		t.Fatalf("%d ups and %d downs are kept", len(kept.Ups), len(kept.Downs))
	}
	// What counts within any time is at least what it was.
	for i := range n {
		var before, after int32
		for _, c := range h.Ups {
			if c.At.After(at(i)) {
				before += c.Replicas
			}
		}
		for _, c := range kept.Ups {
			if c.At.After(at(i)) {
				after += c.Replicas
			}
		}
		if after < before || after > 2*n {
			t.Fatalf("%d replicas since second %d, %d before the cut", after, i, before)
		}
	}
	if first := kept.Downs[0]; first.Replicas != math.MaxInt32 || !first.At.Equal(at(n-v1alpha1.MaxHistoryChanges)) {
		t.Errorf("the oldest are summed up as %+v", first)
	}

	for i := range n {
		h.LastGood = append(h.LastGood, hpa.Good{Source: hpa.Source{Type: hpa.FromExternal, Name: strconv.Itoa(i)}, At: at(i), Replicas: 1})
	}
	good := stored(t, h).LastGood
	if len(good) != v1alpha1.MaxMetrics || good[0].Source.Name != strconv.Itoa(n-1) {
		t.Errorf("%d last proposals are kept, the first is %+v", len(good), good[0])
	}
}

// The API server refuses a status with a list that is too long.
func TestTheBoundsAreThoseOfTheCRD(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../deploy/crds/homeostat.dev_autoscalers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]int{
		"recommendations": v1alpha1.MaxRecommendations, "ups": v1alpha1.MaxHistoryChanges, "downs": v1alpha1.MaxHistoryChanges,
		"lastGood": v1alpha1.MaxMetrics,
	} {
		found := regexp.MustCompile(`(?s)\n {18}` + field + `:\n.*?\n {20}maxItems: (\d+)\n`).FindSubmatch(raw)
		if found == nil || string(found[1]) != strconv.Itoa(want) {
			t.Errorf("status.history.%s may have %s items, want %d", field, found, want)
		}
	}
}

// Whatever a status holds, it is read without a panic, and what was written of it is read as it was.
func FuzzHistory(f *testing.F) {
	for seed := range uint64(5) {
		raw, err := json.Marshal(History(random{rand.New(rand.NewPCG(seed, 5))}.history()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"recommendations":[{"time":null,"replicas":-1}],"lastGood":[{"source":{"type":"Pods","name":"cpu"},"time":"0001-01-01T00:00:00.000000Z"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h v1alpha1.AutoscalerHistory
		if json.Unmarshal(raw, &h) != nil {
			return
		}
		first := ReadHistory(History(ReadHistory(&h)))
		if len(first.Recommendations) > v1alpha1.MaxRecommendations || len(first.Ups) > v1alpha1.MaxHistoryChanges ||
			len(first.Downs) > v1alpha1.MaxHistoryChanges || len(first.LastGood) > v1alpha1.MaxMetrics {
			t.Fatal("longer than the API allows")
		}
		if diff := cmp.Diff(first, ReadHistory(History(first))); diff != "" {
			t.Fatalf("-first +second:\n%s", diff)
		}
	})
}

// The texts of a source come from a status that anybody may have written.
func FuzzCurrentMetrics(f *testing.F) {
	f.Add("Object", "hits", "networking.k8s.io/v1/Ingress/main", "a=b,c in (d,e),!f")
	f.Add("Pods", "x", "/", "(((")
	f.Fuzz(func(t *testing.T, of, name, object, selector string) {
		m := v1alpha1.DecisionMetric{Source: v1alpha1.MetricSource{Type: of, Name: name, Object: object, Selector: selector}, Type: "Value"}
		rec, _ := Recommendation(&v1alpha1.AutoscalerStatus{LastDecision: &v1alpha1.Decision{Metrics: []v1alpha1.DecisionMetric{m}}})
		for _, s := range CurrentMetrics(&rec) {
			if s.Object != nil && s.Object.DescribedObject.Name != "" {
				o := s.Object.DescribedObject
				if again := o.APIVersion + "/" + o.Kind + "/" + o.Name; again != object && "/"+object != again && "//"+object != again {
					t.Fatalf("%q is read as %q", object, again)
				}
			}
		}
		MetricsSummary(&rec)
		if again := Decision(&rec).Metrics[0].Source; again != m.Source {
			t.Fatalf("%+v is read and written as %+v", m.Source, again)
		}
	})
}
