package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/homeostat/homeostat/internal/config"
)

func TestRecordsArePushedWithoutAJournalAndTheClientsMetricsAreNotServed(t *testing.T) {
	t.Parallel()
	var pushes atomic.Int64
	loki := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gateway/loki/api/v1/push" && r.Header.Get("X-Scope-OrgID") == "ops" {
			pushes.Add(1)
		}
		w.Header().Set("Connection", "close") // the client has no way to close what it keeps
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(loki.Close)
	addr, stop := start(t, "", func(c *config.Config) { c.Logs.Push.URL, c.Logs.Push.Tenant = loki.URL+"/gateway", "ops" })
	within(t, addr+"/metrics", `homeostat_queue_dropped_total{queue="loki"} 0`)
	within(t, addr+"/metrics", `reason="TooFewReplicas"} 1`)
	if _, body := get(t, addr+"/metrics"); strings.Contains(body, "promtail_") || !strings.Contains(body, `homeostat_queue_length{queue="loki"}`) {
		t.Error("the metrics are not Homeostat's own")
	}
	if err := stop(); err != nil {
		t.Errorf("the app ended with %v", err)
	}
	if pushes.Load() == 0 {
		t.Error("nothing was pushed, want what waits to be sent at the end")
	}
}
