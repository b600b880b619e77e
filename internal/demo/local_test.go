package demo

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/demoapp/command"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
	"github.com/homeostat/homeostat/platform/local"
)

// TestMain makes the test binary a replica where it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "demo-app" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		p := command.Self("test")
		p.Args = os.Args[2:]
		code := command.Main(ctx, p)
		stop()
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// The files that users are shown are read strictly, and mean what the story says.
func TestTheEmbeddedFilesAreValid(t *testing.T) {
	t.Parallel()
	c, err := local.Read(strings.NewReader(webYAML))
	if err != nil {
		t.Fatalf("web.yaml: %v", err)
	}
	if len(c.Autoscalers) != 1 || c.Autoscalers[0].Policy.Min != few || c.Autoscalers[0].Policy.Max != many || c.Service.Replicas != few {
		t.Errorf("the bounds are not %d and %d: %+v", few, many, c.Autoscalers)
	}
	if len(c.Policies) != 1 {
		t.Fatalf("%d policies", len(c.Policies))
	}
	remedies := map[incident.Kind][]incident.Remedy{}
	for _, k := range []incident.Kind{incident.OOMKilled, incident.NotReady} {
		remedies[k], _ = c.Policies[0].LadderFor(k)
	}
	want := map[incident.Kind][]incident.Remedy{incident.OOMKilled: {}, incident.NotReady: {incident.RemedyRestart}}
	if diff := cmp.Diff(want, remedies); diff != "" {
		t.Errorf("remedies (-want +got):\n%s", diff)
	}
	if _, err := config.Read(strings.NewReader(homeostatYAML)); err != nil {
		t.Errorf("homeostat.yaml: %v", err)
	}
}

func TestOddPathsAreFilledIn(t *testing.T) {
	t.Parallel()
	path := `/tmp/a "b"/$c, [d]: #e/homeostat`
	c, err := local.Read(strings.NewReader(filled(webYAML, "[HOMEOSTAT,", path)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{path, "demo-app", "serve"}, c.Service.Command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

// folder reads a state folder in the way of the command line.
type folder struct{ state *local.State }

func openFolder(dir string) (Reader, error) {
	s, err := local.OpenState(dir)
	return folder{state: s}, err
}

func (f folder) Incidents(context.Context, string) ([]incident.Incident, error) {
	return f.state.Incidents(), nil
}

func (f folder) Autoscalers(context.Context, string) ([]report.Autoscaler, error) {
	var out []report.Autoscaler
	for _, a := range f.state.Autoscalers() {
		one := report.Autoscaler{Ref: a.Ref, Target: a.Target, Min: a.Min, Max: a.Max, Decision: a.Decision}
		for _, c := range a.Changes {
			one.Changes = append(one.Changes, report.Change{At: c.At, From: c.From, To: c.To, Message: c.Message})
		}
		out = append(out, one)
	}
	return out, nil
}

// The whole story on real processes: what `homeostat demo` shows is what happens.
func TestTheStoryOnThisMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	t.Parallel()
	stage, err := NewLocal(LocalOptions{Executable: os.Args[0], StateDir: t.TempDir(), Open: openFolder, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := stage.Stop(ctx); err != nil {
			t.Error(err)
		}
		if left := stage.workload().Replicas; len(left) > 0 {
			t.Errorf("left behind: %+v", left)
		}
	})
	if err := stage.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Stage: stage, Script: LocalScript(), Out: &out}); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	state, err := local.OpenState(stage.StateDir())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, in := range state.Incidents() {
		kinds = append(kinds, string(in.Kind)+" "+string(in.State))
	}
	slices.Sort(kinds)
	if diff := cmp.Diff([]string{"NotReady Resolved", "OOMKilled Resolved"}, kinds); diff != "" {
		t.Errorf("incidents (-want +got):\n%s\n%s", diff, out.String())
	}
	if content, err := os.ReadFile(stage.Journal()); err != nil || !bytes.Contains(content, []byte(`"kind":"action"`)) {
		t.Errorf("the journal has no action: %v", err)
	}
}
