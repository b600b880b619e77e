package healing

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// proposed returns the proposal of the remedy for an OOM kill of web-0.
func proposed(w *world, remedy incident.Remedy) *proposal {
	in := w.input(&leader{name: "a"})
	f := incident.Finding{
		Kind: incident.OOMKilled, Replica: "web-0", ReplicaUID: "u1", Container: "app", Since: w.now, Confidence: 95, Message: "killed",
		Death: &cluster.Termination{StartedAt: w.now.Add(-time.Hour), FinishedAt: w.now},
	}
	t := &tracked{inc: incident.Incident{Name: "i", Kind: incident.OOMKilled, Version: "1", Occurrences: 2}, findings: []incident.Finding{f}}
	q := &proposal{pass: &pass{in: &in, now: w.now, tracked: []*tracked{t}}, t: t, remedy: remedy, victim: &t.findings[0], replica: w.find("web-0")}
	q.fit()
	return q
}

func TestResizeStep(t *testing.T) {
	for _, tt := range []struct {
		name                       string
		present, template, another int64 // MiB; another replica's
		percent                    int32
		want                       int64 // 0: it does not fit
	}{
		{name: "at least 100 MiB", present: 128, template: 128, percent: 200, want: 228},
		{name: "a fifth", present: 1000, template: 1000, percent: 200, want: 1200},
		{name: "rounded up to whole MiB", present: 1001, template: 1001, percent: 200, want: 1202},
		{name: "at most what is allowed", present: 228, template: 128, percent: 200, want: 256},
		{name: "what is allowed in whole MiB", present: 128, template: 129, percent: 133, want: 171},
		{name: "it is there already", present: 256, template: 128, percent: 200},
		{name: "nothing is allowed", present: 128, template: 128, percent: 100},
		{name: "a template that is not known: the smallest of its replicas", present: 228, another: 128, percent: 200, want: 256},
		{name: "no limit at all", percent: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := webWorld(2)
			w.policy.MaxMemoryPercent = tt.percent
			w.find("web-0").Containers[0].MemoryLimit = tt.present << 20
			w.find("web-1").Containers[0].MemoryLimit = max(tt.another, tt.present) << 20
			if tt.another > 0 {
				w.find("web-1").Containers[0].MemoryLimit = tt.another << 20
			}
			if tt.template > 0 {
				w.workload.Revision = "r1"
				w.workload.Revisions = []cluster.Revision{{Name: "r1", MemoryLimits: map[string]int64{"app": tt.template << 20}}}
			}
			q := proposed(w, incident.RemedyResizeMemory)
			if got := q.change.ToMemory >> 20; q.misfit == "" && got != tt.want || (q.misfit == "") != (tt.want > 0) {
				t.Errorf("to %d MiB, want %d: %q", got, tt.want, q.misfit)
			}
		})
	}
}

func TestScaleOutSize(t *testing.T) {
	for _, tt := range []struct {
		name         string
		ready        int
		used         int64 // MiB of 128 in each
		percent, max int32 // max 0: no autoscaler
		want         int32
	}{
		{name: "one more at least", ready: 3, used: 40, percent: 200, want: 4},
		{name: "as many as share it at 70 %", ready: 4, used: 120, percent: 200, want: 6},
		{name: "no more than the policy allows", ready: 4, used: 128, percent: 125, want: 5},
		{name: "no more than the autoscaler allows", ready: 4, used: 128, percent: 200, max: 5, want: 5},
		{name: "it is at its most", ready: 4, used: 128, percent: 200, max: 4},
		{name: "memory that is not known", ready: 3, used: -1, percent: 200, want: 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := webWorld(tt.ready)
			w.policy.MaxScaleOutPercent = tt.percent
			if tt.max > 0 {
				w.workload.Scaler = &cluster.Scaler{Ref: cluster.Ref{Kind: kindAutoscaler, Name: "web"}, Max: tt.max}
			}
			for i := range w.workload.Replicas {
				name := w.workload.Replicas[i].Name
				for n := range 120 {
					load := int64(100 + (n*7)%120*4)
					w.trend[name+"/app"] = append(w.trend[name+"/app"], metrics.TrendPoint{
						At: w.now.Add(time.Duration(n-120) * 30 * time.Second), CPUMilli: load, ResidentBytes: load << 18, MemoryBytes: load << 18,
					})
				}
				if tt.used >= 0 {
					w.memory[name+"/app"] = []metrics.Point{{At: w.now, MemoryBytes: tt.used << 20}}
				}
			}
			q := proposed(w, incident.RemedyScaleOut)
			if q.change.ToReplicas != tt.want || (q.misfit == "") != (tt.want > 0) {
				t.Errorf("to %d replicas, want %d: %q", q.change.ToReplicas, tt.want, q.misfit)
			}
			if tt.max > 0 && tt.want > 0 && q.change.Target.Kind != kindAutoscaler {
				t.Errorf("it writes %v", q.change.Target)
			}
		})
	}
}

