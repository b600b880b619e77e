package telemetry

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

// answers is a transport that answers with 200, or not at all where the host is away.
type answers struct{}

func (answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == "away" {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestCallsAreCountedByVerbAndStatus(t *testing.T) {
	t.Parallel()
	tel, reg := full(t)
	through := tel.CountCalls(answers{})
	for _, call := range []struct{ method, url string }{
		{http.MethodGet, "http://api/api/v1/pods?watch=true"},
		{http.MethodPost, "http://api/api/v1/namespaces/demo/pods/web/eviction"},
		{http.MethodPut, "http://api/apis/x"},
		{http.MethodPatch, "http://api/apis/x"},
		{http.MethodDelete, "http://away/apis/x"},
		{http.MethodGet, "http://api/api/v1/nodes/n/proxy/metrics/resource"},
		{http.MethodOptions, "http://api/"},
	} {
		resp, err := through.RoundTrip(httptest.NewRequest(call.method, call.url, http.NoBody))
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	want := "create 200, delete error, get 200, other 200, patch 200, proxy 200, update 200, watch 200"
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if f.GetName() == "homeostat_platform_api_requests_total" {
			for _, m := range f.GetMetric() {
				got = append(got, m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue())
			}
		}
	}
	slices.Sort(got)
	if strings.Join(got, ", ") != want {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestQueuesAndReceiversBeginAtZero(t *testing.T) {
	t.Parallel()
	tel, reg := full(t)
	tel.Queue("loki", func() float64 { return 12 }, func() float64 { return 3 })
	tel.Notified("slack", NotificationFailed)
	page := scrape(t, reg, "")
	for _, want := range []string{
		`homeostat_queue_length{queue="journal"} 4`, `homeostat_queue_dropped_total{queue="journal"} 0`,
		`homeostat_queue_length{queue="loki"} 12`, `homeostat_queue_dropped_total{queue="loki"} 3`,
		`homeostat_notifications_total{receiver="slack",result="failed"} 1`, `homeostat_notifications_total{receiver="slack",result="sent"} 0`,
		`homeostat_healing_refusals_total{reason="WouldBreakPDB"} 0`, `homeostat_platform_pass_errors_total{loop="healing"} 0`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("the page has no %s", want)
		}
	}
}

// scrape returns the page as a scraper that accepts what it says gets it.
func scrape(t *testing.T, reg *prometheus.Registry, accept string) string {
	t.Helper()
	req, resp := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody), httptest.NewRecorder()
	req.Header.Set("Accept", accept)
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(resp, req)
	if resp.Code != http.StatusOK {
		t.Fatalf("the page answers %d: %s", resp.Code, resp.Body)
	}
	return resp.Body.String()
}

func TestAnExemplarLeadsToTheRecords(t *testing.T) {
	t.Parallel()
	tel, reg := full(t)
	long := dying(strings.Repeat("w", 60), time.Now())
	long.Namespace, long.Kind = strings.Repeat("n", 63), incident.CrashLoop
	long.Name = strings.Repeat("i", 80)
	tel.Incident(long) // has no room for an exemplar, and is counted
	page := scrape(t, reg, "application/openmetrics-text; version=1.0.0")
	if !strings.HasSuffix(page, "# EOF\n") {
		t.Fatal("the page is not OpenMetrics")
	}
	for name, id := range map[string]string{
		`homeostat_healing_incidents_opened_total{kind="OOMKilled"`:       "demo/api-oomkilled-1",
		`homeostat_healing_refusals_total{reason="Cooldown"`:              "demo/api-oomkilled-1",
		`homeostat_healing_detection_seconds_bucket{kind="OOMKilled",le=`: "demo/api-oomkilled-1",
		`homeostat_healing_remediations_total{kind="Restart"`:             "demo/api-oomkilled-1",
		`homeostat_autoscaler_decisions_total{kind="Autoscaler"`:          cluster.DecisionID(autoscaler().Ref, t0, 2, 4),
	} {
		found := false
		for line := range strings.Lines(page) {
			found = found || strings.HasPrefix(line, name) && strings.Contains(line, `# {id="`+id+`"}`)
		}
		if !found {
			t.Errorf("%s has no exemplar", name)
		}
	}
	if !strings.Contains(page, `homeostat_healing_incidents_opened_total{kind="CrashLoop",namespace="`+long.Namespace+`"} 1.0`+"\n") {
		t.Error("an incident with a long name is not counted")
	}
	if text := scrape(t, reg, "text/plain"); strings.Contains(text, "# {") {
		t.Error("the plain page has exemplars")
	}
}

// crowd tells of n workloads, each with an autoscaler, an incident with a forecast and so many members, and a spent budget.
func crowd(r *recording, n int, members int32) {
	r.t.Helper()
	now := time.Now()
	r.Leading(true)
	var v control.HealingView
	for i := range n {
		name, namespace := fmt.Sprintf("workload-of-usual-length-%04d", i), fmt.Sprintf("namespace-%02d", i%20)
		a, rec := autoscaler(), decision(4)
		a.Ref.Namespace, a.Ref.Name, rec.At = namespace, name, now
		r.Decided(a, hpa.Observation{}, hpa.History{}, rec, nil)
		in := leaking(name, now.Add(time.Duration(i)*time.Millisecond))
		in.Namespace, in.Workload.Namespace = namespace, namespace
		in.MemberCount = members
		v.Incidents = append(v.Incidents, in)
		v.Budgets = append(v.Budgets, control.BudgetLeft{Workload: in.Workload, Policy: "default", Left: 1})
		r.Incident(in)
	}
	r.Healed(v)
}

func lines(page string) int {
	n := 0
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			n++
		}
	}
	return n
}

