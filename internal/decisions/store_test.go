package decisions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func web(mode control.Mode) control.Autoscaler {
	return control.Autoscaler{
		Ref:    cluster.Ref{Kind: KindAutoscaler, Namespace: "demo", Name: "web", UID: "1"},
		Target: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "web"}, Mode: mode, Policy: hpa.Policy{Min: 2, Max: 6},
	}
}

// says is a decision of the given second.
func says(second int, current, desired int32, reason hpa.Reason) hpa.Recommendation {
	return hpa.Recommendation{
		At: t0.Add(time.Duration(second) * time.Second), Current: current, Desired: desired, Reason: reason, Message: fmt.Sprint("of second ", second),
		Steps: []hpa.Step{{Name: hpa.StepMetrics, Before: current, After: desired, Reason: reason}},
	}
}

func leading() *Store {
	s := New()
	s.Leading(true)
	return s
}

func (s *Store) decide(a control.Autoscaler, rec hpa.Recommendation, err error) {
	s.Decided(a, hpa.Observation{Current: rec.Current}, hpa.History{}, rec, err)
}

func kept1(t *testing.T, s *Store) Entry {
	t.Helper()
	e, found, ok := s.Get("demo", KindAutoscaler, "web")
	if !found || !ok {
		t.Fatalf("found %v, acting %v", found, ok)
	}
	return e
}

