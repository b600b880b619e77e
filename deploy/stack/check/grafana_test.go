package check

import (
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const provisioning = "/etc/grafana/provisioning/"

// dataSource is one of Grafana's provisioning, with the fields that its documentation has and that are used here.
type dataSource struct {
	Name     string         `yaml:"name"`
	UID      string         `yaml:"uid"`
	Type     string         `yaml:"type"`
	Access   string         `yaml:"access"`
	URL      string         `yaml:"url"`
	Default  bool           `yaml:"isDefault"`
	Editable bool           `yaml:"editable"`
	JSON     map[string]any `yaml:"jsonData"`
}

// in returns the files right in a folder.
func (p program) in(t *testing.T, folder string) [][]byte {
	t.Helper()
	var out [][]byte
	for name, text := range p.files {
		if path.Dir(name) == folder && path.Ext(name) == ".yaml" {
			out = append(out, text)
		}
	}
	if len(out) != 1 {
		t.Fatalf("%d files in %s", len(out), folder)
	}
	return out
}

// sourcesOf returns the data sources by type.
func sourcesOf(t *testing.T, grafana program) map[string]dataSource {
	t.Helper()
	var file struct {
		Version int          `yaml:"apiVersion"`
		List    []dataSource `yaml:"datasources"`
	}
	decode(t, grafana.in(t, provisioning+"datasources")[0], &file)
	out := map[string]dataSource{}
	for _, d := range file.List {
		out[d.Type] = d
	}
	if file.Version != 1 || len(out) != len(file.List) {
		t.Errorf("version %d, and %d data sources of %d types", file.Version, len(file.List), len(out))
	}
	return out
}

func TestGrafanaFindsItsDataSources(t *testing.T) {
	for _, one := range each(t, "grafana") {
		t.Run(one.name, func(t *testing.T) {
			s, p := one.stack, one.program
			sources := sourcesOf(t, p)
			defaults := 0
			for _, kind := range []string{"prometheus", "loki", "alertmanager"} {
				d := sources[kind]
				u, err := url.Parse(d.URL)
				if err != nil {
					t.Fatal(err)
				}
				port, err := strconv.Atoi(u.Port())
				if d.UID != kind || d.Access != "proxy" || err != nil || !slices.Contains(s.programs[u.Hostname()].ports, port) {
					t.Errorf("%s: %+v is no program of the stack", kind, d)
				}
				if d.Default {
					defaults++
				}
			}
			if defaults != 1 || len(sources) != 3 {
				t.Errorf("%d are the default, of %d", defaults, len(sources))
			}
		})
	}
}

func TestGrafanaLoadsTheDashboards(t *testing.T) {
	for _, one := range each(t, "grafana") {
		t.Run(one.name, func(t *testing.T) {
			p := one.program
			var file struct {
				Version   int `yaml:"apiVersion"`
				Providers []struct {
					Name            string            `yaml:"name"`
					Folder          string            `yaml:"folder"`
					Type            string            `yaml:"type"`
					AllowUIUpdates  bool              `yaml:"allowUiUpdates"`
					DisableDeletion bool              `yaml:"disableDeletion"`
					Seconds         int               `yaml:"updateIntervalSeconds"`
					Options         map[string]string `yaml:"options"`
				} `yaml:"providers"`
			}
			decode(t, p.in(t, provisioning+"dashboards")[0], &file)
			if file.Version != 1 || len(file.Providers) != 1 || file.Providers[0].Type != "file" || file.Providers[0].Folder != "Homeostat" {
				t.Fatalf("%+v", file)
			}
			var got []string
			types := map[string]bool{}
			sources := sourcesOf(t, p)
			for name, text := range p.files {
				if !strings.HasPrefix(name, file.Providers[0].Options["path"]+"/") || path.Ext(name) != ".json" {
					continue
				}
				var dashboard struct {
					UID        string `json:"uid"`
					Templating struct {
						List []struct {
							Type  string `json:"type"`
							Query any    `json:"query"`
						} `json:"list"`
					} `json:"templating"`
				}
				if err := json.Unmarshal(text, &dashboard); err != nil {
					t.Fatal(err)
				}
				got = append(got, dashboard.UID)
				for _, v := range dashboard.Templating.List {
					if v.Type == "datasource" {
						types[v.Query.(string)] = true
					}
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff([]string{"homeostat-autoscaling", "homeostat-controller", "homeostat-healing", "homeostat-overview"}, got); diff != "" {
				t.Errorf("dashboards (-want +got):\n%s", diff)
			}
			for kind := range types {
				if sources[kind].UID == "" {
					t.Errorf("the dashboards want a data source of type %s, and there is none", kind)
				}
			}
		})
	}
}
