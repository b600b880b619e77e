package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/decisions"
	"github.com/homeostat/homeostat/internal/report"
)

// apiServer is an API server with an Autoscaler, an HPA, and a Lease whose holder is reached through the proxy.
type apiServer struct {
	holder string // of the Lease; empty: there is no Lease
	store  *decisions.Store
	// proxy answers instead of the controller where it is set.
	proxy http.HandlerFunc
	// eventsForbidden is whether the user may not read events.
	eventsForbidden bool
}

const (
	leaseObject = `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"homeostat","namespace":"homeostat-system"},"spec":{"holderIdentity":"HOLDER"}}`
	autoscalers = `{"apiVersion":"homeostat.dev/v1alpha1","kind":"AutoscalerList","items":[{"metadata":{"name":"web","namespace":"demo"},
"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"minReplicas":2,"maxReplicas":4},
"status":{"lastDecision":{"time":"2026-03-01T12:00:00.000000Z","current":2,"proposed":2,"desired":2,"reason":"WithinTolerance","message":"said by the status","steps":[{"name":"Metrics","before":2,"after":2}]},
"conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"ok","lastTransitionTime":"2026-03-01T12:00:00Z"}]}}]}`
	hpaList = `{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscalerList","items":[{"metadata":{"name":"web","namespace":"demo"},
"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"minReplicas":2,"maxReplicas":10,"metrics":[
{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}},
{"type":"Pods","pods":{"metric":{"name":"http_requests"},"target":{"type":"AverageValue","averageValue":"100"}}},
{"type":"External","external":{"metric":{"name":"queue"},"target":{"type":"Value","value":"30"}}}]},
"status":{"currentReplicas":4,"desiredReplicas":2,"lastScaleTime":"2026-03-01T12:00:00Z","currentMetrics":[
{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":12,"averageValue":"12m"}}},
{"type":""},
{"type":"External","external":{"metric":{"name":"queue"},"current":{"value":"7","averageValue":"0"}}}],
"conditions":[{"type":"ScalingActive","status":"False","reason":"FailedGetPodsMetric","message":"no metrics returned"}]}}]}`
	eventList = `{"apiVersion":"v1","kind":"EventList","items":[
{"metadata":{"name":"a"},"type":"Warning","reason":"FailedGetPodsMetric","message":"older","count":3,"firstTimestamp":"2026-03-01T11:00:00Z","lastTimestamp":"2026-03-01T11:59:00Z"},
{"metadata":{"name":"b"},"type":"Normal","reason":"SuccessfulRescale","message":"newer","eventTime":"2026-03-01T12:00:00.000000Z"}]}`
)

// start serves it and points KUBECONFIG there.
func (s *apiServer) start(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	serve := func(path, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		})
	}
	refuse := func(w http.ResponseWriter, code int, reason, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
	}
	serve("/apis/homeostat.dev/v1alpha1/namespaces/demo/autoscalers", autoscalers)
	serve("/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers", hpaList)
	serve("/apis/homeostat.dev/v1alpha1/autoscalers", twice(autoscalers))
	serve("/apis/autoscaling/v2/horizontalpodautoscalers", twice(hpaList))
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/events", func(w http.ResponseWriter, r *http.Request) {
		selector := r.URL.Query().Get("fieldSelector")
		if s.eventsForbidden || selector != "involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name=web" {
			refuse(w, http.StatusForbidden, "Forbidden", "events are forbidden")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(eventList))
	})
	mux.HandleFunc("GET /apis/coordination.k8s.io/v1/namespaces/homeostat-system/leases/homeostat", func(w http.ResponseWriter, _ *http.Request) {
		if s.holder == "" {
			refuse(w, http.StatusNotFound, "NotFound", "leases not found")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(strings.Replace(leaseObject, "HOLDER", s.holder, 1)))
	})
	const proxy = "/api/v1/namespaces/homeostat-system/pods/homeostat-7f/proxy"
	controller := http.NewServeMux()
	s.store.Register(controller, time.Now, func() string { return "homeostat-8a" })
	mux.HandleFunc("GET "+proxy+"/", func(w http.ResponseWriter, r *http.Request) {
		if s.proxy != nil {
			s.proxy(w, r)
			return
		}
		http.StripPrefix(proxy, controller).ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /api/v1/namespaces/homeostat-system/pods/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "NotFound", "pods not found")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	useCluster(t, server.URL)
}

// twice adds the objects of a list once more, in another namespace.
func twice(list string) string {
	head, items, _ := strings.Cut(strings.TrimSuffix(list, "]}"), `"items":[`)
	return head + `"items":[` + items + "," + strings.ReplaceAll(items, `"namespace":"demo"`, `"namespace":"prod"`) + "]}"
}

