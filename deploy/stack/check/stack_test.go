package check

import (
	"bytes"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/homeostat/homeostat/internal/config"
)

const root = "../../.."

// program is one of the stack's, as its container sees it.
type program struct {
	image string
	args  []string
	// files are what is mounted, by the path in the container.
	files map[string][]byte
	ports []int
}

// stack is the whole of it, run one way.
type stack struct {
	name     string
	programs map[string]program
	// homeostat is the configuration that makes Homeostat use it.
	homeostat string
	// known returns whether Homeostat finds something at the host and port.
	known func(hostPort string) bool
}

func stacks(t *testing.T) []stack {
	t.Helper()
	return []stack{composeStack(t), clusterStack(t)}
}

// instance is a program in one of the stacks.
type instance struct {
	stack
	program
}

// each returns the program of that name in each stack, and lets the test run beside others.
func each(t *testing.T, name string) []instance {
	t.Helper()
	t.Parallel()
	var out []instance
	for _, s := range stacks(t) {
		p, there := s.programs[name]
		if !there {
			t.Fatalf("%s has no %s", s.name, name)
		}
		out = append(out, instance{s, p})
	}
	return out
}

// tool returns the path of a program of Prometheus's packages. Where there is none the test is left out, and fails with PROMTOOL=required.
func tool(t *testing.T, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("PROMTOOL") == "required":
		t.Fatalf("PROMTOOL=required, and there is no %s: apt-get install prometheus prometheus-alertmanager", name)
	default:
		t.Skipf("THE CONFIGURATION WAS NOT TESTED: there is no %s (apt-get install prometheus prometheus-alertmanager)", name)
	}
	return found
}

// run runs a program and fails with what it said.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}

