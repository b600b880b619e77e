package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheExampleForAlertmanagerIsValid(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), tool(t, "amtool"), "check-config", filepath.Join(root, "alerts/alertmanager.yaml")).CombinedOutput() //nolint:gosec // amtool and a file of the repository
	if err != nil {
		t.Errorf("amtool check-config: %v\n%s", err, out)
	}
}

// startAlertmanager runs one with the example until the test ends, and returns its address.
func startAlertmanager(t *testing.T) string {
	t.Helper()
	program := tool(t, "prometheus-alertmanager")
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var said bytes.Buffer
	//nolint:gosec // Alertmanager and a file of the repository
	run := exec.CommandContext(ctx, program, "--config.file="+filepath.Join(root, "alerts/alertmanager.yaml"), "--storage.path="+t.TempDir(),
		"--web.listen-address="+address, "--cluster.listen-address=", "--log.level=warn")
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = run.Wait() // it was killed
		if t.Failed() {
			t.Logf("alertmanager said: %s", &said)
		}
	})
	eventually(t, "Alertmanager is ready", func() bool {
		_, err := call(t, http.MethodGet, "http://"+address+"/-/ready", nil)
		return err == nil
	})
	return "http://" + address
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func call(t *testing.T, method, url string, body []byte) ([]byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("call %s: %s: %s", url, resp.Status, answer)
	}
	return answer, err
}

// labelled returns labels of words such as "HomeostatOOMKilled warning kind=OOMKilled".
func labelled(text string) map[string]string {
	words := strings.Fields(text)
	out := map[string]string{"alertname": words[0], "severity": words[1]}
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		out[name] = value
	}
	return out
}

