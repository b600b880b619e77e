package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/healing/survey"
)

func TestEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	got, err := Read(strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("an empty file changes the defaults (-default +read):\n%s", diff)
	}
}

func TestReadKeepsTheDefaultsOfWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	got, err := Read(strings.NewReader("metrics:\n  window: 30s\nhealing: {watch: Selected}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Metrics.Window = Duration(30 * time.Second)
	want.Healing.Watch = WatchSelected
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestTheDefaultsOfHealingAreThoseOfTheEngine(t *testing.T) {
	t.Parallel()
	b := Default().Healing.Breaker
	got := survey.Breaker{
		SharePercent: int32(b.SharePercent), AtLeast: int32(b.AtLeast), Within: b.Within.D(), Nodes: int32(b.Nodes), Hold: b.Hold.D(),
	}
	if diff := cmp.Diff(survey.DefaultBreaker(), got); diff != "" {
		t.Errorf("breaker (-engine +configuration):\n%s", diff)
	}
}

func TestErrorsNameFieldValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, yaml string
		want       []string
	}{
		{"unknown field", "metrics:\n  windw: 3s\n", []string{"line 2", "windw"}},
		{"no duration", "scaling: {period: soon}\n", []string{"line 1", `"soon"`, "500ms"}},
		{"wrong type", "healing: {maxIncidents: many}\n", []string{"line 1", "many", "a whole number"}},
		{"a list for a mapping", "log: [1]\n", []string{"line 1", "a list is not allowed", "a mapping"}},
		{"a text for a list", "namespaces: demo\n", []string{"line 1", "`demo` is not allowed", "a list"}},
		{"two that are unknown", "a: 1\nb: 2\n", []string{"line 1: a: no such field", "; line 2: b: no such field"}},
		{"given twice", "log: {level: info, level: warn}\n", []string{"line 1", `"level" already defined`}},
		{"platform", "platform: nomad\n", []string{"platform", `"nomad"`, "kubernetes or local"}},
		{"native hpas", "nativeHPAs: On\n", []string{"nativeHPAs", `"On"`, "Observe or Manage or Off"}},
		{"listen", "listen: everywhere\n", []string{"listen", `"everywhere"`, "host:port"}},
		{"window", "metrics: {window: 1s}\n", []string{"metrics.window", "1s", "2s to 10m0s"}},
		{"timeout above period", "metrics: {scrapePeriod: 2s, timeout: 3s}\n", []string{"metrics.timeout", "3s", "metrics.scrapePeriod"}},
		{"stale below window", "metrics: {staleAfter: 5s}\n", []string{"metrics.staleAfter", "5s", "metrics.window"}},
		{"step of trends", "metrics: {trendStep: 9s}\n", []string{"metrics.trendStep", "9s", "10s to 10m0s"}},
		{"lease", "leaderElection: {leaseDuration: 5s}\n", []string{"leaderElection.leaseDuration", "5s", "renewDeadline"}},
		{"lease of no second", "leaderElection: {retryPeriod: 100ms, renewDeadline: 200ms, leaseDuration: 900ms}\n", []string{"leaderElection.leaseDuration", "900ms", "1s to 10m0s"}},
		{"renew", "leaderElection: {renewDeadline: 2s}\n", []string{"leaderElection.renewDeadline", "2s", "retryPeriod"}},
		{"no address", "sources: {prometheus: {address: prometheus:9090}}\n", []string{"sources.prometheus.address", "prometheus:9090", "http://"}},
		{"credentials in an address", "sources: {prometheus: {address: 'https://me:secret@prometheus'}}\n", []string{"sources.prometheus.address", "me:xxxxx@", "without credentials"}},
		{"token for nobody", "sources: {prometheus: {bearerTokenFile: /t}}\n", []string{"sources.prometheus.bearerTokenFile", "sources.prometheus.address"}},
		{"query timeout", "sources: {prometheus: {period: 2s, timeout: 3s}}\n", []string{"sources.prometheus.timeout", "3s", "sources.prometheus.period"}},
		{"query period", "sources: {prometheus: {period: 10ms}}\n", []string{"sources.prometheus.period", "1s to 5m0s"}},
		{"app period", "sources: {app: {period: 100ms}}\n", []string{"sources.app.period", "1s to 1m0s"}},
		{"source that is none", "sources: {graphite: {}}\n", []string{"line 1", "graphite"}},
		{"local without file", "platform: local\n", []string{"local.file", "needs the file"}},
		{"two documents", "platform: kubernetes\n---\nplatform: local\n", []string{"line 2", "one document"}},
		{"namespace given twice", "namespaces: [shop, web, shop]\n", []string{"namespaces[2]", `"shop"`, "twice"}},
		{"empty namespace", "namespaces: ['']\n", []string{"namespaces[0]", `""`}},
		{"budget of the cluster", "healing: {clusterBudget: {actions: 0}}\n", []string{"healing.clusterBudget.actions", "0", "1 to 1000"}},
		{"period of that budget", "healing: {clusterBudget: {period: 169h}}\n", []string{"healing.clusterBudget.period", "169h", "1m0s to 168h0m0s"}},
		{"breaker's share", "healing: {breaker: {sharePercent: 101}}\n", []string{"healing.breaker.sharePercent", "101", "1 to 100"}},
		{"breaker's workloads", "healing: {breaker: {atLeast: 0}}\n", []string{"healing.breaker.atLeast", "0", "1 to 1000"}},
		{"breaker's time", "healing: {breaker: {within: 1s}}\n", []string{"healing.breaker.within", "1s", "10s to 1h0m0s"}},
		{"breaker's nodes", "healing: {breaker: {nodes: 0}}\n", []string{"healing.breaker.nodes", "0", "1 to 1000"}},
		{"breaker's hold", "healing: {breaker: {hold: -1s}}\n", []string{"healing.breaker.hold", "-1s", "0s to 24h0m0s"}},
		{"several at once", "healing: {maxIncidents: 0}\njournal: {every: 0}\n", []string{"healing.maxIncidents", "journal.every"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(strings.NewReader(tt.yaml))
			if err == nil {
				t.Fatalf("%q was accepted", tt.yaml)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "config.") || strings.Contains(err.Error(), "unmarshal") {
				t.Errorf("error %q is in words of the code", err)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "homeostat.yaml")
	if err := os.WriteFile(path, []byte("nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name %s", err, path)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("metrics: {window: 30s}")
	f.Add("platform: local\nlocal: {file: web.yaml}\n")
	f.Add("---\n---\n")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := Read(strings.NewReader(in))
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("Read accepted what Validate refuses: %v", err)
		}
	})
}
