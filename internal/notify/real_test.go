package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

// alertmanagerBinary returns the path of the real program, or skips. ALERTMANAGER=required fails where it is not there,
// ALERTMANAGER=off leaves the test out.
func alertmanagerBinary(t *testing.T) string {
	t.Helper()
	mode := os.Getenv("ALERTMANAGER")
	if mode == "off" {
		t.Skip("ALERTMANAGER=off")
	}
	for _, name := range []string{"prometheus-alertmanager", "alertmanager"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if mode == "required" {
		t.Fatal("ALERTMANAGER=required, and there is none: apt-get install --no-install-recommends prometheus-alertmanager")
	}
	t.Skip("NOT TESTED AGAINST A REAL ALERTMANAGER: there is none; apt-get install --no-install-recommends prometheus-alertmanager")
	return ""
}

// startAlertmanager runs one that calls the hook, until the test ends, and returns its address.
func startAlertmanager(t *testing.T, hook string) string {
	t.Helper()
	path, dir := alertmanagerBinary(t), t.TempDir()
	settings := fmt.Sprintf(`route: {receiver: hook, group_by: [namespace, workload], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: %q, send_resolved: true}]}]
`, hook)
	file := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var log strings.Builder
	cmd := exec.Command(path, "--config.file="+file, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=", "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("alertmanager says:\n%s", log.String())
		}
	})
	for range 400 {
		if code, _ := ask(t, "http://"+address+"/-/ready"); code == http.StatusOK {
			return "http://" + address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("alertmanager does not get ready")
	return ""
}

func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// listen returns the address of a webhook for the one who calls, and what it is called with.
func listen(t *testing.T, who string) (url string, calls chan message) {
	t.Helper()
	calls = make(chan message, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("read call of %s: %v", who, err)
		}
		calls <- m
	}))
	t.Cleanup(hook.Close)
	return hook.URL, calls
}

// TestRealAlertmanager follows an incident from its record through a real Alertmanager to the webhook that it calls, and to its end.
func TestRealAlertmanager(t *testing.T) {
	t.Parallel()
	hook, calls := listen(t, "alertmanager")
	direct, own := listen(t, "homeostat")
	am := startAlertmanager(t, hook)

	tree := route("stack")
	tree.Routes = []alerts.Route{route("stack"), route("direct")}
	tree.Routes[0].Continue = true
	tree.Routes[1].GroupWait, tree.Routes[1].GroupInterval = 0, time.Second
	n, err := New(Options{
		Receivers: []Receiver{
			{Name: "stack", Kind: Alertmanager, URLs: []string{am}}, {Name: "direct", Kind: Webhook, URLs: []string{direct}},
		},
		Route: tree, Links: alerts.Links{
			Grafana: "https://grafana.example.com", Loki: "loki", Dashboard: "homeostat-healing", Runbooks: "https://example.com/r",
			Labels: alerts.LogLabels{Namespace: "namespace", Pod: "pod", Container: "container"},
		},
		Labels: map[string]string{"cluster": "prod"},
	})
	if err != nil {
		t.Fatal(err)
	}
	term := begun(t, n)

	in := failure("web")
	in.Concern(incident.Subject{Replica: "web-1", Container: "app", At: in.OpenedAt})
	in.Attach(incident.Evidence{Kind: incident.EvidenceLog, Lines: []string{`a "quoted" line`, "java.lang.OutOfMemoryError"}})
	term.Incident(in)

	firing := await(t, calls, "firing")
	if len(firing.Alerts) != 1 {
		t.Fatalf("alertmanager tells of %d alerts", len(firing.Alerts))
	}
	a, want := firing.Alerts[0], alerts.FromIncident(&in, n.o.Links, time.Now())
	want.Labels["cluster"] = "prod"
	if d := cmp.Diff(want.Labels, a.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want.Annotations, a.Annotations); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
	if a.Fingerprint != want.Fingerprint() || a.GeneratorURL != want.Annotations[alerts.AnnotationDashboard] {
		t.Errorf("fingerprint is %s, want %s; generator is %s", a.Fingerprint, want.Fingerprint(), a.GeneratorURL)
	}
	if _, body := ask(t, am+"/api/v2/alerts"); !strings.Contains(body, `"alertname":"HomeostatOOMKilled"`) {
		t.Errorf("the API says %s", body)
	}

	term.Incident(resolved(in))
	over := await(t, calls, "resolved")
	if len(over.Alerts) != 1 || over.Alerts[0].Status != "resolved" || over.Alerts[0].EndsAt.IsZero() || over.Alerts[0].Fingerprint != a.Fingerprint {
		t.Errorf("the end is %+v", over.Alerts)
	}
	if n.Dropped() != 0 || n.Queued() != 0 {
		t.Errorf("%d dropped, %d wait", n.Dropped(), n.Queued())
	}

	// What a webhook is sent directly says the same as what Alertmanager sends.
	for i, theirs := range []message{firing, over} {
		ours := await(t, own, theirs.Status)
		if d := cmp.Diff(theirs.Alerts[0], ours.Alerts[0]); d != "" {
			t.Errorf("alert of notification %d (-Alertmanager +Homeostat):\n%s", i, d)
		}
		if ours.Version != theirs.Version || !cmp.Equal(ours.CommonLabels, theirs.CommonLabels) || !cmp.Equal(ours.CommonAnnotations, theirs.CommonAnnotations) {
			t.Errorf("notification %d is %+v, Alertmanager's %+v", i, ours, theirs)
		}
	}
}

