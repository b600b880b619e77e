package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/platform/local/localtest"
)

// webhook returns the address of a receiver, and what it is told.
func webhook(t *testing.T) (url string, told chan map[string]any) {
	t.Helper()
	told = make(chan map[string]any, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("read notification: %v", err)
		}
		told <- m
	}))
	t.Cleanup(hook.Close)
	return hook.URL, told
}

func TestAFailureOfARealProcessIsTold(t *testing.T) {
	t.Parallel()
	hook, told := webhook(t)
	addr, stop := start(t, "", func(c *config.Config) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		document := fmt.Sprintf(`apiVersion: local.homeostat.dev/v1alpha1
kind: Service
metadata: {name: web}
spec:
  command: [%q]
  env: [{name: %s, value: %s}, {name: CODE, value: "127"}]
  replicas: 1
`, self, localtest.Env, localtest.Crash)
		if err := os.WriteFile(c.LocalPlatform.File, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		at := config.Duration(0)
		c.Alerts.Receivers = []config.Receiver{{Name: "hook", Webhook: &config.WebhookReceiver{URL: hook}}}
		c.Alerts.Route.GroupWait = &at
		c.Alerts.Labels = map[string]string{"cluster": "here"}
	})
	select {
	case m := <-told:
		labels := fmt.Sprint(m["commonLabels"])
		for _, want := range []string{"alertname:HomeostatBadCommand", "workload:web", "cluster:here", "source:homeostat"} {
			if !strings.Contains(labels, want) {
				t.Errorf("labels are %s, want %s", labels, want)
			}
		}
		if said := fmt.Sprint(m["commonAnnotations"]); !strings.Contains(said, "cannot open the database") || !strings.Contains(said, "/HomeostatBadCommand.md") {
			t.Errorf("annotations are %s, want the log and the runbook", said)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told")
	}
	within(t, addr+"/metrics", `homeostat_notifications_total{receiver="hook",result="sent"} 1`)
	within(t, addr+"/metrics", `homeostat_notifications_total{receiver="hook",result="failed"} 0`)
	within(t, addr+"/metrics", `homeostat_queue_dropped_total{queue="alerts"} 0`)
	if err := stop(); err != nil {
		t.Errorf("the app ended with %v", err)
	}
}

// The change that a notification tells of is the one that the API and the journal have, by its id.
func TestAScalingOfARealProcessIsTold(t *testing.T) {
	t.Parallel()
	hook, told := webhook(t)
	journal := filepath.Join(t.TempDir(), "journal.jsonl")
	addr, stop := start(t, journal, func(c *config.Config) {
		at := config.Duration(0)
		c.Alerts.Receivers = []config.Receiver{{Name: "hook", Webhook: &config.WebhookReceiver{URL: hook}}}
		c.Alerts.Route.GroupWait = &at
		c.Alerts.Decisions.Scaled = true
		c.Alerts.Links.Grafana = "https://grafana.example.com"
	})
	var id string
	select {
	case m := <-told:
		labels, _ := m["commonLabels"].(map[string]any)
		said, _ := m["commonAnnotations"].(map[string]any)
		id = fmt.Sprint(said["id"])
		if labels["alertname"] != "HomeostatScaled" || labels["workload"] != "web" || labels["decision"] != id || !cluster.IsDecisionID(id) {
			t.Errorf("labels are %v, annotations %v", labels, said)
		}
		if text := fmt.Sprint(said["description"]); !strings.Contains(text, "TooFewReplicas: raised to 2 by minReplicas") {
			t.Errorf("the description is %q", text)
		}
		if link := fmt.Sprint(said["dashboard_url"]); !strings.Contains(link, "/d/homeostat-autoscaling?") || !strings.Contains(link, "&var-name=web") {
			t.Errorf("it leads to %s", link)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told")
	}
	within(t, addr+"/decisions/local/autoscaler/web", fmt.Sprintf("%q: %q", "id", id))
	if err := stop(); err != nil {
		t.Errorf("the app ended with %v", err)
	}
	lines, err := os.ReadFile(journal)
	if err != nil || !strings.Contains(string(lines), fmt.Sprintf("%q:%q", "id", id)) {
		t.Errorf("the journal does not tell of %s (%v):\n%s", id, err, lines)
	}
}

func TestReceiversOfTheConfigurationAreThoseOfTheNotifier(t *testing.T) {
	t.Parallel()
	no := false
	for name, tc := range map[string]struct {
		c    config.Receiver
		want string
	}{
		"alertmanager": {config.Receiver{Alertmanager: &config.AlertmanagerReceiver{URLs: []string{"http://a", "http://b"}}}, "alertmanager [http://a http://b]   false 10s"},
		"webhook":      {config.Receiver{Webhook: &config.WebhookReceiver{URL: "http://a", SecretFile: "/k"}, Timeout: config.Duration(time.Second)}, "webhook [http://a]  /k false 1s"},
		"webhook file": {config.Receiver{Webhook: &config.WebhookReceiver{URLFile: "/u"}}, "webhook [] /u  false 10s"},
		"slack":        {config.Receiver{Slack: &config.SlackReceiver{URLFile: "/u"}, SendResolved: &no}, "slack [] /u  true 10s"},
	} {
		r := receiverOf(&tc.c)
		if got := fmt.Sprintf("%s %v %s %s %t %s", r.Kind, r.URLs, r.URLFile, r.SecretFile, r.SkipResolved, r.Timeout); got != tc.want {
			t.Errorf("%s: receiver is %q, want %q", name, got, tc.want)
		}
	}
}
