package patch

import (
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

func web() *cluster.Workload {
	return &cluster.Workload{
		Ref: cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: "web"},
		Revisions: []cluster.Revision{
			{Name: "r2", Images: []string{"app=web:1.5", "log=log:1"}, MemoryLimits: map[string]int64{"app": 64 << 20}},
			{Name: "r1", Images: []string{"app=web:1.4", "log=log:1"}, MemoryLimits: map[string]int64{"app": 128 << 20}},
		},
		Replicas: []cluster.Replica{{Name: "web-1", Containers: []cluster.Container{
			{Name: "app", Kind: cluster.ContainerMain}, {Name: "mesh", Kind: cluster.ContainerSidecar},
		}}},
	}
}

// TestWrite verifies for each remedy that what is proposed is YAML for the right object that changes the right field.
func TestWrite(t *testing.T) {
	for _, tt := range []struct {
		name   string
		remedy incident.Remedy
		change incident.Change
		edit   func(w *cluster.Workload)
		kind   string
		path   string // fields, by dots; a number indexes a list
		want   any
	}{
		{name: "memory", remedy: incident.RemedyResizeMemory, change: incident.Change{Container: "app", ToMemory: 228 << 20}, kind: "Deployment", path: "spec.template.spec.containers.0.resources.limits.memory", want: "228Mi"},
		{name: "memory of a sidecar", remedy: incident.RemedyResizeMemory, change: incident.Change{Container: "mesh", ToMemory: 1000}, kind: "Deployment", path: "spec.template.spec.initContainers.0.resources.limits.memory", want: 1000},
		{name: "replicas", remedy: incident.RemedyScaleOut, change: incident.Change{ToReplicas: 5}, kind: "Deployment", path: "spec.replicas", want: 5},
		{
			name: "replicas of an HPA", remedy: incident.RemedyScaleOut, change: incident.Change{ToReplicas: 5}, kind: "HorizontalPodAutoscaler", path: "spec.minReplicas", want: 5,
			edit: func(w *cluster.Workload) {
				w.Scaler = &cluster.Scaler{Ref: cluster.Ref{Kind: "HorizontalPodAutoscaler", Namespace: "demo", Name: "web"}}
			},
		},
		{name: "image of the revision before", remedy: incident.RemedyRollback, change: incident.Change{FromRevision: "r2", ToRevision: "r1"}, kind: "Deployment", path: "spec.template.spec.containers.0.image", want: "web:1.4"},
		{name: "limit of the revision before", remedy: incident.RemedyRollback, change: incident.Change{FromRevision: "r2", ToRevision: "r1"}, kind: "Deployment", path: "spec.template.spec.containers.0.resources.limits.memory", want: "128Mi"},
		{name: "rolling restart", remedy: incident.RemedyRestartWorkload, kind: "Deployment", path: "spec.template.metadata.annotations.kubectl~kubernetes~io/restartedAt", want: "2026-03-01T12:00:00Z"},
		{name: "canary", remedy: incident.RemedyAbortCanary, change: incident.Change{FromReplicas: 2}, kind: "Deployment", path: "spec.replicas", want: 0},
		{name: "blue/green", remedy: incident.RemedyAbortCanary, change: incident.Change{Target: cluster.Ref{Kind: "Service", Namespace: "demo", Name: "web"}, Key: "track", ToRevision: "on"}, kind: "Service", path: "spec.selector.track", want: "on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := web()
			if tt.edit != nil {
				tt.edit(w)
			}
			text := Write(Change{
				Workload: w, Remedy: tt.remedy, Change: tt.change, Why: "Git\nowns it", Cause: "it fails\nspec: {}", At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
			})
			if text == "" || len(text) > incident.MaxProposal {
				t.Fatalf("%d bytes", len(text))
			}
			var doc map[string]any
			if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatalf("%v in:\n%s", err, text)
			}
			if doc["kind"] != tt.kind || doc["apiVersion"] == nil || at(doc, "metadata.name") != "web" || at(doc, "metadata.namespace") != "demo" {
				t.Errorf("for %v %v %v", doc["apiVersion"], doc["kind"], doc["metadata"])
			}
			if got := at(doc, tt.path); got != tt.want {
				t.Errorf("%s is %v, want %v in:\n%s", tt.path, got, tt.want, text)
			}
		})
	}
}

// TestWriteNothing verifies that what changes no object that lasts, or is not known, is not proposed.
func TestWriteNothing(t *testing.T) {
	for _, r := range []incident.Remedy{incident.RemedyNone, incident.RemedyCapture, incident.RemedyRestart, incident.RemedyQuarantine} {
		if got := Write(Change{Workload: web(), Remedy: r}); got != "" {
			t.Errorf("%s: %s", r, got)
		}
	}
	if got := Write(Change{Workload: web(), Remedy: incident.RemedyRollback, Change: incident.Change{ToRevision: "r9"}}); got != "" {
		t.Errorf("a revision that is not known: %s", got)
	}
	same := web()
	same.Revisions[1] = same.Revisions[0]
	same.Revisions[1].Name = "r1"
	if got := Write(Change{Workload: same, Remedy: incident.RemedyRollback, Change: incident.Change{FromRevision: "r2", ToRevision: "r1"}}); !strings.Contains(got, "go back to revision r1") {
		t.Errorf("revisions that do not differ in what is known: %s", got)
	}
}

// at walks maps and lists; ~ stands for a dot in a key.
func at(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[strings.ReplaceAll(key, "~", ".")]
		case []any:
			v = x[int(key[0]-'0')]
		default:
			return nil
		}
	}
	return v
}