// begun is a Term of the notifier that runs until the test ends, and knows that there are no incidents.
func begun(t *testing.T, n *Notifier) *Term {
	t.Helper()
	term := n.Begin()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- term.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		n.Close()
	})
	term.Healed(control.HealingView{At: time.Now()})
	return term
}

// TestChangesThroughARealAlertmanager verifies that it tells of each of two changes in a row, with the ids of their decisions.
func TestChangesThroughARealAlertmanager(t *testing.T) {
	t.Parallel()
	hook, calls := listen(t, "alertmanager")
	n, err := New(Options{
		Receivers: []Receiver{{Name: "stack", Kind: Alertmanager, URLs: []string{startAlertmanager(t, hook)}}},
		Route:     route("stack"), Decisions: alerts.DecisionOptions{Scaled: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	term := begun(t, n)
	a := scaler("web")
	var ids []string
	for _, numbers := range [][2]int32{{2, 4}, {4, 6}} {
		rec := decision(t, &a, numbers[0], numbers[1])
		term.Decided(a, noObservation, noHistory, rec, nil)
		ids = append(ids, cluster.DecisionID(a.Ref, rec.At, numbers[0], numbers[1]))
		told := func(m *message) bool {
			return slices.ContainsFunc(m.Alerts, func(a messageAlert) bool {
				return a.Annotations["id"] == ids[len(ids)-1] && a.Labels["alertname"] == alerts.NameScaled && a.Status == "firing"
			})
		}
		m := await(t, calls, "firing")
		for !told(&m) {
			m = await(t, calls, "firing")
		}
		if len(m.Alerts) != len(ids) {
			t.Errorf("alertmanager tells of %d changes, want %d", len(m.Alerts), len(ids))
		}
	}
}

func await(t *testing.T, calls <-chan message, status string) message {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case m := <-calls:
			if m.Status == status {
				return m
			}
		case <-timeout:
			t.Fatalf("nobody was told that it is %s", status)
		}
	}
}

// TestARealAlertmanagerThatRefuses verifies that what it calls wrong is not tried again, and why is told.
func TestARealAlertmanagerThatRefuses(t *testing.T) {
	t.Parallel()
	sender := make1(t, Receiver{Kind: Alertmanager, URLs: []string{startAlertmanager(t, "http://127.0.0.1:1")}})
	n := notification()
	n.Alerts = n.Alerts[:1]
	n.Alerts[0].Labels = map[string]string{"not a name": "x"}
	err := sender.send(t.Context(), n)
	var refused *alerts.SendError
	if !errors.As(err, &refused) || !refused.Permanent || !strings.Contains(err.Error(), "400") || !strings.Contains(err.Error(), "not a name") {
		t.Errorf("error is %v", err)
	}
}
