//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// prometheusPort is where testdata/overlay/config.yaml looks for Prometheus, on the lab's first node.
const prometheusPort = "19090"

// Real Prometheus scrapes the replicas, and a query of it is a metric. While it is away the fallback holds the number.
func TestPrometheusQueryIsAMetric(t *testing.T) {
	t.Parallel()
	if env.lab == "" {
		t.Skip("SKIPPED: this cluster is not a lab, so no Prometheus can be run on its node")
	}
	binary := program(t, "PROMTOOL", "prometheus")
	s := newSpace(t, "prometheus")
	s.deploy(workload{replicas: 2})
	s.expose()
	var targets []string
	for _, p := range s.awaitReady(2) {
		targets = append(targets, fmt.Sprintf("%q", p.Status.PodIP+":8080"))
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: %s\n  static_configs:\n  - targets: [%s]\n", s.name, strings.Join(targets, ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startPrometheus(t, binary, config, dir)

	s.scale(func(a *v1alpha1.AutoscalerSpec) {
		a.Metrics = []v1alpha1.MetricSpec{{
			Type: "Prometheus",
			Prometheus: &v1alpha1.PrometheusMetricSource{
				Query:  fmt.Sprintf(`sum(rate(demoapp_http_requests_total{job=%q,path="/hostname"}[10s]))`, s.name),
				Target: perReplica("4"),
			},
			Fallback: &v1alpha1.MetricFallback{Type: "Hold"},
		}}
	})
	stop := s.load(12, "hostname", nil)
	defer stop()
	s.awaitAutoscaler("three replicas for twelve requests a second", 2*time.Minute, hasReplicas(3))

	server()
	s.awaitAutoscaler("the fallback", 2*time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		if err := decided(hpa.ReasonFallback)(st); err != nil {
			return err
		}
		if m := st.LastDecision.Metrics[0]; m.Fallback != "Hold" || m.Error == "" {
			return fmt.Errorf("the metric is %+v", m)
		}
		return hasReplicas(3)(st)
	})
}

// startPrometheus runs Prometheus in the network of the lab's first node. The returned function ends it.
func startPrometheus(t *testing.T, binary, config, dir string) (stop func()) {
	t.Helper()
	var log bytes.Buffer
	// exec: what enter runs ends only by itself, so its standard input says when.
	script := fmt.Sprintf(`%s --config.file=%s --storage.tsdb.path=%s/data --web.listen-address=0.0.0.0:%s --log.level=warn & pid=$!; cat >/dev/null; kill $pid; wait $pid`,
		binary, config, dir, prometheusPort)
	cmd := exec.Command(env.lab, "enter", "/bin/sh", "-c", script)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = endsWithUs()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = in.Close()
			_ = cmd.Wait() // how it ended is of no interest
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", log.String())
		}
	})
	return stop
}
