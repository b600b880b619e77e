package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

// scaler is an autoscaler of the workload, with at most 6 replicas.
func scaler(workload string) control.Autoscaler {
	return control.Autoscaler{
		Ref:    cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: workload + "-scaler", UID: "u"},
		Target: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: workload}, Mode: control.Active,
		Policy: hpa.Policy{Min: 1, Max: 6, Metrics: []hpa.Metric{
			{Source: hpa.Source{Type: hpa.FromResource, Resource: hpa.CPU}, Type: hpa.AverageValue, Target: 100},
			{Source: hpa.Source{Type: hpa.FromPrometheus, Name: "queue"}, Type: hpa.AverageValue, Target: 1000},
		}},
	}
}

// decision is what is decided now with so many replicas and a queue that asks for so many. The use of the replicas cannot be read.
func decision(t *testing.T, a *control.Autoscaler, current, asked int32) hpa.Recommendation {
	t.Helper()
	o := hpa.Observation{
		Current: current, StatusReplicas: current, Unavailable: "no kubelet answers",
		Readings: []hpa.Reading{{Source: a.Policy.Metrics[1].Source, Known: true, At: time.Now(), Value: int64(asked) * 1000}},
	}
	a.Policy.Metrics[0].Fallback = &hpa.Fallback{Type: hpa.FallbackReplicas, Replicas: 1}
	rec, _ := hpa.Decide(a.Policy, o, hpa.History{}, time.Now())
	if len(rec.Metrics) == 2 && rec.Metrics[1].Replicas != asked {
		t.Fatalf("the queue asks for %d: %s", rec.Metrics[1].Replicas, rec.Metrics[1].Message)
	}
	return rec
}

