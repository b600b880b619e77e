//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/internal/logs/loki/lokitest"
)

// program returns the path of a program of this machine, by the first of its names that is there. Without it the test is left out; it fails where E2E or
// the variable says required.
func program(t *testing.T, variable string, names ...string) string {
	t.Helper()
	if os.Getenv(variable) == "off" {
		t.Skipf("SKIPPED: %s=off", variable)
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	says := fmt.Sprintf("there is no %s: apt-get install --no-install-recommends prometheus prometheus-alertmanager", strings.Join(names, " and no "))
	if os.Getenv("E2E") == "required" || os.Getenv(variable) == "required" {
		t.Fatalf("it is required, and %s", says)
	}
	t.Skipf("SKIPPED: NOT TESTED WITH THE REAL PROGRAM: %s", says)
	return ""
}

// told is one alert of one call of a webhook.
type told struct {
	at       time.Time // when the call came
	receiver string

	Status           string
	Labels           map[string]string
	Annotations      map[string]string
	StartsAt, EndsAt time.Time
	Fingerprint      string
}

func (a *told) String() string { return a.receiver + " " + a.Status + " " + a.Labels["alertname"] }

// webhook listens on loopback, and keeps what it is told in the format of Alertmanager's webhooks.
type webhook struct {
	url string

	mu     sync.Mutex
	alerts []told
	faults []string
}

// listen begins to. check, which may be nil, says what is wrong with a call.
func listen(t *testing.T, check func(header http.Header, body []byte) error) *webhook {
	t.Helper()
	w := &webhook{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m struct {
			Version, Receiver string
			Alerts            []told
		}
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err == nil && m.Version != "4" {
			err = fmt.Errorf("its version is %q, want 4", m.Version)
		}
		if err == nil && check != nil {
			err = check(r.Header, body)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			w.faults = append(w.faults, err.Error())
		}
		for _, a := range m.Alerts {
			a.at, a.receiver = time.Now(), m.Receiver
			w.alerts = append(w.alerts, a)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		if len(w.faults) > 0 {
			t.Errorf("calls of the webhook were wrong: %s", strings.Join(w.faults, "; "))
		}
	})
	w.url = server.URL
	return w
}

// about returns all that was told about the namespace, in the order in which it came.
func (w *webhook) about(namespace string) []told {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.alerts), func(a told) bool { return a.Labels["namespace"] != namespace })
}

// await waits until the webhook is told that the alert fires, or is resolved, and returns the first that says so.
func (w *webhook) await(s *space, alertname, status string, limit time.Duration) told {
	s.t.Helper()
	var found told
	s.await(alertname+" "+status, limit, func(context.Context) error {
		all := w.about(s.name)
		i := slices.IndexFunc(all, func(a told) bool { return a.Labels["alertname"] == alertname && a.Status == status })
		if i < 0 {
			return fmt.Errorf("nobody was told so, but %v", names(all))
		}
		found = all[i]
		return nil
	})
	return found
}

func names(all []told) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].String()
	}
	return out
}

