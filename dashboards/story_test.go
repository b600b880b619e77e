package dashboards

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// A story is a controller that leads, scales web up and down, and heals it of a leak, played one step with each scrape. It is told by the
// telemetry that the controller has. Beside it stand the metrics of others about the same pods.
type story struct {
	registry  *prometheus.Registry
	telemetry *telemetry.Telemetry
	began     time.Time

	mu     sync.Mutex
	step   int
	killed incident.Incident // the last one that was opened
}

// once is the step in which one incident is opened that is the only one of its kind.
const once = 6

// play begins a story. The records of its journal go to also, which may be nil.
func play(t *testing.T, also func(journal.Record)) *story {
	t.Helper()
	s := &story{registry: prometheus.NewRegistry(), began: time.Now()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	j := journal.New()
	if also != nil {
		j.Also(also)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.Run(ctx, io.Discard, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { end(); <-ended })
	s.telemetry = telemetry.New(s.registry, j, 1, "v0.0.0-test")
	s.telemetry.Receiver("pager")
	s.telemetry.Leading(true)
	return s
}

// pages serves the story's metrics and those of others.
func (s *story) pages() http.Handler {
	mux := http.NewServeMux()
	own := promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		s.next(time.Now())
		own.ServeHTTP(w, r)
	})
	mux.HandleFunc("/foreign", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s.foreign(time.Now())) })
	return mux
}

type answer struct{ code int }

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.code, Body: http.NoBody}, nil
}

// next plays one step.
func (s *story) next(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step++
	tel := s.telemetry
	switch s.step {
	case 4: // another one leads for a moment
		tel.Leading(false)
		return
	case 5:
		tel.Leading(true)
		now = time.Now()
	}
	s.decide(now)
	s.heal(now)
	for _, loop := range []string{"scaling", "healing"} {
		tel.Turned(loop, time.Duration(s.step%5)*time.Millisecond, nil)
	}
	tel.Turned("healing", time.Millisecond, io.ErrUnexpectedEOF)
	tel.ScrapeDone("node-1", 20*time.Millisecond, 40, nil)
	tel.ScrapeDone("node-2", 20*time.Millisecond, 0, io.ErrUnexpectedEOF)
	tel.Notified("pager", telemetry.NotificationSent)
	for code, method := range map[int]string{http.StatusOK: http.MethodGet, http.StatusConflict: http.MethodPatch} {
		req, err := http.NewRequestWithContext(context.Background(), method, "http://api/api/v1/pods", nil)
		if err == nil {
			_, _ = tel.CountCalls(answer{code}).RoundTrip(req) //nolint:bodyclose // it has none
		}
	}
}

func (s *story) decide(now time.Time) {
	// Up and down between 2 and 6, a step of it lasts for four scrapes.
	wave := func(step int) int32 { return 2 + int32([]int{0, 1, 2, 4, 4, 3, 1, 0}[step/4%8]) }
	current, desired := wave(s.step), wave(s.step+1)
	reason := []hpa.Reason{hpa.ReasonScaleUpLimit, hpa.ReasonDesiredWithinRange, hpa.ReasonScaleDownStable}[s.step/4%3]
	rec := hpa.Recommendation{
		At: now, Current: current, Proposed: desired + 1, Desired: desired, Reason: reason,
		Message: fmt.Sprintf("from %d to %d replicas, as fast as the limit allows", current, desired),
		Steps:   []hpa.Step{{Name: hpa.StepMetrics, Before: current, After: desired + 1}, {Name: hpa.StepRateLimit, Before: desired + 1, After: desired}},
		Metrics: []hpa.MetricProposal{{Oldest: now.Add(-4 * time.Second), Err: "no answer"}},
	}
	web := control.Autoscaler{
		Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web"}, Mode: control.Active,
		Target: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}, Policy: hpa.Policy{Min: 2, Max: 10},
	}
	var err error
	if s.step%2 == 0 {
		err = control.ErrConflict
	}
	s.telemetry.Decided(web, hpa.Observation{}, hpa.History{}, rec, err)
}

