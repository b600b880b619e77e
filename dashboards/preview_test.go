package dashboards

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/dashboards/grafana"
	"github.com/homeostat/homeostat/internal/lokipush"
)

// TestPreview draws the dashboards into the folder DASHBOARDS_PREVIEW: over the servers that DASHBOARDS_PROMETHEUS and DASHBOARDS_LOKI name, which
// have the demo's story, or over servers to which a story is told for a minute and a half.
func TestPreview(t *testing.T) {
	out := os.Getenv("DASHBOARDS_PREVIEW")
	if out == "" {
		t.Skip("DASHBOARDS_PREVIEW names no folder: make dashboards-preview")
	}
	if os.Getenv("DASHBOARDS_PROMETHEUS") != "" {
		s := demoServers(t)
		draw(t, out, s, "NAMESPACE=demo", "INTERVAL=20s", "STEP=5", fmt.Sprintf("SECONDS_BACK=%.0f", time.Since(s.from).Seconds()), "EMPTY="+strings.Join(silentTitles(), "|"))
		return
	}
	s := servers{loki: startLoki(t)}
	pusher, err := lokipush.New(lokipush.Options{URL: s.loki, Wait: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = pusher.Run(t.Context()) }()
	pages := httptest.NewServer(play(t, pusher.Write).pages())
	t.Cleanup(pages.Close)
	s.prometheus = startPrometheus(t, strings.TrimPrefix(pages.URL, "http://"))
	for began := time.Now(); time.Since(began) < 90*time.Second; time.Sleep(3 * time.Second) {
		pushOthers(t, s.loki)
	}
	draw(t, out, s)
}

// draw runs the preview, which takes what it shows from the environment.
func draw(t *testing.T, out string, s servers, environment ...string) {
	t.Helper()
	cmd := exec.Command("preview/preview.sh", out)
	cmd.Env = append(os.Environ(), append(environment, "PROMETHEUS="+s.prometheus, "LOKI="+s.loki, "PORT="+freePort(t))...)
	text, err := cmd.CombinedOutput()
	t.Logf("%s", text)
	if err != nil {
		t.Fatal(err)
	}
}

// silentTitles are the panels, as dashboard/title, none of whose queries need return anything after the demo.
func silentTitles() []string {
	titles := []string{"healing/Active incidents"} // a table of the present, and all is healed
	for _, d := range All() {
		for _, p := range d.Panels {
			if silent(d, p) {
				titles = append(titles, strings.TrimSuffix(File(d), ".json")+"/"+p.Title)
			}
		}
	}
	return titles
}

// silent reports whether no query of the panel need return anything after the demo.
func silent(d *grafana.Dashboard, p grafana.Panel) bool {
	for _, q := range p.Targets {
		where := d.UID + "/" + p.Title + "/" + q.RefID
		if silentPanels()[where] == "" && perhaps()[where] == "" {
			return false
		}
	}
	return len(p.Targets) > 0
}
