package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	scalefake "k8s.io/client-go/scale/fake"
	"k8s.io/client-go/tools/record"

	"github.com/homeostat/homeostat/api/client"
	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// busy is one target whose two replicas use five times what they should, and what is written about it goes through the writer of the
// platform kubernetes.
type busy struct {
	autoscaler control.Autoscaler
	writer     *write.Writer
}

func (b *busy) Autoscalers(context.Context) ([]control.Autoscaler, error) {
	return []control.Autoscaler{b.autoscaler}, nil
}

func (b *busy) Observe(_ context.Context, _ control.Autoscaler, now time.Time) (hpa.Observation, error) {
	o := hpa.Observation{Current: 2, StatusReplicas: 2}
	for _, name := range []string{"web-1", "web-2"} {
		o.Replicas = append(o.Replicas, hpa.Replica{
			Name: name, Phase: cluster.PhaseRunning, StartedAt: now.Add(-time.Hour), Ready: true, ReadyKnown: true, ReadySince: now.Add(-time.Hour),
			CPU: hpa.Usage{Known: true, Value: 200, Request: 100, At: now, Window: 15 * time.Second},
		})
	}
	return o, nil
}

func (b *busy) Scale(context.Context, control.Autoscaler, hpa.Recommendation) error { return nil }

func (b *busy) Report(ctx context.Context, a control.Autoscaler, rec hpa.Recommendation, h hpa.History, err error) error {
	stored := &v1alpha1.Autoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: a.Ref.Namespace, Name: a.Ref.Name, ResourceVersion: "1"}}
	return b.writer.Report(ctx, stored, write.Outcome{Autoscaler: a, Recommendation: rec, History: h, Err: err})
}

// Whoever reads one of condition, status, event, journal, metric and /decisions finds the same word in all others.
func TestTheSameReasonStandsEverywhere(t *testing.T) {
	t.Parallel()
	var status v1alpha1.AutoscalerStatus
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var put v1alpha1.Autoscaler
		if err != nil || json.Unmarshal(body, &put) != nil || !strings.HasSuffix(r.URL.Path, "/autoscalers/web/status") {
			http.Error(w, "not expected", http.StatusBadRequest)
			return
		}
		status = put.Status
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	t.Cleanup(api.Close)
	own, err := client.New(&rest.Config{Host: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	events := record.NewFakeRecorder(10)
	writer, err := write.New(write.Options{
		Core: kubefake.NewClientset(), Own: own, Scales: &scalefake.FakeScaleClient{}, Mapper: meta.NewDefaultRESTMapper(nil), Events: events,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := hpa.DefaultPolicy()
	p.Min, p.Max = 2, 4
	b := &busy{writer: writer, autoscaler: control.Autoscaler{
		Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: "web"}, Mode: control.Active,
		Target: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "web"}, Policy: p,
	}}
	reg, j := prometheus.NewRegistry(), journal.New()
	tel := New(reg, j, 1, "v1")
	tel.Leading(true)
	if err := control.NewScaling(b, b, tel, slog.New(slog.DiscardHandler)).Pass(t.Context(), t0); err != nil {
		t.Fatal(err)
	}

	const want = "TooManyReplicas"
	found := map[string]string{"status.lastDecision": status.LastDecision.Reason}
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionScalingLimited); c != nil {
		found["condition ScalingLimited"] = c.Reason
	}
	close(events.Events)
	for e := range events.Events {
		if rest, ok := strings.CutPrefix(e, "Normal ScaleLimited "); ok {
			found["event"], _, _ = strings.Cut(rest, ":")
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if name := f.GetName(); name == "homeostat_autoscaler_reason" || name == "homeostat_autoscaler_decisions_total" {
			labels := f.GetMetric()[0].GetLabel()
			found[name] = labels[len(labels)-1].GetValue()
		}
	}
	if e, there, _ := tel.Decisions().Get("demo", "Autoscaler", "web"); there {
		found["/decisions"] = string(e.Decision.Reason)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	j.Run(ctx, &out, slog.New(slog.DiscardHandler))
	for line, err := range journal.Read(strings.NewReader(out.String())) {
		if err != nil {
			t.Fatal(err)
		}
		found["journal"] = line.Reason
	}
	for _, where := range []string{
		"status.lastDecision", "condition ScalingLimited", "event", "homeostat_autoscaler_reason", "homeostat_autoscaler_decisions_total", "/decisions", "journal",
	} {
		if found[where] != want {
			t.Errorf("%s says %q, want %s", where, found[where], want)
		}
	}
}
