package healing

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// demand gives every replica a memory that follows its load.
func (w *world) demand() {
	for i := range w.workload.Replicas {
		name := w.workload.Replicas[i].Name
		for n := range 120 {
			load := int64(100 + (n*7)%120*4)
			w.trend[name+"/app"] = append(w.trend[name+"/app"], metrics.TrendPoint{
				At: w.now.Add(time.Duration(n-120) * 30 * time.Second), CPUMilli: load, ResidentBytes: load << 18, MemoryBytes: load << 18,
			})
		}
		w.memory[name+"/app"] = []metrics.Point{{At: w.now, MemoryBytes: 128 << 20}}
	}
}

// before stores a resolved incident whose remediation changed that.
func (w *world) before(name string, remedy incident.Remedy, c incident.Change) {
	w.stored[name] = incident.Incident{
		Namespace: w.workload.Ref.Namespace, Name: name, Version: "1", Workload: w.workload.Ref, Kind: incident.OOMKilled,
		State: incident.Resolved, OpenedAt: w.now.Add(-3 * time.Hour), ResolvedAt: w.now.Add(-2 * time.Hour),
		Remediations: []incident.Remediation{{ID: name, Remedy: remedy, Change: c, Outcome: incident.Succeeded, Attempts: 1}},
	}
}

// TestBoundsDoNotGrowWithTheIncidents verifies that a bound that is a share of a number is one of what a person has set, and not of
// what the incidents before have made of it.
func TestBoundsDoNotGrowWithTheIncidents(t *testing.T) {
	w := webWorld(4)
	w.demand()
	w.before("first", incident.RemedyScaleOut, incident.Change{FromReplicas: 2, ToReplicas: 3})
	w.before("second", incident.RemedyScaleOut, incident.Change{FromReplicas: 3, ToReplicas: 4})
	if q := proposed(w, incident.RemedyScaleOut); q.misfit != "4 replicas are the most that is allowed" {
		t.Errorf("two were scaled out to four, and now to %d: %q", q.change.ToReplicas, q.misfit)
	}
	w = webWorld(6) // somebody has set another number since
	w.demand()
	w.before("first", incident.RemedyScaleOut, incident.Change{FromReplicas: 2, ToReplicas: 4})
	if q := proposed(w, incident.RemedyScaleOut); q.change.ToReplicas <= 6 {
		t.Errorf("six that a person asked for are scaled to %d: %q", q.change.ToReplicas, q.misfit)
	}

	w = webWorld(2)
	w.policy.PatchTemplate = true
	for i := range w.workload.Replicas {
		w.workload.Replicas[i].Containers[0].MemoryLimit = 256 << 20
	}
	w.workload.Revision = "r1"
	w.workload.Revisions = []cluster.Revision{{Name: "r1", MemoryLimits: map[string]int64{"app": 256 << 20}}}
	w.before("first", incident.RemedyResizeMemory, incident.Change{Container: "app", FromMemory: 128 << 20, ToMemory: 256 << 20, Template: true})
	if q := proposed(w, incident.RemedyResizeMemory); q.misfit == "" {
		t.Errorf("a template that was raised from 128 MiB to 256 MiB is raised to %d MiB", q.change.ToMemory>>20)
	}
}

// TestAProposalThatFollowsLoadIsWrittenOnce verifies that a number that changes with every sample makes no write of its own.
func TestAProposalThatFollowsLoadIsWrittenOnce(t *testing.T) {
	w := webWorld(4)
	w.demand()
	w.workload.Scaler = &cluster.Scaler{Ref: cluster.Ref{Kind: "HorizontalPodAutoscaler", Name: "web"}, Max: 20}
	q := proposed(w, incident.RemedyScaleOut)
	q.write(q, "it is not ours")
	if !q.t.dirty || q.t.event != ReasonProposed || len(q.t.inc.Timeline) != 1 {
		t.Fatalf("the first one is not told: %+v", q.t)
	}
	first := q.t.inc.Proposal
	q.t.dirty, q.t.event = false, ""
	q.change.ToReplicas++
	q.write(q, "it is not ours")
	if q.t.dirty || q.t.event != "" || q.t.inc.Proposal != first {
		t.Errorf("another number is stored for itself: %+v", q.t)
	}
	q.t.dirty = true // something else is
	q.write(q, "it is not ours")
	if q.t.event != "" || len(q.t.inc.Timeline) != 1 || q.t.inc.Proposal == first {
		t.Errorf("the newest number does not go with it: %+v", q.t)
	}
}

func TestIsGuard(t *testing.T) {
	for r, want := range map[Reason]bool{
		ReasonBreakerOpen: true, ReasonBlockedByBudget: true, ReasonClusterBudget: true, ReasonNotApplicable: true,
		ReasonOpened: false, ReasonSucceeded: false, ReasonLadderEnd: false, "": false,
	} {
		if IsGuard(r) != want {
			t.Errorf("%q is a guard's: %t", r, !want)
		}
	}
}
