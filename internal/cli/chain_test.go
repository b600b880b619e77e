package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

// records are what the ward's controller recorded of its scaling and its incident, and of something else.
func records(began time.Time) []journal.Record {
	decision := journal.Record{
		Time: began.Add(time.Minute), Kind: journal.Decision, ID: "d-846b76909f", Subject: cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: "web"},
		Reason: "CPU", Message: "cpu is at 81 %", Decision: &journal.DecisionRecord{Recommendation: hpa.Recommendation{
			Current: 2, Desired: 4, Metrics: []hpa.MetricProposal{{Oldest: began.Add(time.Minute - 7*time.Second), Message: "cpu is at 81 %"}, {Err: "no samples"}},
		}},
	}
	other := decision
	other.ID, other.Message = "d-0000000000", "another decision"
	in := journal.Record{
		Time: began.Add(2 * time.Minute), Kind: journal.Incident, ID: "demo/web-oomkilled-1", Reason: "IncidentOpened", Message: "says the line",
		Subject: cluster.Ref{Kind: "Incident", Namespace: "demo", Name: "web-oomkilled-1"}, Incident: &incident.Incident{Name: "web-oomkilled-1"},
	}
	return []journal.Record{decision, other, in}
}

// shelves start a journal's file and a Loki with the records.
func shelves(t *testing.T, began time.Time) (file, loki string) {
	t.Helper()
	var text strings.Builder
	for _, r := range records(began) {
		if err := json.NewEncoder(&text).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(t.TempDir(), "journal.jsonl")
	if err := os.WriteFile(file, []byte(text.String()+"no line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := [][2]string{}
		for _, rec := range records(began) {
			if r.URL.Query().Get("query") == `{app="homeostat"} | id="`+rec.ID+`" | app="homeostat"` && r.Header.Get("X-Scope-OrgID") == "ops" {
				line, err := json.Marshal(rec)
				if err != nil {
					t.Error(err)
				}
				values = append(values, [2]string{strconv.FormatInt(rec.Time.UnixNano(), 10), string(line)})
			}
		}
		result := []any{}
		if len(values) > 0 {
			result = append(result, map[string]any{"stream": map[string]string{"app": "homeostat"}, "values": values})
		}
		data := any(map[string]any{"resultType": "streams", "result": result})
		if strings.HasSuffix(r.URL.Path, "/labels") {
			data = []string{"app", "kind", "namespace"}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
	}))
	t.Cleanup(server.Close)
	return file, server.URL
}

// followed returns the kinds and objects of the chain's moments.
func followed(t *testing.T, args ...string) []string {
	t.Helper()
	code, out, errs := call(t, append([]string{"timeline", "-o", "json"}, args...)...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var v struct {
		Moments []struct{ Kind, Object, Message string }
		Notes   []string
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range v.Moments {
		if strings.Contains(m.Message, "another") {
			t.Errorf("%q is of another id", m.Message)
		}
		got = append(got, strings.TrimSpace(m.Kind+" "+m.Object))
	}
	for _, n := range v.Notes {
		got = append(got, "note "+n)
	}
	return got
}

func TestADecisionIsFollowedThroughStatusEventJournalAndLoki(t *testing.T) {
	began := time.Now().Add(-10 * time.Minute)
	(&ward{began: began}).start(t)
	file, loki := shelves(t, began)
	got := followed(t, "--id", "d-846b76909f", "--journal", file, "--loki", loki, "--loki-tenant", "ops")
	want := []string{
		"sample demo/autoscaler/web", "journal demo/autoscaler/web", "loki demo/autoscaler/web", "scaling demo/deployment/web", "event demo/autoscaler/web",
		"note lines of the journal that cannot be read: 1",
	}
	slices.Sort(got[1:4]) // the order within one time is nobody's
	if !slices.Equal(got, want) {
		t.Errorf("the chain is %q, want %q", got, want)
	}
	_, out, _ := call(t, "timeline", "--id", "d-846b76909f", "--journal", file)
	inOrder(t, out, "Chain of d-846b76909f", "2 → 4 replicas", "event", "Scaled")
}

func TestAnIncidentIsFollowedByNameOrWithItsNamespace(t *testing.T) {
	began := time.Now().Add(-10 * time.Minute)
	(&ward{began: began}).start(t)
	file, loki := shelves(t, began)
	for _, id := range []string{"web-oomkilled-1", "demo/web-oomkilled-1"} {
		got := followed(t, "--id", id, "--journal", file, "--loki", loki, "--loki-tenant", "ops")
		want := []string{
			"incident", "journal demo/incident/web-oomkilled-1", "loki demo/incident/web-oomkilled-1", "event demo/incident/web-oomkilled-1",
			"note lines of the journal that cannot be read: 1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the chain is %q, want %q", id, got, want)
		}
	}
	if _, out, _ := call(t, "timeline", "--id", "d-1111111111"); !strings.Contains(out, "Nothing is known of it") {
		t.Errorf("of an id that nobody knows: %s", out)
	}
}

func TestAChainIsShownWithoutAClusterOrALoki(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	file, _ := shelves(t, time.Now().Add(-time.Minute))
	got := followed(t, "--id", "d-846b76909f", "--journal", file, "--loki", "http://127.0.0.1:1")
	if len(got) != 5 || got[0] != "sample demo/autoscaler/web" || got[1] != "journal demo/autoscaler/web" || !strings.Contains(got[2], "no cluster is configured") ||
		!strings.Contains(got[4], "loki: Loki is not there") {
		t.Errorf("the chain is %q", got)
	}
	if code, _, errs := call(t, "timeline", "--id", "d-846b76909f"); code != 1 || !strings.Contains(errs, "no cluster is configured") {
		t.Errorf("with nothing to read: exit %d: %s", code, errs)
	}
}

func TestFlagsOfAChainThatAreNotAllowed(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--id", "d-1", "deploy/web"}, "exclude each other"},
		{[]string{"deploy/web", "--journal", "x"}, "go with --id"},
		{[]string{"--id", "a", "--loki-tenant", "x"}, "goes with --loki"},
		{[]string{"--id", "a/b/c"}, "NAMESPACE/NAME"},
		{[]string{"--id", "d-1111111111", "--state", ".", "--loki", "127.0.0.1:3100"}, "--loki: loki: url"},
	} {
		if code, _, errs := call(t, append([]string{"timeline"}, tc.args...)...); code != 2 || !strings.Contains(errs, tc.want) {
			t.Errorf("%q: exit %d: %s", tc.args, code, errs)
		}
	}
}