// TestRollbackTarget verifies which revision is gone back to.
func TestRollbackTarget(t *testing.T) {
	rolled := epoch.Add(-5 * time.Minute)
	for _, tt := range []struct {
		name string
		edit func(w *world)
		want string
	}{
		{name: "the newest that was healthy", edit: func(*world) {}, want: "r2"},
		{name: "one that was never healthy is passed over", edit: func(w *world) { w.workload.Revisions[1].HealthyAt = time.Time{} }, want: "r1"},
		{name: "none was", edit: func(w *world) {
			w.workload.Revisions[1].HealthyAt, w.workload.Revisions[2].HealthyAt = time.Time{}, time.Time{}
		}},
		{name: "an old replica fails too", edit: func(w *world) { w.find("web-0").Revision = "r2" }},
		{name: "the rollout is paused", edit: func(w *world) { w.workload.Paused = true }},
		{name: "revisions are not known", edit: func(w *world) { w.workload.Revisions = nil }},
		{
			name: "one that was rolled away from is not gone back to", want: "r1",
			edit: func(w *world) {
				w.stored["old"] = incident.Incident{Name: "old", State: incident.Resolved, Remediations: []incident.Remediation{{
					Remedy: incident.RemedyRollback, Outcome: incident.Succeeded, Change: incident.Change{FromRevision: "r2", ToRevision: "r1"},
				}}}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := webWorld(1)
			w.workload.Revision = "r3"
			w.workload.Revisions = []cluster.Revision{
				{Name: "r3", Number: 3, CreatedAt: rolled},
				{Name: "r2", Number: 2, CreatedAt: rolled.Add(-time.Hour), HealthyAt: rolled},
				{Name: "r1", Number: 1, CreatedAt: rolled.Add(-2 * time.Hour), HealthyAt: rolled.Add(-time.Hour)},
			}
			w.find("web-0").Revision = "r3"
			tt.edit(w)
			q := proposed(w, incident.RemedyRollback)
			if q.change.ToRevision != tt.want || (q.misfit == "") != (tt.want != "") {
				t.Errorf("back to %q, want %q: %q", q.change.ToRevision, tt.want, q.misfit)
			}
		})
	}
}

// TestWordsOfEveryRemedy verifies that each remedy is worded in every form, and with what it changes.
func TestWordsOfEveryRemedy(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range incident.Remedies() {
		w := words(&incident.Remediation{Remedy: r, Replica: "web-1"})
		for _, s := range []string{w.do, w.doing, w.done, w.noun} {
			if s == "" {
				t.Errorf("%s: %+v", r, w)
			}
		}
		if seen[w.do] {
			t.Errorf("%s is worded as another one: %s", r, w.do)
		}
		seen[w.do] = true
	}
}

func TestRelatedKinds(t *testing.T) {
	for _, tt := range []struct {
		incident, finding incident.Kind
		want              bool
	}{
		{incident.NodeOOM, incident.CrashLoop, true},
		{incident.StartupKill, incident.CrashLoop, true},
		{incident.BadCommand, incident.NodeCrashLoop, true},
		{incident.CleanExit, incident.CrashLoop, true},
		{incident.CrashLoop, incident.NodeOOM, true},
		{incident.MemoryLeak, incident.OOMKilled, true},
		{incident.OOMKilled, incident.MemoryLeak, true},
		{incident.RolloutStuck, incident.ConfigMissing, true},
		{incident.OOMKilled, incident.LivenessKill, false},
		{incident.NodeOOM, incident.OOMKilled, false},
		{incident.RolloutStuck, incident.NodeNotReady, false},
		{incident.Evicted, incident.Disrupted, false},
		{incident.RestartRate, incident.CrashLoop, false},
	} {
		if got := sameCause(tt.incident, tt.finding); got != tt.want {
			t.Errorf("a finding %s belongs to an incident %s: %t", tt.finding, tt.incident, got)
		}
	}
	for _, k := range incident.Kinds() {
		if !sameCause(k, k) {
			t.Errorf("%s is not its own cause", k)
		}
	}
}