func (s *story) heal(now time.Time) {
	web := cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}
	leak := incident.Incident{
		Namespace: "shop", Name: "web-leak", Workload: web, Kind: incident.MemoryLeak, State: incident.Open, Cause: "memory grows without load",
		OpenedAt: now, StartedAt: now.Add(-time.Minute), LastSeenAt: now, Reason: string(healing.ReasonObserveOnly), Message: "memory reaches the limit in 20 s",
		Subjects: []incident.Subject{{Replica: "web-6d4cf56db6-x7k2p", Container: "app", At: now}},
		Forecast: &incident.Forecast{At: now.Add(-time.Minute), OOMAt: now.Add(20 * time.Second), Earliest: now, Memory: 200 << 20, Limit: 256 << 20},
	}
	s.telemetry.Incident(leak)
	oom := incident.Incident{
		Namespace: "shop", Name: fmt.Sprintf("web-oom-%d", s.step), Workload: web, Kind: incident.OOMKilled, State: incident.Abandoned,
		Cause: "killed at its memory limit", OpenedAt: now, StartedAt: now.Add(-2 * time.Second), LastSeenAt: now, MemberCount: 2,
		Reason: string(healing.ReasonOpened), Message: "app of web was killed at its memory limit",
		Subjects: []incident.Subject{{Replica: "web-6d4cf56db6-x7k2p", Container: "app", At: now.Add(-2 * time.Second)}},
		Timeline: []incident.Entry{{At: now, Reason: string(healing.ReasonCooldown), Message: "the last remedy was a minute ago"}},
	}
	s.telemetry.Incident(oom)
	if before := s.killed; before.Name != "" {
		before.State, before.ResolvedAt = incident.Resolved, now
		before.Reason, before.Message = string(healing.ReasonResolved), "healthy again"
		s.telemetry.Incident(before)
	}
	s.killed = oom
	if s.step == once {
		s.telemetry.Incident(incident.Incident{
			Namespace: "shop", Name: "web-throttled", Workload: web, Kind: incident.CPUThrottled, State: incident.Open,
			OpenedAt: now, StartedAt: now.Add(-time.Second), LastSeenAt: now, Reason: string(healing.ReasonOpened),
		})
	}
	left := int32(7)
	s.telemetry.Healed(control.HealingView{
		At: now, Incidents: []incident.Incident{leak, oom}, Cluster: &left, Breaker: "half of the workloads fail",
		Budgets: []control.BudgetLeft{{Workload: web, Policy: "default", Left: 2}},
	})
	s.telemetry.Acted(healing.Action{Incident: oom.Name, RemediationID: "r-1", Remedy: incident.RemedyRestart, Workload: web, Replica: "web-6d4cf56db6-x7k2p"},
		healing.Result{Outcome: incident.Done, Reason: healing.ReasonCarriedOut, Message: "the pod was evicted"}, now)
}

// foreign is what cadvisor and kube-state-metrics expose about the same pods, with the labels that the monitors of kube-prometheus-stack leave.
func (s *story) foreign(now time.Time) string {
	var b bytes.Buffer
	spent := now.Sub(s.began).Seconds()
	for _, pod := range []string{"web-6d4cf56db6-x7k2p", "web-6d4cf56db6-9zq4t"} {
		at := strings.NewReplacer("POD", pod).Replace(`namespace="shop",pod="POD",container="app"`)
		fmt.Fprintf(&b, "container_cpu_usage_seconds_total{%s,image=\"i\"} %f\n", at, spent*0.4)
		fmt.Fprintf(&b, "container_memory_rss{%s,image=\"i\"} %f\n", at, 100e6+spent*1e6)
		fmt.Fprintf(&b, "container_memory_working_set_bytes{%s,image=\"i\"} %f\n", at, 120e6+spent*1e6)
		fmt.Fprintf(&b, "container_spec_memory_limit_bytes{%s,image=\"i\"} %d\n", at, 256<<20)
		fmt.Fprintf(&b, "kube_pod_container_resource_limits{%s,node=\"n\",resource=\"memory\",unit=\"byte\"} %d\n", at, 256<<20)
		fmt.Fprintf(&b, "kube_pod_container_resource_requests{%s,node=\"n\",resource=\"memory\",unit=\"byte\"} %d\n", at, 128<<20)
		fmt.Fprintf(&b, "kube_pod_container_resource_requests{%s,node=\"n\",resource=\"cpu\",unit=\"core\"} 0.5\n", at)
		fmt.Fprintf(&b, "kube_pod_status_ready{namespace=\"shop\",pod=%q,condition=\"true\"} 1\n", pod)
	}
	return b.String()
}