// The real Alertmanager says which alerts of a situation are pages.
func TestOneRootIsOnePage(t *testing.T) {
	t.Parallel()
	address := startAlertmanager(t)
	const (
		web     = " namespace=demo workload_kind=Deployment workload=web"
		api     = " namespace=demo workload_kind=Deployment workload=api"
		node    = "HomeostatNodeNotReady warning kind=NodeNotReady namespace=home workload_kind=Node workload=n1 role=root root=home/n1-1"
		webDown = "HomeostatIncident warning kind=NotReady" + web + " role=member root=home/n1-1"
		apiDown = "HomeostatIncident warning kind=NotReady" + api + " role=root root=demo/api-1"
		webOOM  = "HomeostatOOMKilled warning kind=OOMKilled" + web + " role=root root=demo/web-1"
		given   = "HomeostatRemedyIneffective critical kind=OOMKilled reason=LadderExhausted" + web + " role=root root=demo/web-1"
		sent    = "HomeostatOOMKilled warning kind=OOMKilled source=homeostat container=app" + web
		sentUp  = "HomeostatOOMKilled critical kind=OOMKilled source=homeostat container=app" + web
		soon    = "HomeostatOutOfMemorySoon warning kind=MemoryLeak container=app" + web
		foretol = "HomeostatMemoryLeak info kind=MemoryLeak source=homeostat container=app" + web
		breaker = "HomeostatBreakerOpen critical"
		storm   = "HomeostatStorm critical kind=Storm source=homeostat workload_kind=Cluster workload=cluster namespace=home"
		maxed   = "HomeostatMaxedOut warning namespace=demo kind=Autoscaler name=web"
		tooMany = "HomeostatMaxedOut warning kind=Autoscaler name=web source=homeostat" + web
		others  = "HomeostatMaxedOut warning kind=Autoscaler name=api source=homeostat" + api
		blind   = "HomeostatAutoscalerBlind warning namespace=demo kind=Autoscaler name=web"
		blindIn = "HomeostatAutoscalerBlind warning kind=AutoscalerBlind role=root root=demo/web-2" + web
		cannot  = "HomeostatAutoscalerBlind warning kind=AutoscalerBlind source=homeostat" + web
		scaled  = "HomeostatScaled info kind=Autoscaler name=web source=homeostat decision=d-846b76909f" + web
		down    = "HomeostatDown critical"
		target  = "HomeostatTargetDown warning job=homeostat instance=a"
		lagging = "HomeostatLagging critical loop=scaling"
		other   = "KubePodNotReady warning namespace=demo pod=web-1"
	)
	for _, tt := range []struct {
		name        string
		fire, pages []string
	}{
		{"a node is the page of its workloads, and not of others", []string{node, webDown, apiDown}, []string{node, apiDown}},
		{"a member whose root is not told of is a page", []string{webDown}, []string{webDown}},
		{"a storm is the only page", []string{breaker, node, webDown, apiDown, webOOM, soon, maxed, given}, []string{breaker}},
		{"a storm that Homeostat tells of itself, too", []string{storm, breaker, webOOM, sent, maxed}, []string{storm}},
		{"a storm does not silence what others say", []string{breaker, other, down}, []string{breaker, other, down}},
		{"what Homeostat sends stands for the rule", []string{sent, webOOM}, []string{sent}},
		{"and not for another workload", []string{sent, apiDown}, []string{sent, apiDown}},
		{"a forecast of little weight does not silence the urgent one", []string{foretol, soon}, []string{soon}},
		{"given up, it is one page", []string{webOOM, given}, []string{given}},
		{"given up and sent", []string{webOOM, given, sentUp}, []string{sentUp}},
		{"an autoscaler at its maximum is one page", []string{maxed, tooMany}, []string{tooMany}},
		{"and not for another one", []string{maxed, others}, []string{maxed, others}},
		{"a blind autoscaler is one page", []string{blind, blindIn, cannot}, []string{cannot}},
		{"also where Homeostat sends nothing", []string{blind, blindIn}, []string{blindIn}},
		{"and where it has no incident", []string{blind}, []string{blind}},
		{"nobody wants a page for each scaling", []string{scaled}, nil},
		{"given up, at its maximum", []string{sentUp, tooMany, scaled}, []string{sentUp}},
		{"Homeostat is down", []string{down, target, lagging}, []string{down}},
		{"one of its replicas is", []string{target, webOOM}, []string{target, webOOM}},
	} {
		// Each situation is a cluster of its own.
		cluster := strings.ReplaceAll(tt.name, " ", "-")
		t.Run(tt.name, func(t *testing.T) {
			var alerts []map[string]any
			for _, text := range tt.fire {
				of := labelled(text)
				of["cluster"] = cluster
				alerts = append(alerts, map[string]any{"labels": of})
			}
			body, err := json.Marshal(alerts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := call(t, http.MethodPost, address+"/api/v2/alerts", body); err != nil {
				t.Fatal(err)
			}
			want := sortedNames(tt.pages)
			var got []string
			within := time.Now().Add(20 * time.Second)
			for {
				if got = pages(t, address, cluster, len(tt.fire)); slices.Equal(got, want) {
					return
				}
				if time.Now().After(within) {
					t.Fatalf("pages (-want +got):\n%s", cmp.Diff(want, got))
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
}

func sortedNames(texts []string) []string {
	var out []string
	for _, text := range texts {
		of := labelled(text)
		out = append(out, of["alertname"]+" "+of["severity"]+" "+of["workload"])
	}
	slices.Sort(out)
	return out
}

// pages returns the alerts of the cluster that are notified to somebody; nil until Alertmanager knows all of them. The receiver nobody is
// nobody.
func pages(t *testing.T, address, cluster string, all int) []string {
	t.Helper()
	answer, err := call(t, http.MethodGet, address+"/api/v2/alerts?filter=cluster%3D%22"+strings.ReplaceAll(cluster, ",", "%2C")+"%22", nil)
	if err != nil {
		t.Fatal(err)
	}
	var alerts []struct {
		Labels    map[string]string       `json:"labels"`
		Receivers []struct{ Name string } `json:"receivers"`
		Status    struct{ State string }  `json:"status"`
	}
	if err := json.Unmarshal(answer, &alerts); err != nil {
		t.Fatal(err)
	}
	if len(alerts) != all {
		return nil
	}
	var out []string
	for _, a := range alerts {
		if a.Status.State == "unprocessed" {
			return nil
		}
		if a.Status.State == "active" && a.Receivers[0].Name != "nobody" {
			out = append(out, a.Labels["alertname"]+" "+a.Labels["severity"]+" "+a.Labels["workload"])
		}
	}
	slices.Sort(out)
	return out
}
