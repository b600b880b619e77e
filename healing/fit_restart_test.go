package healing

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// TestARestartThatAPolicyNamesMustFit verifies that a replica is evicted for a resize or a volume only where a new one has what this one
// has not: a resize that waits for room is done by itself, and a volume that cannot be mounted cannot be by the next replica either.
func TestARestartThatAPolicyNamesMustFit(t *testing.T) {
	resize := func(reason string) func(*world, *cluster.Replica) {
		return func(w *world, r *cluster.Replica) {
			r.Conditions = []cluster.Condition{{Type: "PodResizePending", Status: "True", Reason: reason, Since: w.now.Add(-10 * time.Minute)}}
		}
	}
	volume := func(message, ready string) func(*world, *cluster.Replica) {
		return func(w *world, r *cluster.Replica) {
			w.nodes["n2"] = cluster.Node{Name: "n2", Ready: ready, Since: w.now.Add(-10 * time.Minute)}
			w.add("web-old", "n2", time.Hour).DeletedAt = w.now.Add(-5 * time.Minute)
			r = w.find(r.Name)
			w.wait(r, &r.Containers[0], "ContainerCreating", "")
			r.Phase, r.CreatedAt, r.StartedAt = cluster.PhasePending, w.now.Add(-5*time.Minute), w.now.Add(-5*time.Minute)
			r.Events = []cluster.Event{{Reason: "FailedAttachVolume", Message: message, First: w.now.Add(-4 * time.Minute), Last: w.now.Add(-time.Minute), Count: 3}}
		}
	}
	const multi = `Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) web-old`
	for _, tt := range []struct {
		name  string
		kind  incident.Kind
		story func(*world, *cluster.Replica)
		acts  bool
	}{
		{"a resize that waits for room", incident.ResizeStuck, resize("Deferred"), false},
		{"a resize that can never be done", incident.ResizeStuck, resize("Infeasible"), true},
		{"a driver that is not there", incident.VolumeStuck, volume(`MountVolume.SetUp failed for volume "pvc-1" : driver name csi.example.com not found in the list of registered CSI drivers`, "True"), false},
		{"a volume on a node that is well", incident.VolumeStuck, volume(multi, "True"), false},
		{"a volume on a node that is lost", incident.VolumeStuck, volume(multi, "Unknown"), true},
		{"a volume whose driver names a node that is lost", incident.VolumeStuck, volume(`AttachVolume.Attach failed for volume "pvc-1" : volume is already attached to node n2`, "False"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := webWorld(4)
			w.policy.Remedies = map[incident.Kind][]incident.Remedy{tt.kind: {incident.RemedyRestart}}
			tt.story(w, w.find("web-0"))
			l := &leader{name: "a"}
			for range 5 {
				w.pass(l)
				w.now = w.now.Add(time.Second)
			}
			var seen bool
			for _, i := range w.incidents() {
				seen = seen || i.Kind == tt.kind
			}
			if !seen {
				t.Fatalf("no incident of kind %s: the story tells nothing", tt.kind)
			}
			if acts := len(w.effects) > 0; acts != tt.acts {
				t.Errorf("the replica was evicted: %t, want %t", acts, tt.acts)
			}
		})
	}
}
