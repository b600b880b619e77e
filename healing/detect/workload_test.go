package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
)

// workloadRow is one look at a whole workload. want lists the findings, "Kind replica" or "Kind -" for one without a
// replica, with " active"; says are parts of the last one's message.
type workloadRow struct {
	name       string
	workload   *cluster.Workload
	nodes      map[string]cluster.Node
	want       []string
	says       []string
	confidence int32
}

// owner is a Deployment with a healthy replica; a test changes what it is about.
func owner(change ...func(w *cluster.Workload)) *cluster.Workload {
	w := &cluster.Workload{
		Ref:     cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: "web", UID: "w1"},
		Desired: 1, Revision: "r2", Replicas: []cluster.Replica{pod(ofRevision("r2"))},
	}
	for _, f := range change {
		f(w)
	}
	return w
}

func ofRevision(name string) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, _ *cluster.Container) { r.Revision = name }
}

func named(name, node string) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, _ *cluster.Container) { r.Name, r.UID, r.Node = name, "uid-"+name, node }
}

func ofKind(kind string) func(*cluster.Workload) {
	return func(w *cluster.Workload) { w.Ref.Kind = kind }
}

func withReplicas(rs ...cluster.Replica) func(*cluster.Workload) {
	return func(w *cluster.Workload) { w.Replicas, w.Desired = rs, int32(len(rs)) }
}

func desired(n int32) func(*cluster.Workload) { return func(w *cluster.Workload) { w.Desired = n } }

// condition sets one that began an age ago.
func condition(kind, status, reason, message string, age time.Duration) func(*cluster.Workload) {
	return func(w *cluster.Workload) {
		w.Conditions = append(w.Conditions, cluster.Condition{Type: kind, Status: status, Reason: reason, Message: message, Since: ago(age)})
	}
}

// holds sets a condition of the replica.
func holds(kind, status, reason, message string, age time.Duration) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, _ *cluster.Container) {
		r.Conditions = append(r.Conditions, cluster.Condition{Type: kind, Status: status, Reason: reason, Message: message, Since: ago(age)})
	}
}

func told(reason, message string, first, last time.Duration) func(*cluster.Workload) {
	return func(w *cluster.Workload) {
		w.Events = append(w.Events, cluster.Event{Reason: reason, Message: message, Count: 3, First: ago(first), Last: ago(last)})
	}
}

func lookAt(w *cluster.Workload, nodes map[string]cluster.Node) *Look {
	return &Look{Workload: w, Nodes: nodes, NotReadyAfter: 3 * time.Minute, PendingAfter: 30 * time.Second, Now: now}
}

func checkWorkload(t *testing.T, rows []workloadRow) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			found := Findings(lookAt(tt.workload, tt.nodes))
			var got []string
			for i := range found {
				f := &found[i]
				s := string(f.Kind) + " " + f.Replica
				if f.Replica == "" {
					s += "-"
				}
				if f.Active {
					s += " active"
				}
				got = append(got, s)
				if f.Message == "" || f.Fingerprint == "" || f.Since.IsZero() || f.Since.After(now) || f.Confidence < 1 || f.Confidence > 100 {
					t.Errorf("finding is not complete: %+v", f)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Fatalf("findings (-want +got):\n%s", d)
			}
			if len(found) == 0 {
				return
			}
			last := &found[len(found)-1]
			for _, part := range tt.says {
				if !strings.Contains(last.Message, part) {
					t.Errorf("message %q does not say %q", last.Message, part)
				}
			}
			if tt.confidence != 0 && last.Confidence != tt.confidence {
				t.Errorf("confidence %d, want %d", last.Confidence, tt.confidence)
			}
			if d := cmp.Diff(found, Findings(lookAt(tt.workload, tt.nodes))); d != "" {
				t.Errorf("the same look gives other findings:\n%s", d)
			}
		})
	}
}