// startAlertmanager runs Alertmanager with the committed configuration, until the test ends, and returns its address. These are changed: the receivers
// people and pager call the hook, the first group_wait and group_interval are a second.
func startAlertmanager(t *testing.T, hook string) (address string) {
	t.Helper()
	path := program(t, "ALERTMANAGER", "prometheus-alertmanager", "alertmanager")
	text, err := os.ReadFile("../alerts/alertmanager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	route, _ := config["route"].(map[string]any)
	receivers, _ := config["receivers"].([]any)
	if route["group_wait"] == nil || route["group_interval"] == nil {
		t.Fatalf("the times to be changed are not in the first route: %v", route)
	}
	route["group_wait"], route["group_interval"] = "1s", "1s"
	calling := 0
	for _, r := range receivers {
		if r, ok := r.(map[string]any); ok && (r["name"] == "people" || r["name"] == "pager") {
			r["webhook_configs"] = []any{map[string]any{"url": hook, "send_resolved": true}}
			calling++
		}
	}
	if calling != 2 {
		t.Fatalf("the receivers people and pager are not both there: %v", receivers)
	}
	if text, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	dir, listen := t.TempDir(), "127.0.0.1:"+lokitest.FreePort(t)
	file := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	address = "http://" + listen
	lokitest.Run(t, exec.Command(path, "--config.file="+file, "--storage.path="+dir, "--web.listen-address="+listen, "--cluster.listen-address=", "--log.level=warn"),
		address+"/-/ready")
	return address
}

// held is an alert as Alertmanager's API has it.
type held struct {
	Fingerprint string
	Annotations map[string]string
	Status      struct {
		State       string
		InhibitedBy []string
	}
}

// known returns what Alertmanager knows of the alert in the namespace, whether or not anybody is told.
func known(ctx context.Context, alertmanager, namespace, alertname string) ([]held, error) {
	var out []held
	params := url.Values{"filter": {fmt.Sprintf("namespace=%q", namespace), fmt.Sprintf("alertname=%q", alertname)}}
	return out, fetch(ctx, alertmanager+"/api/v2/alerts?"+params.Encode(), &out)
}

// prometheus is a Prometheus that scrapes the controllers and the cluster, and evaluates the committed rules.
type prometheus struct{ address string }

// startRules runs it until the test ends. The rules are as they are committed; they are evaluated every two seconds. Everything is scraped through the API
// server, which leads to pods and kubelets from anywhere; with honor_labels, as deploy/monitoring has it.
func startRules(t *testing.T, alertmanager string) *prometheus {
	t.Helper()
	path, dir := program(t, "PROMTOOL", "prometheus"), t.TempDir()
	rules, err := filepath.Abs("../alerts/rules/homeostat.yaml")
	if err != nil {
		t.Fatal(err)
	}
	job := clusterJob(t, dir)
	pods, err := env.controllers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := env.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	controllers, kubelets := map[string]string{}, map[string]string{}
	for i := range pods {
		controllers[pods[i].Name] = "/api/v1/namespaces/" + system + "/pods/" + pods[i].Name + ":8080/proxy/metrics"
	}
	for i := range nodes.Items {
		kubelets[nodes.Items[i].Name] = "/api/v1/nodes/" + nodes.Items[i].Name + "/proxy/metrics/cadvisor"
	}
	text, err := yaml.Marshal(map[string]any{
		"global":     map[string]any{"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "2s", "external_labels": map[string]string{"cluster": "lab"}},
		"rule_files": []string{rules},
		"alerting": map[string]any{"alertmanagers": []any{map[string]any{
			"static_configs": []any{map[string]any{"targets": []string{strings.TrimPrefix(alertmanager, "http://")}}},
		}}},
		"scrape_configs": []any{
			job("homeostat", controllers, nil),
			// As in the demo: so that the series of a container end with it.
			job("cadvisor", kubelets, map[string]any{"honor_timestamps": false}),
			job("apiserver", map[string]string{"apiserver": "/metrics"}, map[string]any{"scrape_interval": "10s", "scrape_timeout": "10s"}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	file, listen := filepath.Join(dir, "prometheus.yml"), "127.0.0.1:"+lokitest.FreePort(t)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{address: "http://" + listen}
	lokitest.Run(t, exec.Command(path, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+listen, "--log.level=warn"),
		p.address+"/-/ready")
	if err := within(t.Context(), time.Minute, func(ctx context.Context) error {
		want := len(pods) + len(nodes.Items) + 1
		if up, err := p.ask(ctx, "sum(up)"); err != nil || up != float64(want) {
			return errors.Join(err, fmt.Errorf("%g of %d targets are up", up, want))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// clusterJob returns what makes a scrape job of paths of the API server, by instance, with the rights of KUBECONFIG.
func clusterJob(t *testing.T, dir string) func(name string, paths map[string]string, more map[string]any) map[string]any {
	t.Helper()
	config := rest.CopyConfig(env.rest)
	if err := rest.LoadTLSFiles(config); err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	secret := func(name string, data []byte) string {
		if len(data) == 0 {
			return ""
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tls := map[string]any{
		"ca_file": secret("ca.crt", config.CAData), "cert_file": secret("client.crt", config.CertData), "key_file": secret("client.key", config.KeyData),
		"server_name": config.ServerName, "insecure_skip_verify": config.Insecure,
	}
	token := secret("token", []byte(config.BearerToken))
	return func(name string, paths map[string]string, more map[string]any) map[string]any {
		var targets []any
		for instance, path := range paths {
			targets = append(targets, map[string]any{
				"targets": []string{server.Host},
				"labels":  map[string]string{"instance": instance, "__metrics_path__": server.Path + path},
			})
		}
		job := map[string]any{"job_name": name, "honor_labels": true, "scheme": server.Scheme, "tls_config": tls, "static_configs": targets}
		if token != "" {
			job["authorization"] = map[string]any{"credentials_file": token}
		}
		maps.Copy(job, more)
		return job
	}
}

// ask returns the value of a query with one result, 0 where there is none.
func (p *prometheus) ask(ctx context.Context, query string) (float64, error) {
	var out struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := fetch(ctx, p.address+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), &out); err != nil {
		return 0, err
	}
	switch len(out.Data.Result) {
	case 0:
		return 0, nil
	case 1:
		text, _ := out.Data.Result[0].Value[1].(string)
		return strconv.ParseFloat(text, 64)
	default:
		return 0, fmt.Errorf("%s has %d results", query, len(out.Data.Result))
	}
}

// fetch decodes the JSON at an address.
func fetch(ctx context.Context, address string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := lokitest.Client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, out)
}
