package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// call runs the command line without a cluster.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// useCluster points KUBECONFIG at the address, with the namespace demo.
func useCluster(t *testing.T, url string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u, namespace: demo}}]\n" +
		"users: [{name: u, user: {}}]\nclusters: [{name: c, cluster: {server: " + url + "}}]\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
}

func TestAKubeconfigThatIsNotThereIsNamed(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	t.Setenv("KUBECONFIG", missing)
	if code, _, errs := call(t, "incidents"); code != 1 || !strings.Contains(errs, missing) || strings.Contains(errs, "set KUBECONFIG") {
		t.Errorf("exits with %d and says %s", code, errs)
	}
}

func TestWrongCallsExitWithTwoAndSayWhatIsAllowed(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("metrics: {window: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	worse := filepath.Join(t.TempDir(), "worse.yaml")
	if err := os.WriteFile(worse, []byte("metrics: {window: 1s}\nhealing: {maxIncidents: 0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unknown := filepath.Join(t.TempDir(), "unknown.yaml")
	if err := os.WriteFile(unknown, []byte("scaling:\n  perod: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"run", "--config", worse}, []string{"metrics.window", "healing.maxIncidents"}},
		{[]string{"run", "--config", unknown}, []string{"line 2", "perod", "docs/configuration.md"}},
		{[]string{"bogus"}, []string{`no command "bogus"`, "--help"}},
		{[]string{"incidens"}, []string{`no command "incidens"`, "perhaps incident"}},
		{[]string{"explain"}, []string{"one argument", "autoscaler/web"}},
		{[]string{"explain", "web"}, []string{`"web"`, "autoscaler/NAME"}},
		{[]string{"explain", "deployment/web"}, []string{`"deployment/web"`, "autoscaler/NAME", "hpa/NAME"}},
		{[]string{"explain", "hpa/web", "--state", "x"}, []string{"--state", "HorizontalPodAutoscalers"}},
		{[]string{"explain", "as/web", "--state", "x", "--controller", "http://x"}, []string{"--state", "--controller"}},
		{[]string{"explain", "as/web", "--controller", "localhost:8080"}, []string{`"localhost:8080"`, "http://127.0.0.1:8080"}},
		{[]string{"replay"}, []string{"one file", "standard input"}},
		{[]string{"replay", "x", "-o", "csv"}, []string{`"csv"`, "yaml"}},
		{[]string{"replay", "x", "--policy", bad}, []string{"--policy", "line 1", "apiVersion"}},
		{[]string{"incidents", "a", "b"}, []string{"at most one name", "2"}},
		{[]string{"incidents", "-o", "xml"}, []string{`"xml"`, "json"}},
		{[]string{"incidents", "-A", "-n", "demo"}, []string{"--namespace", "--all-namespaces"}},
		{[]string{"incident"}, []string{"one name"}},
		{[]string{"timeline"}, []string{"one argument", "deploy/NAME"}},
		{[]string{"timeline", "web"}, []string{`"web"`, "deploy/NAME"}},
		{[]string{"timeline", "ingress/web"}, []string{`"ingress/web"`, "sts/NAME"}},
		{[]string{"timeline", "deploy/web", "--since", "-1h"}, []string{"--since", "-1h", "negative"}},
		{[]string{"timeline", "deploy/web", "--state", "x"}, []string{`"deploy/web"`, "service/NAME"}},
		{[]string{"timeline", "deploy/web", "-A"}, []string{"--all-namespaces", "--namespace"}},
		{[]string{"why", "deploy/web"}, []string{`"deploy/web"`, "pod/NAME"}},
		{[]string{"postmortem"}, []string{"one incident"}},
		{[]string{"postmortem", "x", "-o", "pdf"}, []string{`"pdf"`, "markdown"}},
		{[]string{"incidents", "--colour"}, []string{"--colour", "--help"}},
		{[]string{"run", "now"}, []string{`"now"`, "no argument"}},
		{[]string{"run", "--config", bad}, []string{"metrics.window", "1s", "2s to 10m0s"}},
	}
	for _, tt := range tests {
		code, _, stderr := call(t, tt.args...)
		if code != 2 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q exits with %d and says %q, want 2 and one line", tt.args, code, stderr)
		}
		for _, w := range tt.want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%q says %q, want %q in it", tt.args, stderr, w)
			}
		}
	}
}

func TestWithoutAClusterTheOtherWaysAreNamed(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	code, _, stderr := call(t, "incidents")
	if code != 1 || !strings.Contains(stderr, "KUBECONFIG") || !strings.Contains(stderr, "--state") {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
}

func TestHelpAndVersionWork(t *testing.T) {
	code, stdout, _ := call(t, "--help")
	for _, w := range []string{"run", "explain", "incidents", "replay", "adopt", "demo"} {
		if !strings.Contains(stdout, "  "+w+" ") {
			t.Errorf("help does not list %s:\n%s", w, stdout)
		}
	}
	if code != 0 || strings.Contains(stdout, "demo-app") {
		t.Errorf("help exits with %d or shows what is for the demo only:\n%s", code, stdout)
	}
	if code, stdout, _ := call(t, "version"); code != 0 || stdout != version+"\n" {
		t.Errorf("version exits with %d and says %q", code, stdout)
	}
}

// state makes a state folder as a local run leaves it.
func state(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"lock":                 "",
		"autoscalers/web.json": `{"ref":{"kind":"Autoscaler","namespace":"local","name":"web"},"target":{"kind":"Service","namespace":"local","name":"web"},"mode":"Active","minReplicas":2,"maxReplicas":4,"lastDecision":{"at":"2026-03-01T12:00:00Z","current":2,"proposed":5,"desired":4,"reason":"TooManyReplicas","message":"cpu is at 83 % of requests"},"lastChanges":[{"at":"2026-03-01T12:00:00Z","from":2,"to":4,"reason":"TooManyReplicas","message":"cpu is at 83 % of requests"}]}`,
		"incidents/old.json":   `{"version":1,"incident":{"namespace":"local","name":"web-oomkilled-1","workload":{"kind":"Service","name":"web"},"kind":"OOMKilled","state":"Resolved","cause":"killed at its limit","confidence":97,"openedAt":"2026-03-01T12:00:00Z","occurrences":1}}`,
		"incidents/new.json":   `{"version":3,"incident":{"namespace":"local","name":"web-notready-2","workload":{"kind":"Service","name":"web"},"kind":"NotReady","state":"Open","cause":"hangs","confidence":90,"openedAt":"2026-03-01T11:00:00Z","occurrences":1}}`,
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAStateFolderIsReadForPeopleAndMachines(t *testing.T) {
	dir := state(t)
	_, stdout, _ := call(t, "incidents", "--state", dir)
	if open, old := strings.Index(stdout, "web-notready-2"), strings.Index(stdout, "web-oomkilled-1"); open < 0 || old < open {
		t.Errorf("the open incident does not stand first:\n%s", stdout)
	}
	if _, stdout, _ = call(t, "incidents", "--active", "--state", dir); strings.Contains(stdout, "web-oomkilled-1") {
		t.Errorf("--active lists a resolved incident:\n%s", stdout)
	}
	_, stdout, _ = call(t, "incidents", "web-oomkilled-1", "--state", dir, "-o", "json")
	var in incident.Incident
	if err := json.Unmarshal([]byte(stdout), &in); err != nil || in.Kind != incident.OOMKilled {
		t.Errorf("read %+v, %v from\n%s", in, err, stdout)
	}
	_, stdout, _ = call(t, "explain", "autoscaler/web", "--state", dir)
	if !strings.Contains(stdout, "2 → 4  TooManyReplicas") || !strings.Contains(stdout, "Last changes") {
		t.Errorf("explain says\n%s", stdout)
	}
	_, stdout, _ = call(t, "explain", "as/web", "--state", dir, "-o", "json")
	var a report.Autoscaler
	if err := json.Unmarshal([]byte(stdout), &a); err != nil || a.Decision == nil || a.Decision.Desired != 4 || a.Max != 4 {
		t.Errorf("read %+v, %v from\n%s", a, err, stdout)
	}
}

func TestANameThatIsNotThereNamesThoseThatAre(t *testing.T) {
	dir := state(t)
	if code, _, stderr := call(t, "explain", "autoscaler/wbe", "--state", dir); code != 1 || !strings.Contains(stderr, "there are web") {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
	if code, _, stderr := call(t, "incidents", "nope", "--state", dir); code != 1 || !strings.Contains(stderr, `"nope" not found`) {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
	if code, _, stderr := call(t, "incidents", "--state", t.TempDir()); code != 1 || !strings.Contains(stderr, "state folder") {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
}

func TestAPluginOfKubectlSaysHowItIsCalled(t *testing.T) {
	own := os.Args[0]
	t.Cleanup(func() { os.Args[0] = own })
	os.Args[0] = "/usr/local/bin/kubectl-homeostat"
	_, help, _ := call(t, "explain", "--help")
	for _, want := range []string{"  kubectl homeostat explain autoscaler/NAME", "  kubectl homeostat explain hpa/web -n demo -o json"} {
		if !strings.Contains(help, want) {
			t.Errorf("%q is not in\n%s", want, help)
		}
	}
	if _, _, errs := call(t, "explane"); !strings.Contains(errs, "see kubectl homeostat --help") {
		t.Errorf("says %q", errs)
	}
}

func TestAnEmptyListIsAListForMachines(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stdout, _ := call(t, "incidents", "--state", dir, "-o", "json"); stdout != "[]\n" {
		t.Errorf("prints %q, want []", stdout)
	}
	if _, stdout, _ := call(t, "incidents", "--state", dir); stdout != "No incidents.\n" {
		t.Errorf("prints %q", stdout)
	}
}
