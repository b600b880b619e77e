package kubelet

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/metrics"
)

// summaryPage is what a kubelet of a node with cgroup v2 serves, shortened: a pod whose own cgroup was read, and one of
// which only containers are known.
const summaryPage = `{
 "node": {"nodeName": "n1", "cpu": {"time": "2026-03-01T12:00:00Z", "usageNanoCores": 120000000,
  "psi": {"full": {"total": 0, "avg10": 0, "avg60": 0, "avg300": 0}, "some": {"total": 9000000, "avg10": 50, "avg60": 9.1, "avg300": 2}}}},
 "pods": [
  {"podRef": {"name": "cart-1", "namespace": "shop", "uid": "u1"}, "startTime": "2026-03-01T11:00:00Z",
   "containers": [{"name": "app", "startTime": "2026-03-01T11:00:01Z", "cpu": {"time": "2026-03-01T12:00:01Z",
     "psi": {"full": {"total": 1, "avg10": 1, "avg60": 1, "avg300": 1}, "some": {"total": 7, "avg10": 99, "avg60": 1, "avg300": 1}}}}],
   "cpu": {"time": "2026-03-01T12:00:02Z", "usageNanoCores": 90000000,
     "psi": {"full": {"total": 2000, "avg10": 3.5, "avg60": 0, "avg300": 0}, "some": {"total": 5000000, "avg10": 37.25, "avg60": 8, "avg300": 1.5}}},
   "memory": {"time": "2026-03-01T12:00:02Z", "workingSetBytes": 1048576}},
  {"podRef": {"name": "cart-2", "namespace": "shop", "uid": "u2"}, "cpu": {"time": "2026-03-01T12:00:02Z", "usageNanoCores": 1},
   "containers": [
    {"name": "app", "cpu": {"time": "2026-03-01T12:00:03Z", "psi": {"full": {"total": 0, "avg10": 0}, "some": {"total": 10, "avg10": 2}}}},
    {"name": "side", "cpu": {"time": "2026-03-01T12:00:04Z", "psi": {"full": {"total": 0, "avg10": 0}, "some": {"total": 11, "avg10": 4}}}}]},
  {"podRef": {"name": "cart-3", "namespace": "shop", "uid": "u3"}, "containers": []}
 ]}`

// quietPage is the same of a node with cgroup v1: the fields are there, and zero.
const quietPage = `{"pods": [{"podRef": {"name": "cart-1", "namespace": "shop"}, "cpu": {"time": "2026-03-01T12:00:02Z",
  "psi": {"full": {"total": 0, "avg10": 0, "avg60": 0, "avg300": 0}, "some": {"total": 0, "avg10": 0, "avg60": 0, "avg300": 0}}}}]}`

func TestReadPressures(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, page string
		want       []podPressure
		wantErr    bool
	}{
		{"the pod's own reading, or that of the container that waits most", summaryPage, []podPressure{
			{"shop", "cart-1", noon.Add(2 * time.Second), 37.25},
			{"shop", "cart-2", noon.Add(4 * time.Second), 4},
		}, false},
		{"zeros alone are no readings", quietPage, nil, false},
		{
			"an idle pod beside one that waited once has zero", `{"pods": [
			{"podRef": {"name": "a", "namespace": "x"}, "cpu": {"psi": {"some": {"total": 0, "avg10": 0}}}},
			{"podRef": {"name": "b", "namespace": "x"}, "cpu": {"psi": {"some": {"total": 3, "avg10": 0}}}}]}`,
			[]podPressure{{"x", "a", noon.Add(time.Minute), 0}, {"x", "b", noon.Add(time.Minute), 0}},
			false,
		},
		{"a kubelet before PSI", `{"pods": [{"podRef": {"name": "a", "namespace": "x"}, "cpu": {"usageNanoCores": 1}}]}`, nil, false},
		{"no pods", `{"node": {}}`, nil, false},
		{"no JSON", "# HELP x y\n", nil, true},
		{"cut off", summaryPage[:700], nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readPressures([]byte(tt.page), noon.Add(time.Minute))
			if (err != nil) != tt.wantErr {
				t.Fatalf("error is %v, want one: %v", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(podPressure{})); diff != "" {
				t.Errorf("pressures (-want +got):\n%s", diff)
			}
		})
	}
}

