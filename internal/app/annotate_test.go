package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/homeostat/homeostat/internal/config"
)

// The first decision raises one replica to the minimum of two, and Grafana has it.
func TestScalingsAreAnnotated(t *testing.T) {
	t.Parallel()
	var scaled, others atomic.Int64
	grafana := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent struct {
			Time int64
			Text string
			Tags []string
		}
		err := json.NewDecoder(r.Body).Decode(&sent)
		if err == nil && r.Method == http.MethodPost && r.URL.Path == "/ops/api/annotations" && r.Header.Get("Authorization") == "Bearer glsa_1" &&
			sent.Time > 0 && slices.Contains(sent.Tags, "kind:Scaled") && slices.Contains(sent.Tags, "cluster:eu-1") {
			scaled.Add(1)
		} else {
			others.Add(1)
		}
		w.Header().Set("Connection", "close")
		_, _ = w.Write([]byte(`{"message":"Annotation added","id":1}`))
	}))
	t.Cleanup(grafana.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("glsa_1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, stop := start(t, "", func(c *config.Config) {
		c.Grafana = config.Grafana{URL: grafana.URL + "/ops", TokenFile: token, Tags: []string{"cluster:eu-1"}}
	})
	within(t, addr+"/metrics", `homeostat_queue_dropped_total{queue="annotations"} 0`)
	within(t, addr+"/metrics", `reason="TooFewReplicas"} 1`)
	if err := stop(); err != nil {
		t.Errorf("the app ended with %v", err)
	}
	if scaled.Load() == 0 || others.Load() > 0 {
		t.Errorf("%d scalings were annotated, and there were %d other calls; want at least one and none", scaled.Load(), others.Load())
	}
}
