package check

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "../compose/compose.yaml"

// composeProject reads the file as `docker compose` does: interpolated, held against the schema, and made whole.
func composeProject(ctx context.Context, environment ...string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{composeFile}, cli.WithEnv(environment), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

func compose(t *testing.T) *types.Project {
	t.Helper()
	project, err := composeProject(t.Context(), "GRAFANA_ADMIN_PASSWORD=x")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func composeStack(t *testing.T) stack {
	t.Helper()
	project := compose(t)
	published := map[string]bool{}
	out := stack{
		name: "compose", programs: map[string]program{}, homeostat: "../compose/homeostat.yaml",
		known: func(hostPort string) bool { return published[hostPort] },
	}
	for name, s := range project.Services {
		p := program{image: s.Image, args: s.Command, files: map[string][]byte{}}
		for _, port := range s.Ports {
			p.ports = append(p.ports, int(port.Target))
			published[port.HostIP+":"+port.Published] = true
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				take(t, v.Source, v.Target, p.files)
			}
		}
		out.programs[name] = p
	}
	return out
}

// take reads a file, or the files right in a folder, that are mounted.
func take(t *testing.T, source, target string, into map[string][]byte) {
	t.Helper()
	of, err := os.Stat(source)
	if err != nil {
		t.Fatalf("what is mounted at %s is not there: %v", target, err)
	}
	names := map[string]string{source: target}
	if of.IsDir() {
		names = map[string]string{}
		list, err := os.ReadDir(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			names[filepath.Join(source, e.Name())] = path.Join(target, e.Name())
		}
	}
	for from, to := range names {
		text, err := os.ReadFile(from) //nolint:gosec // a file of the repository
		if err != nil {
			t.Fatal(err)
		}
		into[to] = text
	}
}

func TestComposePublishesNothingBeyondThisMachine(t *testing.T) {
	t.Parallel()
	for name, s := range compose(t).Services {
		if len(s.Ports) == 0 {
			t.Errorf("%s publishes nothing", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, p.Published, p.HostIP)
			}
		}
		if s.NetworkMode != "" && s.NetworkMode != "default" {
			t.Errorf("%s has the network %s", name, s.NetworkMode)
		}
	}
}

func TestComposeServicesAreHardenedAndWatched(t *testing.T) {
	t.Parallel()
	for name, s := range compose(t).Services {
		if !s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" || s.Privileged || len(s.SecurityOpt) != 1 {
			t.Errorf("%s: read-only %v, capabilities dropped %q, privileged %v, %q", name, s.ReadOnly, s.CapDrop, s.Privileged, s.SecurityOpt)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) < 2 || s.HealthCheck.Test[0] != "CMD" || s.HealthCheck.StartPeriod == nil {
			t.Errorf("%s has no health check of its own: %+v", name, s.HealthCheck)
		}
		stores := 0
		for _, v := range s.Volumes {
			switch {
			case v.Type == types.VolumeTypeBind && !v.ReadOnly:
				t.Errorf("%s may write to %s", name, v.Source)
			case v.Type == types.VolumeTypeVolume:
				stores++
			}
		}
		if stores != 1 {
			t.Errorf("%s has %d volumes for what it must keep", name, stores)
		}
	}
}

func TestComposeAsksForThePasswordAndHasNone(t *testing.T) {
	t.Parallel()
	_, err := composeProject(t.Context())
	if err == nil || !strings.Contains(err.Error(), "GRAFANA_ADMIN_PASSWORD") {
		t.Errorf("without a password: %v", err)
	}
	of := compose(t).Services["grafana"].Environment
	if role := of["GF_AUTH_ANONYMOUS_ORG_ROLE"]; role == nil || *role != "Viewer" {
		t.Errorf("who has not signed in is %v", role)
	}
	if home := of["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; home == nil || composeStack(t).programs["grafana"].files[*home] == nil {
		t.Errorf("the first dashboard is not there: %v", home)
	}
}

// Prometheus's target is this machine by the name that compose gives it.
func TestComposePrometheusReachesTheMachine(t *testing.T) {
	t.Parallel()
	s := composeStack(t)
	p := s.programs["prometheus"]
	const host = "host.docker.internal"
	target := host + ":" + strconv.Itoa(8080)
	if !strings.Contains(string(p.files[p.configured(t, "--config.file")]), "["+target+"]") {
		t.Errorf("%s is no target", target)
	}
	if of := compose(t).Services["prometheus"].ExtraHosts[host]; len(of) != 1 || of[0] != "host-gateway" {
		t.Errorf("%s is %q", host, of)
	}
}