func TestTheLastDecisionIsKeptWithAllThatItWasMadeFrom(t *testing.T) {
	t.Parallel()
	s, a := leading(), web(control.Active)
	obs := hpa.Observation{Current: 2, Replicas: []hpa.Replica{{Name: "web-1"}}}
	h := hpa.History{Recommendations: []hpa.Recommended{{At: t0, Replicas: 2}}}
	s.decide(a, says(0, 2, 2, hpa.ReasonWithinTolerance), nil)
	s.Decided(a, obs, h, says(1, 2, 4, hpa.ReasonDesiredWithinRange), errors.New("conflict"))
	e := kept1(t, s)
	if e.Decision.Desired != 4 || e.Error != "conflict" || e.Min != 2 || e.Max != 6 || e.Target.Kind != "Deployment" || e.Health == nil {
		t.Errorf("kept %+v", e)
	}
	if diff := cmp.Diff(obs, e.Observation) + cmp.Diff(h, e.History) + cmp.Diff(a.Policy, e.Policy); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

func TestChangesAreWhatWasWrittenAndOtherwiseChangesOfMind(t *testing.T) {
	t.Parallel()
	type pass struct {
		current, desired int32
		err              error
	}
	tests := map[control.Mode]struct {
		passes []pass
		want   []string
	}{
		control.Active: {
			[]pass{{2, 2, nil}, {2, 4, nil}, {4, 4, nil}, {4, 6, errors.New("no")}, {4, 6, nil}, {6, 6, nil}},
			[]string{"4 4→6 true", "1 2→4 true"},
		},
		// Nothing is written, so a change goes from the number that was decided before; at first that is the one that is there.
		control.DryRun: {
			[]pass{{2, 3, nil}, {2, 4, nil}, {2, 4, nil}, {5, 4, nil}, {5, 2, nil}},
			[]string{"4 4→2 false", "1 3→4 false", "0 2→3 false"},
		},
	}
	for mode, tt := range tests {
		s := leading()
		for i, p := range tt.passes {
			s.decide(web(mode), says(i, p.current, p.desired, hpa.ReasonDesiredWithinRange), p.err)
		}
		var got []string
		for _, c := range kept1(t, s).Changes {
			got = append(got, fmt.Sprintf("%.0f %d→%d %v", c.At.Sub(t0).Seconds(), c.From, c.To, c.Written))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
	}
}

func TestReasonsAreKeptOnceEachWithTheirTimes(t *testing.T) {
	t.Parallel()
	s := leading()
	for i, r := range []hpa.Reason{"A", "A", "B", "A"} {
		s.decide(web(control.Active), says(i, 2, 2, r), nil)
	}
	want := []Reason{
		{Reason: "A", First: t0, Last: t0.Add(3 * time.Second), Count: 3, Message: "of second 3"},
		{Reason: "B", First: t0.Add(2 * time.Second), Last: t0.Add(2 * time.Second), Count: 1, Message: "of second 2"},
	}
	if diff := cmp.Diff(want, kept1(t, s).Reasons); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverythingIsBounded(t *testing.T) {
	t.Parallel()
	s := leading()
	for i := range 100 {
		s.decide(web(control.Active), says(i, 2, 3, hpa.Reason(fmt.Sprint("R", i))), nil)
	}
	e := kept1(t, s)
	if len(e.Changes) != MaxChanges || len(e.Reasons) != MaxReasons || e.Changes[0].Message != "of second 99" || e.Reasons[0].Reason != "R99" {
		t.Errorf("%d changes from %q, %d reasons from %q", len(e.Changes), e.Changes[0].Message, len(e.Reasons), e.Reasons[0].Reason)
	}
}

func TestAPassWithoutANumberIsNoChange(t *testing.T) {
	t.Parallel()
	s := leading()
	s.decide(web(control.Active), says(0, 2, 4, hpa.ReasonDesiredWithinRange), nil)
	s.decide(web(control.Active), hpa.Recommendation{At: t0.Add(time.Second), Reason: "FailedGetScale", Message: "gone"}, errors.New("gone"))
	e := kept1(t, s)
	if e.Decided() || len(e.Changes) != 1 || e.Health != nil || len(e.Reasons) != 2 {
		t.Errorf("kept %+v", e)
	}
}

func TestAnotherObjectOfTheSameNameBeginsAnew(t *testing.T) {
	t.Parallel()
	s, a := leading(), web(control.Active)
	s.decide(a, says(0, 2, 4, "A"), nil)
	a.Ref.UID = "2"
	s.decide(a, says(1, 3, 3, "B"), nil)
	if e := kept1(t, s); len(e.Changes) != 0 || len(e.Reasons) != 1 {
		t.Errorf("the new object has changes %+v and reasons %+v of the old one", e.Changes, e.Reasons)
	}
}

func TestGoneAutoscalersLeaveAfterAWhile(t *testing.T) {
	t.Parallel()
	slow := web(control.Active)
	slow.Ref.Name, slow.Period = "slow", time.Hour
	for after, want := range map[time.Duration]int{Keep: 2, Keep + time.Second: 1, Keep + time.Hour: 1} {
		s := leading()
		s.decide(web(control.Active), says(0, 2, 2, "A"), nil)
		s.decide(slow, says(0, 2, 2, "A"), nil)
		s.Sweep(t0.Add(after))
		if all, _ := s.List(); len(all) != want {
			t.Errorf("%d are kept after %s, want %d", len(all), after, want)
		}
	}
}

func TestWhatWasDecidedInAnEarlierTermIsDropped(t *testing.T) {
	t.Parallel()
	s := leading()
	s.decide(web(control.Active), says(0, 2, 2, "A"), nil)
	s.Leading(false)
	if _, ok := s.List(); ok {
		t.Error("a standby says that it acts")
	}
	s.Leading(true)
	if all, ok := s.List(); !ok || len(all) != 0 {
		t.Errorf("%d decisions of the term before", len(all))
	}
}

func TestReadersAndTheLoopDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	s := leading()
	var g sync.WaitGroup
	for w := range 4 {
		g.Go(func() {
			a := web(control.Active)
			a.Ref.Name = fmt.Sprint("web", w)
			for i := range 200 {
				s.decide(a, says(i, 2, int32(2+i%2), hpa.Reason(fmt.Sprint("R", i%30))), nil)
				s.Sweep(t0)
			}
		})
		g.Go(func() {
			for range 50 {
				all, _ := s.List()
				for i := range all {
					if _, err := json.Marshal(all[i]); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	g.Wait()
	if all, _ := s.List(); len(all) != 4 {
		t.Errorf("%d kept, want 4", len(all))
	}
}

func ask(t *testing.T, s *Store, leader, path string) (code int, body, kind string) {
	t.Helper()
	mux := http.NewServeMux()
	s.Register(mux, func() time.Time { return t0.Add(90 * time.Second) }, func() string { return leader })
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	out, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(out), w.Header().Get("Content-Type")
}

// The names here are the contract of docs/cli.md.
func TestTheListIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	s, native := leading(), web(control.DryRun)
	native.Ref = cluster.Ref{Kind: KindHPA, Namespace: "demo", Name: "web"}
	s.decide(native, says(30, 2, 2, "A"), nil)
	s.decide(web(control.Active), says(0, 2, 4, "B"), nil)
	code, body, kind := ask(t, s, "", "/decisions")
	want := `{
  "decisions": [
    {
      "ref": {
        "kind": "Autoscaler",
        "namespace": "demo",
        "name": "web",
        "uid": "1"
      },
      "target": {
        "kind": "Deployment",
        "namespace": "demo",
        "name": "web"
      },
      "mode": "Active",
      "current": 2,
      "desired": 4,
      "reason": "B",
      "at": "2026-03-01T12:00:00Z",
      "ageSeconds": 90
    },
    {
      "ref": {
        "kind": "HorizontalPodAutoscaler",
        "namespace": "demo",
        "name": "web"
      },
      "target": {
        "kind": "Deployment",
        "namespace": "demo",
        "name": "web"
      },
      "mode": "DryRun",
      "current": 2,
      "desired": 2,
      "reason": "A",
      "at": "2026-03-01T12:00:30Z",
      "ageSeconds": 60
    }
  ]
}
`
	if diff := cmp.Diff(want, body); diff != "" || code != http.StatusOK || kind != "application/json" {
		t.Errorf("%d %s (-want +got):\n%s", code, kind, diff)
	}
	if _, body, _ := ask(t, leading(), "", "/decisions"); body != "{\n  \"decisions\": []\n}\n" {
		t.Errorf("an empty list is %q", body)
	}
}

func TestOneEntryHasEverything(t *testing.T) {
	t.Parallel()
	s := leading()
	s.decide(web(control.Active), says(0, 2, 4, "B"), nil)
	code, body, _ := ask(t, s, "", Path("demo", KindAutoscaler, "web"))
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
		t.Fatalf("%d %v\n%s", code, err, body)
	}
	for _, field := range []string{
		"ref", "target", "mode", "minReplicas", "maxReplicas", "lastDecision", "policy", "observation", "lastChanges", "reasons", "health",
	} {
		if _, there := got[field]; !there {
			t.Errorf("%s is missing in\n%s", field, body)
		}
	}
}

func TestWhatCannotBeAnsweredIsOneSentence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, leader, path string
		store              *Store
		code               int
		want               string
	}{
		{"a standby", "homeostat-7f", "/decisions", New(), http.StatusServiceUnavailable, "the leader is homeostat-7f"},
		{"a standby that knows no leader", "", "/decisions/demo/as/web", New(), http.StatusServiceUnavailable, "not known"},
		{"nobody of that name", "", "/decisions/demo/hpa/web", leading(), http.StatusNotFound, `"web"`},
		{"no such kind", "", "/decisions/demo/deployment/web", leading(), http.StatusBadRequest, "autoscaler or hpa"},
	}
	for _, tt := range tests {
		code, body, _ := ask(t, tt.store, tt.leader, tt.path)
		if code != tt.code || !strings.Contains(body, tt.want) || strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %d %q, want %d and %q", tt.name, code, body, tt.code, tt.want)
		}
	}
}

func TestNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	leading().Register(mux, time.Now, func() string { return "" })
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/decisions/demo/hpa/web", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s gives %d", method, w.Code)
		}
	}
}