// crashing is a store with a decision about four replicas, of which two are in a crash loop: they keep their number only because of that.
func crashing() *decisions.Store {
	at := time.Now().Add(-3 * time.Second)
	p := hpa.DefaultPolicy()
	p.Min, p.Max = 2, 10
	p.Metrics = []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 50}}
	o := hpa.Observation{Current: 4, StatusReplicas: 4}
	for i, name := range []string{"web-1", "web-2", "web-3", "web-4"} {
		r := hpa.Replica{
			Name: name, Phase: cluster.PhaseRunning, StartedAt: at.Add(-time.Hour), Ready: true, ReadyKnown: true, ReadySince: at.Add(-time.Hour),
			CPU: hpa.Usage{Known: true, Value: 50, Request: 100, At: at, Window: 15 * time.Second},
		}
		if i >= 2 {
			r.Ready, r.ReadySince, r.CrashLooping, r.CPU.Value = false, at.Add(-10*time.Minute), true, 0
		}
		o.Replicas = append(o.Replicas, r)
	}
	h := hpa.History{Recommendations: []hpa.Recommended{{At: at.Add(-time.Hour), Replicas: 4}}}
	rec, _ := hpa.Decide(p, o, h, at)
	rec.Message = "said by the controller"
	s := decisions.New()
	s.Leading(true)
	for _, kind := range []string{decisions.KindAutoscaler, decisions.KindHPA} {
		s.Decided(control.Autoscaler{
			Ref: cluster.Ref{Kind: kind, Namespace: "demo", Name: "web"}, Mode: control.DryRun,
			Target: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "web"}, Policy: p,
		}, o, h, rec, nil)
	}
	return s
}

func TestExplainAsksTheControllerThroughTheAPIServer(t *testing.T) {
	(&apiServer{holder: "homeostat-7f", store: crashing()}).start(t)
	code, stdout, stderr := call(t, "explain", "autoscaler/web")
	if code != 0 || !strings.HasPrefix(stdout, "web stays at 4: said by the controller") || !strings.Contains(stdout, "crashLoopIsNotCapacity") {
		t.Errorf("exits with %d and says\n%s%s", code, stdout, stderr)
	}
	if strings.Contains(stdout, "could not be asked") {
		t.Errorf("says that the controller could not be asked:\n%s", stdout)
	}
	_, stdout, _ = call(t, "explain", "as/web", "-o", "yaml")
	var a report.Autoscaler
	if err := yaml.UnmarshalStrict([]byte(stdout), &a); err != nil || a.Source != report.FromController || a.Health == nil || len(a.Observation.Replicas) != 4 {
		t.Errorf("read %+v, %v from\n%s", a, err, stdout)
	}
	// The condition that only the status has is there too.
	if len(a.Conditions) == 0 || a.Conditions[0].Type != "Accepted" {
		t.Errorf("conditions %+v, want those of the status", a.Conditions)
	}
}

func TestExplainShowsAnHPABesideOurDecision(t *testing.T) {
	(&apiServer{holder: "homeostat-7f", store: crashing()}).start(t)
	code, stdout, stderr := call(t, "explain", "hpa/web")
	if code != 0 {
		t.Fatalf("exits with %d and says %s", code, stderr)
	}
	for _, want := range []string{
		"web: the HPA wants 2, Homeostat 4: said by the controller", "replicas 4 → 2", "12%        target 50%  cpu",
		"<unknown>  target 100  http_requests of the pods", "7          target 30   queue", "SuccessfulRescale: newer", "FailedGetPodsMetric ×3: older",
		"What the HPA cannot see", "crashLoopIsNotCapacity", "web-3: crash loop",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q:\n%s", want, stdout)
		}
	}
	if newer, older := strings.Index(stdout, "newer"), strings.Index(stdout, "older"); older < newer {
		t.Errorf("the newest event does not stand first:\n%s", stdout)
	}
	_, stdout, _ = call(t, "explain", "hpa/web", "-o", "json")
	var h report.HPA
	if err := json.Unmarshal([]byte(stdout), &h); err != nil || h.Did.Desired != 2 || h.Would.Decision.Desired != 4 || len(h.CannotSee) == 0 || len(h.Did.Events) != 2 {
		t.Errorf("read %+v, %v from\n%s", h, err, stdout)
	}
}

