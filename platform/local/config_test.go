package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/local"
)

const service = `apiVersion: local.homeostat.dev/v1alpha1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  command: [web]
`

const scaled = `---
apiVersion: homeostat.dev/v1alpha1
kind: Autoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {kind: Service, name: web}
  minReplicas: 2
  maxReplicas: 4
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 40}}
`

const healed = `---
apiVersion: homeostat.dev/v1alpha1
kind: HealingPolicy
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  mode: Act
  remedies:
  - {finding: OOMKilled, remedy: Restart}
  cooldown: 10s
`

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "local.yaml")
	if err := os.WriteFile(path, []byte("# the order does not matter\n"+healed+scaled+"---\n"+service), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := local.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Service.Name != "web" || c.Service.Replicas != 1 {
		t.Errorf("service %+v", c.Service)
	}
	a := c.Autoscalers[0]
	if a.Target != target || a.Mode != control.Active || a.Policy.Min != 2 || a.Policy.Max != 4 || a.Policy.Metrics[0].Source.Resource != hpa.CPU || a.Policy.Metrics[0].Target != 40 {
		t.Errorf("autoscaler %+v", a)
	}
	p := c.Policies[0]
	if p.Name != "web" || p.Mode != healing.Act || p.Cooldown != 10*time.Second || p.Remedies[incident.OOMKilled][0] != incident.RemedyRestart || p.Selector.String() != "app=web" {
		t.Errorf("policy %+v", p)
	}
	if _, err := local.Load(path + ".none"); err == nil || !strings.Contains(err.Error(), "local.yaml.none") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestReadTakesPeriodPauseAndSchedules(t *testing.T) {
	c, err := local.Read(strings.NewReader(service + scaled + `  schedules: [{name: day, start: 0 8 * * *, end: 0 20 * * *, minReplicas: 3}]
  timing: {syncPeriod: 10s}
  pause: {scaleDown: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Autoscalers[0]; a.Period != 10*time.Second || a.Policy.Pause != (hpa.Pause{ScaleDown: true}) {
		t.Errorf("autoscaler %+v", a)
	}
	if f := c.Schedules.Floor(time.Date(2026, 1, 9, 12, 0, 0, 0, time.UTC)); f == nil || *f != (hpa.Floor{Replicas: 3, By: "schedule day"}) {
		t.Errorf("at noon the schedules raise the minimum to %+v", f)
	}
}

// An error names the line of the file, the field, the value and what is allowed.
func TestReadErrors(t *testing.T) {
	tests := []struct{ file, want string }{
		{"", "line 1: there is no document of kind Service"},
		{scaled, "line 1: there is no document of kind Service"},
		{service + "---\n" + strings.Replace(service, "name: web", "name: other", 1), "line 7: kind: a second Service; allowed is one"},
		{service + "---\napiVersion: v1\nkind: Pod\n", `line 7: kind: "Pod" of apiVersion "v1" is not known; allowed are Service of local.homeostat.dev/v1alpha1`},
		{service + "---\napiVersion: homeostat.dev/v1alpha1\nkind: Pod\n", `line 8: kind: "Pod" is not allowed`},
		{service + "  replicas: -1\n", `line 6: spec.replicas: "-1" is no such number; allowed is 0 to 100`},
		{service + "  replicas: 1\n  replicas: 2\n", "line 7: spec.replicas: given twice"},
		{service + "---\n\tx", "line "},
		{service + strings.Replace(scaled, "maxReplicas: 4", "maxReplica: 4", 1), `line 13: spec.maxReplica`},
		{service + strings.Replace(scaled, "maxReplicas: 4", "maxReplicas: many", 1), `line 13: spec.maxReplicas: "many" is not allowed`},
		{service + strings.Replace(scaled, "maxReplicas: 4", "maxReplicas: 1", 1), `line 13: spec.maxReplicas: Invalid value: 1: must be at least minReplicas`},
		{service + strings.Replace(scaled, "maxReplicas: 4", "maxReplicas: 400", 1), `line 13: spec.maxReplicas: 400 is too large; allowed is 1 to 100`},
		{service + strings.Replace(scaled, "kind: Service", "kind: Deployment", 1), "line 11: spec.scaleTargetRef: Deployment/web is not in the file; allowed is kind Service and name web"},
		{service + strings.Replace(scaled, "name: web}", "name: web, namespace: demo}", 1), `line 9: metadata.namespace: "demo" is not known here; allowed is local`},
		{service + strings.Replace(scaled, "name: web}", "name: Web}", 1), `line 9: metadata.name: "Web" is no name`},
		{service + scaled + strings.Replace(scaled, "name: web}", "name: two}", 1), `metadata.name: "two" is a second Autoscaler`},
		{service + strings.Replace(scaled, "type: Resource\n    resource: {name", "type: ContainerResource\n    containerResource: {container: web, name", 1), `line 14: spec.metrics[0].type: "ContainerResource" is not known here; allowed is Resource: other metrics need a cluster`},
		{service + scaled + "  - {type: Prometheus, prometheus: {query: up, target: {type: Value, value: 1}}}\n", `line 14: spec.metrics[1].type: "Prometheus" is not known here; allowed is Resource`},
		{service + scaled + "  appMetrics: {port: 8080}\n", "line 17: spec.appMetrics: not known here; leave it out"},
		{service + scaled + "  schedules: [{name: a, start: 0 25 * * *, end: '@daily', minReplicas: 3}]\n", `line 17: spec.schedules[0].start: Invalid value: "0 25 * * *"`},
		{service + strings.Replace(healed, "remedy: Restart", "remedy: Reboot", 1), `spec.remedies[0].remedy: Unsupported value: "Reboot"`},
		{service + strings.Replace(healed, "cooldown: 10s", "cooldown: soon", 1), `line 15: spec.cooldown: "soon" is not allowed`},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			_, err := local.Read(strings.NewReader(tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant %s", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(service + scaled + healed)
	f.Fuzz(func(t *testing.T, file string) {
		c, err := local.Read(strings.NewReader(file))
		if err == nil && (c.Service.Name == "" || len(c.Autoscalers) > 1) {
			t.Errorf("accepted as %+v", c)
		}
	})
}
