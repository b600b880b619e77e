package telemetry

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

// Every metric is documented, and what is documented is there; the same holds for the reasons.
func TestTheMetricsAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	tel := New(reg, journal.New(), 60, "v1")
	tel.Decided(autoscaler(), hpa.Observation{}, hpa.History{}, decision(4), errors.New("conflict"))
	tel.Incident(incident.Incident{Namespace: "demo", Name: "a", Kind: incident.OOMKilled, State: incident.Open, Timeline: make([]incident.Entry, 1)})
	tel.Acted(healing.Action{Remedy: incident.RemedyRestart}, healing.Result{Outcome: incident.Done}, t0)
	tel.Turned("scaling", time.Millisecond, errors.New("no list"))
	tel.ScrapeDone("node1", time.Millisecond, 7, nil)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, f := range families {
		there = append(there, f.GetName())
	}
	documented := regexp.MustCompile(`(?m)^\| .*$`).FindAllString(string(text), -1)
	var names []string
	for _, row := range documented {
		names = append(names, regexp.MustCompile(`homeostat_[a-z_]+`).FindAllString(row, -1)...)
	}
	slices.Sort(names)
	if diff := cmp.Diff(there, slices.Compact(names)); diff != "" {
		t.Errorf("(-there +documented):\n%s", diff)
	}
	for _, r := range hpa.Reasons() {
		if !regexp.MustCompile("(?m)^\\| .*`" + string(r) + "`.*$").Match(text) {
			t.Errorf("the reason %s is not documented", r)
		}
	}
}