// pressureRig serves the usage page, and the summary page that it returns a pointer to.
func pressureRig(t *testing.T) (r *rig, summary *atomic.Pointer[string], asked *atomic.Int64) {
	t.Helper()
	summary, asked = &atomic.Pointer[string]{}, &atomic.Int64{}
	r = newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/stats/summary" {
			servePage(w, req)
			return
		}
		asked.Add(1)
		if req.URL.Query().Get("only_cpu_and_memory") != "true" || req.Header.Get("Accept") != "application/json" {
			http.Error(w, "not what was agreed on: "+req.URL.String(), http.StatusNotAcceptable)
			return
		}
		body := *summary.Load()
		if body == "" {
			http.Error(w, "Forbidden (user=x, verb=get, resource=nodes, subresource=stats)", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	})
	r.config.Pressure, r.config.OOMEvents = true, false
	r.config.Proxy.Client = nil
	r.config.Period, r.config.PressurePeriod, r.config.PressureRetry = 5*time.Second, 10*time.Second, 30*time.Second
	return r, summary, asked
}

func TestPressureIsReadAtASlowerPace(t *testing.T) {
	r, summary, asked := pressureRig(t)
	page := summaryPage
	summary.Store(&page)
	visit := r.visits(t)
	for range 5 {
		if err := visit(); err != nil {
			t.Fatal(err)
		}
	}
	if asked.Load() != 3 {
		t.Errorf("5 scrapes read the summary %d times, want 3: every other", asked.Load())
	}
	if n := len(r.rec.pressures); n != 6 {
		t.Fatalf("%d pressures were told, want 2 for each reading", n)
	}
	if got := r.rec.pressures[0]; got.pod != "cart-1" || got.percent != 37.25 {
		t.Errorf("the first is %+v, want 37.25 of cart-1", got)
	}
}

func TestPressureThatIsNotThereIsRarelyAskedFor(t *testing.T) {
	for _, tt := range []struct{ name, page string }{{"cgroup v1", quietPage}, {"the role lacks nodes/stats", ""}, {"no JSON", "?"}} {
		t.Run(tt.name, func(t *testing.T) {
			r, summary, asked := pressureRig(t)
			summary.Store(&tt.page)
			visit := r.visits(t)
			for range 6 {
				if err := visit(); err != nil {
					t.Fatalf("the scrape fails for want of pressure: %v", err)
				}
			}
			if asked.Load() != 1 || len(r.rec.pressures) != 0 {
				t.Errorf("6 scrapes asked %d times and told %v, want once and nothing", asked.Load(), r.rec.pressures)
			}
			page := summaryPage
			summary.Store(&page)
			for range 3 { // the retry is due every 6th scrape, and from then on every other
				if err := visit(); err != nil {
					t.Fatal(err)
				}
			}
			if asked.Load() != 3 || len(r.rec.pressures) != 4 {
				t.Errorf("asked %d times and told %d pressures once it is there, want 3 and 4", asked.Load(), len(r.rec.pressures))
			}
		})
	}
}

func TestPressureGetsIntoTheStore(t *testing.T) {
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)
	store.Add(appKey, "n1", metrics.Sample{At: now, CPUSeconds: 1, MemoryBytes: 1})
	readings, err := readPressures([]byte(summaryPage), now)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range readings {
		store.AddPressure(p.namespace, p.pod, p.at, p.percent)
	}
	if got, ok := store.Pressure("shop", "cart-1", now); !ok || got != 37.25 {
		t.Errorf("pressure of cart-1 is %v, %v, want 37.25", got, ok)
	}
}

func FuzzReadPressures(f *testing.F) {
	for _, page := range []string{summaryPage, quietPage, `{"pods":[{}]}`, `{"pods":[null]}`, strings.Repeat("[", 100)} {
		f.Add([]byte(page))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		readings, err := readPressures(page, time.Unix(1, 0))
		if err != nil && readings != nil {
			t.Errorf("%d readings beside error %v", len(readings), err)
		}
		for _, r := range readings {
			if r.pod == "" {
				t.Errorf("a reading of no pod: %+v", r)
			}
		}
	})
}