func TestAChangeIsToldWithTheIDOfItsDecision(t *testing.T) {
	t.Parallel()
	told := make(chan message, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("read notification: %v", err)
		}
		told <- m
	}))
	t.Cleanup(hook.Close)
	tree := route("hook")
	tree.GroupWait = 0
	n, err := New(Options{
		Receivers: []Receiver{{Name: "hook", Kind: Webhook, URLs: []string{hook.URL}}}, Route: tree, Labels: map[string]string{"cluster": "prod"},
		Links: alerts.Links{Runbooks: "https://r"}, Decisions: alerts.DecisionOptions{Scaled: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	term := begun(t, n)
	a := scaler("web")
	rec := decision(t, &a, 2, 4)
	term.Decided(a, noObservation, noHistory, rec, nil)
	m := await(t, told, "firing")
	id := cluster.DecisionID(a.Ref, rec.At, 2, 4)
	want := map[string]string{
		"alertname": "HomeostatScaled", "severity": "info", "namespace": "shop", "workload_kind": "Deployment", "workload": "web", "cluster": "prod",
		"kind": "Autoscaler", "name": "web-scaler", "source": "homeostat", "decision": id,
	}
	if d := cmp.Diff(want, m.CommonLabels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if len(m.Alerts) != 1 || m.Alerts[0].Annotations["id"] != id || !m.Alerts[0].StartsAt.Equal(rec.At) || !strings.Contains(m.Alerts[0].Annotations["description"], rec.Message) {
		t.Errorf("it tells %+v of %q", m.Alerts, rec.Message)
	}
}

// telling runs f with a receiver that is told of everything about decisions.
func telling(t *testing.T, f func(p *play)) {
	t.Helper()
	runningWith(t, alerts.DecisionOptions{Scaled: true, MaxedOut: 15 * time.Minute, NotScaling: 5 * time.Minute}, f)
}

// decides has the autoscaler decide every second until the time has passed.
func (p *play) decides(t *testing.T, a control.Autoscaler, current, asked int32, err error, last time.Duration) {
	t.Helper()
	for end := time.Now().Add(last); time.Now().Before(end); time.Sleep(time.Second) {
		p.Decided(a, noObservation, noHistory, decision(t, &a, current, asked), err)
	}
}

func TestDecisionsAreToldAsIncidentsAre(t *testing.T) {
	t.Parallel()
	telling(t, func(p *play) {
		a := scaler("web")
		p.Decided(a, noObservation, noHistory, decision(t, &a, 2, 4), nil)
		time.Sleep(time.Minute)
		p.check(t) // nothing is before the first whole view
		p.seen()
		time.Sleep(29 * time.Second)
		p.check(t, "1m0s web firing")
		p.decides(t, a, 6, 9, nil, 16*time.Minute)
		p.seen() // a whole view of the incidents is none of the decisions
		time.Sleep(2 * time.Minute)
		p.seen()
		time.Sleep(time.Minute)
		// The change is over after ten minutes, and nobody decides for five minutes at the end.
		p.check(t, "1m0s web firing", "10m0s web resolved", "16m59s web firing")
		time.Sleep(time.Hour)
		p.check(t, "1m0s web firing", "10m0s web resolved", "16m59s web firing", "22m28s web resolved")
	})
}

func TestWhatIsNoNewsOfADecisionIsToldToNobody(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(a *control.Autoscaler) (current, asked int32, err error){
		"within range":   func(*control.Autoscaler) (int32, int32, error) { return 4, 4, nil },
		"at its maximum": func(*control.Autoscaler) (int32, int32, error) { return 6, 6, nil },
		"dry-run":        func(a *control.Autoscaler) (int32, int32, error) { a.Mode = control.DryRun; return 2, 4, nil },
		"changed in between": func(*control.Autoscaler) (int32, int32, error) {
			return 2, 4, fmt.Errorf("write: %w", control.ErrConflict)
		},
		"not accepted, which is an incident": func(a *control.Autoscaler) (int32, int32, error) {
			a.Invalid, a.InvalidReason = "spec: x", "InvalidSpec"
			return 0, 0, nil
		},
		"paused and refused": func(a *control.Autoscaler) (int32, int32, error) {
			a.Mode, a.Invalid, a.InvalidReason = control.Paused, "another one", "AmbiguousTarget"
			return 0, 0, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			telling(t, func(p *play) {
				p.seen()
				a := scaler("web")
				current, asked, err := change(&a)
				for range 1200 {
					rec := decision(t, &a, current, asked)
					if a.Invalid != "" {
						rec = hpa.Recommendation{At: time.Now(), Reason: hpa.Reason(a.InvalidReason), Message: a.Invalid}
					}
					p.Decided(a, noObservation, noHistory, rec, err)
					time.Sleep(time.Second)
				}
				time.Sleep(time.Hour)
				p.check(t)
			})
		})
	}
}

func TestWhatAnAlertSaysOfADecision(t *testing.T) {
	t.Parallel()
	a := scaler("web")
	rec := decision(t, &a, 4, 9)
	d := decisionOf(&a, &rec, nil)
	if !strings.HasPrefix(d.Asking, "queue is at ") || !strings.Contains(d.Asking, "need 9") {
		t.Errorf("%q asks for the most", d.Asking)
	}
	if d.ID == "" || d.ID != cluster.DecisionID(a.Ref, rec.At, 4, 6) || d.Proposed != 9 || d.Desired != 6 || d.Max != 6 || !strings.Contains(d.Message, "maxReplicas") {
		t.Errorf("it is %+v", d)
	}
	failed := decisionOf(&a, &rec, errors.New("forbidden"))
	if failed.ID != "" || failed.Stuck != "its number is not written: forbidden" {
		t.Errorf("one that is not written is %+v", failed)
	}
	a.Invalid = "hpa web has the same target"
	rec = hpa.Recommendation{At: rec.At, Reason: "AmbiguousTarget", Message: a.Invalid}
	if d := decisionOf(&a, &rec, nil); d.Stuck != a.Invalid || d.Decided || d.ID != "" {
		t.Errorf("one that is refused is %+v", d)
	}
}

func TestARefusedAutoscalerIsTold(t *testing.T) {
	t.Parallel()
	telling(t, func(p *play) {
		p.seen()
		a := scaler("web")
		a.Invalid = "hpa web has the same target"
		for range 301 {
			p.Decided(a, noObservation, noHistory, hpa.Recommendation{At: time.Now(), Reason: "AmbiguousTarget", Message: a.Invalid}, nil)
			time.Sleep(time.Second)
		}
		time.Sleep(30 * time.Second)
		p.check(t, "5m30s web firing")
		a.Invalid = ""
		p.decides(t, a, 4, 4, nil, 7*time.Minute)
		p.check(t, "5m30s web firing", "10m30s web resolved")
	})
}