func TestWithoutTheControllerOneLineSaysWhy(t *testing.T) {
	standby := decisions.New()
	forbidden := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"pods \"homeostat-7f\" is forbidden: cannot get resource \"pods/proxy\""}`))
	}
	empty := decisions.New()
	empty.Leading(true)
	tests := []struct {
		name   string
		server apiServer
		args   []string
		want   string
	}{
		{"no Lease", apiServer{store: standby}, nil, `there is no Lease homeostat in namespace "homeostat-system"`},
		{"another namespace", apiServer{store: standby}, []string{"--controller-namespace", "ops"}, `in namespace "ops"`},
		{"a leader outside of the cluster", apiServer{holder: "laptop-1234", store: standby}, nil, "the leader laptop-1234 is no pod"},
		{"not allowed", apiServer{holder: "homeostat-7f", store: standby, proxy: forbidden}, nil, "pods/proxy"},
		{"a leader that has just lost the Lease", apiServer{holder: "homeostat-7f", store: standby}, nil, "the leader is homeostat-8a"},
		{"a leader that has decided nothing yet", apiServer{holder: "homeostat-7f", store: empty}, nil, `nothing was decided about`},
		{"no answer that can be read", apiServer{holder: "homeostat-7f", store: empty, proxy: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>"))
		}}, nil, "its answer cannot be read"},
		{"an address where nobody is", apiServer{store: standby}, []string{"--controller", "http://127.0.0.1:1"}, "ask the controller"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.server.start(t)
			flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
			code, stdout, stderr := call(t, append([]string{"explain", "autoscaler/web"}, tt.args...)...)
			if code != 0 || !strings.Contains(flat(stdout), tt.want) || !strings.HasPrefix(stdout, "web stays at 2: said by the status") {
				t.Errorf("exits with %d; want %q in\n%s%s", code, tt.want, stdout, stderr)
			}
			code, stdout, stderr = call(t, append([]string{"explain", "hpa/web"}, tt.args...)...)
			if code != 0 || !strings.Contains(flat(stdout), tt.want) || !strings.Contains(stdout, "what Homeostat would do is not known") {
				t.Errorf("exits with %d; want %q in\n%s%s", code, tt.want, stdout, stderr)
			}
			_, stdout, _ = call(t, append([]string{"explain", "as/web", "-o", "json"}, tt.args...)...)
			var a report.Autoscaler
			if err := json.Unmarshal([]byte(stdout), &a); err != nil || a.Source != report.FromStatus || strings.Contains(a.Note, "\n") || a.Note == "" {
				t.Errorf("source %q, note %q, %v", a.Source, a.Note, err)
			}
		})
	}
}

func TestAControllerMayBeAskedAtItsAddress(t *testing.T) {
	mux := http.NewServeMux()
	crashing().Register(mux, time.Now, func() string { return "" })
	controller := httptest.NewServer(mux)
	t.Cleanup(controller.Close)
	(&apiServer{store: decisions.New(), eventsForbidden: true}).start(t)
	code, stdout, stderr := call(t, "explain", "hpa/web", "--controller", controller.URL+"/")
	if code != 0 || !strings.Contains(stdout, "Homeostat 4: said by the controller") || strings.Contains(stdout, "Its events") {
		t.Errorf("exits with %d and says\n%s%s", code, stdout, stderr)
	}
}

func TestAnHPAThatIsNotThereNamesThoseThatAre(t *testing.T) {
	(&apiServer{store: decisions.New()}).start(t)
	if code, _, stderr := call(t, "explain", "hpa/wbe"); code != 1 || !strings.Contains(stderr, `hpa "wbe" not found in namespace "demo"; there are web`) {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
}

func TestInAllNamespacesEachOfTheNameIsShown(t *testing.T) {
	(&apiServer{store: decisions.New(), eventsForbidden: true}).start(t)
	for kind, first := range map[string]string{"autoscaler": "web stays at 2", "hpa": "web: the HPA wants 2"} {
		code, stdout, stderr := call(t, "explain", kind+"/web", "-A")
		if code != 0 || !strings.HasPrefix(stdout, first) || strings.Count(stdout, "\n\n"+first) != 1 {
			t.Errorf("%s: exits with %d and says\n%s%s", kind, code, stdout, stderr)
		}
		_, stdout, _ = call(t, "explain", kind+"/web", "-A", "-o", "yaml")
		var namespaces []string
		for doc := range strings.SplitSeq(stdout, "---\n") {
			var a struct {
				Ref cluster.Ref `json:"ref"`
			}
			if err := yaml.Unmarshal([]byte(doc), &a); err != nil {
				t.Errorf("%s: %v in\n%s", kind, err, doc)
			}
			namespaces = append(namespaces, a.Ref.Namespace)
		}
		if got := strings.Join(namespaces, " "); got != "demo prod" {
			t.Errorf("%s: documents of the namespaces %q, want demo and prod", kind, got)
		}
		if code, _, stderr := call(t, "explain", kind+"/wbe", "-A"); code != 1 || !strings.Contains(stderr, `"wbe" not found; there are web`) {
			t.Errorf("%s: exits with %d and says %q", kind, code, stderr)
		}
	}
}