func TestThePageIsBoundedWithAThousandWorkloads(t *testing.T) {
	t.Parallel()
	const perAutoscaler, perIncident, rest = 13, 6, 250
	synctest.Test(t, func(t *testing.T) {
		page := func(n int) string {
			reg := prometheus.NewRegistry()
			r := &recording{Telemetry: New(reg, nil, 60, "v1"), t: t, reg: reg}
			crowd(r, n, 1)
			return scrape(t, reg, "")
		}
		thousand := page(1000)
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := z.Write([]byte(thousand)); err != nil || z.Close() != nil {
			t.Fatal("the page cannot be compressed")
		}
		t.Logf("1,000 workloads, each with an autoscaler and an incident: %d series, %d bytes, %d compressed", lines(thousand), len(thousand), zipped.Len())
		if got := lines(thousand); got < 1000*(perAutoscaler+perIncident) || got > 1000*(perAutoscaler+perIncident)+rest {
			t.Errorf("%d series, want %d for each workload and %d others at most", got, perAutoscaler+perIncident, rest)
		}
		if got := len(thousand); got > 4<<20 {
			t.Errorf("a page of %d bytes, want 4 MiB at most", got)
		}
		if !strings.Contains(thousand, "homeostat_telemetry_series_cut 0\n") {
			t.Error("something was left out of a thousand")
		}
		more := page(1100)
		if got, want := lines(more)-lines(thousand), 100*perAutoscaler; got != want {
			t.Errorf("another 100 workloads bring %d series, want %d: those of their autoscalers", got, want)
		}
		if !strings.Contains(more, "homeostat_telemetry_series_cut 300\n") {
			t.Error("it is not said that 100 incidents, forecasts and budgets were left out")
		}
	})
}

func TestRootsAndWhatIsOldestAreNotCut(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		crowd(r, MaxSeries, 0)
		node := dying("n1", time.Now().Add(time.Hour))
		node.Kind, node.Workload.Kind, node.MemberCount = incident.NodeNotReady, "Node", 12
		r.Incident(node)
		late := dying("late", time.Now().Add(time.Hour))
		r.Incident(late)
		all := strings.Join(r.healingSeries("incident_active"), "\n")
		if !strings.Contains(all, "{NodeNotReady,demo,Open,n1,Node}") {
			t.Error("the root was left out")
		}
		if strings.Contains(all, "late") || strings.Contains(all, "-0999,") || !strings.Contains(all, "-0998,") {
			t.Error("not the newest were left out")
		}
	})
}