// laidOut writes the files of the program into a folder and returns it.
func laidOut(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// configured returns the path that the argument names, which has to be one of the files.
func (p program) configured(t *testing.T, argument string) string {
	t.Helper()
	for _, arg := range p.args {
		if value, ok := strings.CutPrefix(arg, argument+"="); ok {
			if p.files[value] == nil {
				t.Fatalf("%s is no file: there are %q", arg, slices.Sorted(maps.Keys(p.files)))
			}
			return value
		}
	}
	t.Fatalf("no argument %s in %q", argument, p.args)
	return ""
}

// decode reads YAML in which every field must be known.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// discovery is what Prometheus calls kubernetes_sd_config, as far as it is used here.
type discovery struct {
	Role       string `yaml:"role"`
	Namespaces struct {
		Names []string `yaml:"names"`
	} `yaml:"namespaces,omitempty"`
	Selectors []struct {
		Role  string `yaml:"role"`
		Label string `yaml:"label"`
	} `yaml:"selectors,omitempty"`
}

// discovered takes the discovery of Kubernetes out of each job: Debian builds Prometheus without it. It is decoded strictly instead.
func discovered(t *testing.T, text []byte) (rest []byte, byJob map[string][]discovery) {
	t.Helper()
	var whole map[string]any
	if err := yaml.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	byJob = map[string][]discovery{}
	for _, one := range whole["scrape_configs"].([]any) {
		job := one.(map[string]any)
		if job["kubernetes_sd_configs"] == nil {
			continue
		}
		part, err := yaml.Marshal(job["kubernetes_sd_configs"])
		if err != nil {
			t.Fatal(err)
		}
		var found []discovery
		decode(t, part, &found)
		byJob[job["job_name"].(string)] = found
		delete(job, "kubernetes_sd_configs")
	}
	rest, err := yaml.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return rest, byJob
}

func TestPrometheusTakesItsConfiguration(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, one := range each(t, "prometheus") {
		t.Run(one.name, func(t *testing.T) {
			p := one.program
			at := p.configured(t, "--config.file")
			rest, _ := discovered(t, p.files[at])
			files := maps.Clone(p.files)
			// What Kubernetes mounts by itself.
			const account = "/var/run/secrets/kubernetes.io/serviceaccount"
			dir := t.TempDir()
			files[at] = bytes.ReplaceAll(rest, []byte(account), []byte(dir))
			if err := os.WriteFile(filepath.Join(dir, "token"), []byte("t"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "ca.crt"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, promtool, "check", "config", filepath.Join(laidOut(t, files), at))
		})
	}
}

func TestPrometheusHasTheCommittedRulesAndFindsHomeostat(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(root, "alerts/rules/homeostat.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range each(t, "prometheus") {
		t.Run(one.name, func(t *testing.T) {
			s, p := one.stack, one.program
			at := p.configured(t, "--config.file")
			var file struct {
				Global struct {
					Interval string `yaml:"scrape_interval"`
				} `yaml:"global"`
				Rules    []string `yaml:"rule_files"`
				Alerting struct {
					Alertmanagers []struct {
						Static []struct {
							Targets []string `yaml:"targets"`
						} `yaml:"static_configs"`
					} `yaml:"alertmanagers"`
				} `yaml:"alerting"`
				Jobs []struct {
					Name  string `yaml:"job_name"`
					Honor bool   `yaml:"honor_labels"`
				} `yaml:"scrape_configs"`
			}
			if err := yaml.Unmarshal(p.files[at], &file); err != nil {
				t.Fatal(err)
			}
			if len(file.Rules) != 1 || !bytes.Equal(p.files[path.Join(path.Dir(at), file.Rules[0])], rules) {
				t.Errorf("rule_files are %q, and not the committed rules", file.Rules)
			}
			targets := file.Alerting.Alertmanagers[0].Static[0].Targets
			if diff := cmp.Diff([]string{"alertmanager:9093"}, targets); diff != "" || !slices.Contains(s.programs["alertmanager"].ports, 9093) {
				t.Errorf("Alertmanager (-want +got):\n%s", diff)
			}
			found := false
			for _, j := range file.Jobs {
				// HomeostatTargetDown asks for this job.
				found = found || (j.Name == "homeostat" && j.Honor)
			}
			if !found {
				t.Errorf("no job homeostat that honors labels: %+v", file.Jobs)
			}
			// Grafana makes $__rate_interval of it.
			if got := sourcesOf(t, s.programs["grafana"])["prometheus"].JSON["timeInterval"]; got != file.Global.Interval {
				t.Errorf("Grafana takes %v for the scrape interval, which is %s", got, file.Global.Interval)
			}
		})
	}
}

func TestAlertmanagerTakesItsConfiguration(t *testing.T) {
	amtool := tool(t, "amtool")
	committed, err := os.ReadFile(filepath.Join(root, "alerts/alertmanager.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range each(t, "alertmanager") {
		t.Run(one.name, func(t *testing.T) {
			p := one.program
			at := p.configured(t, "--config.file")
			if !bytes.Equal(p.files[at], committed) {
				t.Error("it is not the committed one")
			}
			run(t, amtool, "check-config", filepath.Join(laidOut(t, p.files), at))
		})
	}
}

// lokiProgram returns the Loki that hack/loki.sh builds, and its version.
func lokiProgram(t *testing.T) (program, version string) {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(root, "hack/loki/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`github\.com/grafana/loki/v3 v(\S+)`).FindSubmatch(mod)
	cache, err := os.UserCacheDir()
	if err != nil || found == nil {
		t.Fatalf("cache folder: %v, version %q", err, found)
	}
	return filepath.Join(cache, "homeostat", "loki", "v"+string(found[1]), "loki"), string(found[1])
}

func TestLokiTakesItsConfiguration(t *testing.T) {
	loki, _ := lokiProgram(t)
	if _, err := os.Stat(loki); err != nil || os.Getenv("LOKI") == "off" {
		if os.Getenv("LOKI") == "required" {
			t.Fatalf("LOKI=required, and there is no %s: hack/loki.sh builds it", loki)
		}
		t.Skipf("THE CONFIGURATION WAS NOT TESTED: LOKI=off, or there is no Loki at %s; hack/loki.sh builds it", loki)
	}
	for _, one := range each(t, "loki") {
		t.Run(one.name, func(t *testing.T) {
			p := one.program
			run(t, loki, "-verify-config", "-config.file="+filepath.Join(laidOut(t, p.files), p.configured(t, "-config.file")))
		})
	}
}

// What the tests ran with is what is run.
func TestTheImageOfLokiIsTheLokiOfTheTests(t *testing.T) {
	_, version := lokiProgram(t)
	for _, one := range each(t, "loki") {
		t.Run(one.name, func(t *testing.T) {
			p := one.program
			if want := "grafana/loki:" + version; p.image != want {
				t.Errorf("the image is %s, and %s is tested", p.image, want)
			}
		})
	}
}

func TestBothRunTheSameImages(t *testing.T) {
	t.Parallel()
	compose, cluster := composeStack(t), clusterStack(t)
	pinned := regexp.MustCompile(`^[a-z]+/[a-z]+:v?\d+\.\d+\.\d+$`)
	for name, p := range cluster.programs {
		if !pinned.MatchString(p.image) {
			t.Errorf("%s has the image %s, which is not pinned to a version", name, p.image)
		}
		if other, there := compose.programs[name]; there && other.image != p.image {
			t.Errorf("%s is %s with compose and %s in a cluster", name, other.image, p.image)
		}
	}
	if got := slices.Sorted(maps.Keys(compose.programs)); !slices.Equal(got, []string{"alertmanager", "grafana", "loki", "prometheus"}) {
		t.Errorf("compose has %q", got)
	}
}

func TestHomeostatsConfigurationFindsTheStack(t *testing.T) {
	t.Parallel()
	for _, s := range stacks(t) {
		t.Run(s.name, func(t *testing.T) {
			c, err := config.Load(s.homeostat)
			if err != nil {
				t.Fatal(err)
			}
			addresses := []string{c.Logs.Push.URL, c.Sources.Prometheus.Address, c.Alerts.Receivers[0].Alertmanager.URLs[0]}
			if s.name == "cluster" {
				addresses = append(addresses, c.Logs.Loki.URL, c.Grafana.URL)
			}
			for _, address := range addresses {
				u, err := url.Parse(address)
				if err != nil || !s.known(u.Host) {
					t.Errorf("nothing listens at %q (%v)", address, err)
				}
			}
			if u, err := url.Parse(c.Alerts.Links.Grafana); err != nil || u.Host != "127.0.0.1:3000" {
				t.Errorf("people find Grafana at %q (%v)", c.Alerts.Links.Grafana, err)
			}
			if uids := sourcesOf(t, s.programs["grafana"]); uids["loki"].UID != c.Alerts.Links.LokiDatasourceUID {
				t.Errorf("alerts link to the data source %q, and Loki's is %q", c.Alerts.Links.LokiDatasourceUID, uids["loki"].UID)
			}
		})
	}
}
