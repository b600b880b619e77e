package score

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/internal/incident"
)

func web() cluster.Ref {
	return cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: "web"}
}

// small is a world with a workload of that many desired replicas, of which the first ones are ready.
func small(desired, ready int32) *world {
	load := &cluster.Workload{Ref: web(), Desired: desired}
	for i := range desired {
		load.Replicas = append(load.Replicas, cluster.Replica{Name: "web", UID: string('a' + i), Ready: i < ready})
	}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: "good"}}}
	return &world{
		view:    &cluster.Snapshot{Workloads: []*cluster.Workload{load}},
		objects: &objects{raw: map[string]metav1.Object{"set": set}, healthy: map[string]bool{"set": true}},
	}
}

// The judge must be able to find harm, or that none was found says nothing.
func TestHarmIsSeen(t *testing.T) {
	label := func(kinds ...string) *corpus.Label {
		l := &corpus.Label{}
		for _, k := range kinds {
			l.Want = append(l.Want, corpus.Want{Kind: k})
		}
		return l
	}
	act := func(r incident.Remedy, uid string) healing.Action {
		return healing.Action{Workload: web(), Remedy: r, ReplicaUID: uid}
	}
	back := func(to string) healing.Action {
		a := act(incident.RemedyRollback, "")
		a.Change.ToRevision = to
		return a
	}
	for name, c := range map[string]struct {
		label  *corpus.Label
		world  *world
		action healing.Action
		harm   string
	}{
		"a control":                    {label(), small(2, 2), act(incident.RemedyCapture, "a"), "on a workload that is well"},
		"a crash loop is restarted":    {label("CrashLoop"), small(3, 1), act(incident.RemedyRestart, "c"), "does not help against CrashLoop"},
		"a lost node's pod":            {label("NodeNotReady"), small(3, 1), act(incident.RemedyRestart, "c"), "does not help"},
		"a dead end":                   {label("Unschedulable"), small(3, 1), act(incident.RemedyScaleOut, ""), "does not help"},
		"the broken one":               {label("NotReady"), small(3, 2), act(incident.RemedyRestart, "c"), ""},
		"a ready one of two":           {label("NotReady"), small(2, 2), act(incident.RemedyRestart, "a"), "leaves 1 of 2 ready, 2 must be"},
		"a ready one of four":          {label("ChildOOM"), small(4, 4), act(incident.RemedyRestart, "a"), ""},
		"back to what was well":        {label("ImagePull"), small(3, 2), back("good"), ""},
		"back to what was never well":  {label("ImagePull"), small(3, 2), back("older"), "which was never healthy"},
		"a workload that is not there": {label("NotReady"), &world{view: &cluster.Snapshot{}}, act(incident.RemedyRestart, "a"), "not there"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judgeBy(c.label)(c.world, c.action, incident.CrashLoop)
			if (got == "") != (c.harm == "") || !strings.Contains(got, c.harm) {
				t.Errorf("got %q, want %q", got, c.harm)
			}
		})
	}
}

func found(kinds ...incident.Kind) []incident.Incident {
	var out []incident.Incident
	for _, k := range kinds {
		out = append(out, incident.Incident{Kind: k, Workload: web(), OpenedAt: at(10)})
	}
	return out
}

func at(seconds int) time.Time {
	return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

func outcome(l corpus.Label, kinds ...incident.Kind) *Outcome {
	return &Outcome{Recording: &corpus.Recording{Kind: "K", Name: "n", Label: l}, Final: found(kinds...), SignAt: at(4)}
}

func TestAnOutcomeIsHeldAgainstItsLabel(t *testing.T) {
	oom := corpus.Want{Kind: "OOMKilled", Workload: "Deployment/web"}
	label := corpus.Label{Want: []corpus.Want{oom}, Also: []string{"RolloutStuck"}, Not: []string{"CrashLoop"}}
	r := Judge(outcome(label, incident.CrashLoop, incident.NotReady, incident.OOMKilled, incident.RolloutStuck))
	if d := cmp.Diff([]corpus.Want{oom}, r.Found); d != "" || len(r.Missed) > 0 {
		t.Errorf("found %s, missed %v", d, r.Missed)
	}
	if d := cmp.Diff([]string{"CrashLoop", "NotReady"}, r.Extra); d != "" {
		t.Errorf("extra: %s", d)
	}
	if d := cmp.Diff([]string{"CrashLoop"}, r.Wrong); d != "" {
		t.Errorf("wrong: %s", d)
	}
	if d := cmp.Diff([]time.Duration{6 * time.Second}, r.Delays); d != "" {
		t.Errorf("delays: %s", d)
	}
	other := oom
	other.Workload = "StatefulSet/db"
	if r := Judge(outcome(corpus.Label{Want: []corpus.Want{other}}, incident.OOMKilled)); len(r.Missed) != 1 {
		t.Error("an incident about another workload counts as found")
	}
}

func TestTheTableCounts(t *testing.T) {
	want := func(k string) corpus.Label { return corpus.Label{Want: []corpus.Want{{Kind: k}}} }
	table := NewTable([]*Result{
		Judge(outcome(want("OOMKilled"), incident.OOMKilled)),
		Judge(outcome(want("OOMKilled"), incident.CrashLoop)),
		Judge(outcome(want("CrashLoop"), incident.CrashLoop)),
		Judge(outcome(want("CrashLoop"))),
		Judge(outcome(corpus.Label{})),
		Judge(outcome(corpus.Label{}, incident.CrashLoop)),
	})
	wantMatrix := map[string]map[string]int{
		"OOMKilled": {"OOMKilled": 1, "CrashLoop": 1}, "CrashLoop": {"CrashLoop": 1, None: 1}, None: {None: 1, "CrashLoop": 1},
	}
	if d := cmp.Diff(wantMatrix, table.Matrix); d != "" {
		t.Error(d)
	}
	if table.Controls != 2 || table.FalseAlarms != 1 || table.Failures != 4 {
		t.Errorf("%d controls, %d false alarms, %d failures", table.Controls, table.FalseAlarms, table.Failures)
	}
	// OOMKilled: 1 of 2 found, none elsewhere. CrashLoop: 1 of 2 found, in 2 others.
	precision, recall := table.Micro()
	if precision != 0.5 || recall != 0.5 {
		t.Errorf("micro: precision %v, recall %v, want 0.5 and 0.5", precision, recall)
	}
	if precision, recall = table.Macro(); precision != (1+1.0/3)/2 || recall != 0.5 {
		t.Errorf("macro: precision %v, recall %v", precision, recall)
	}
	var text strings.Builder
	if err := table.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| controls that opened an incident | 1 of 2 |", "| CrashLoop | 2 (0) | 1 of 2 | 2 | 33 % | 50 % | 6 s |",
		"- K/n: OOMKilled missed. CrashLoop found too.",
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("the report lacks %q", line)
		}
	}
}

func TestQuantile(t *testing.T) {
	list := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for share, want := range map[float64]time.Duration{0.5: 5, 0.9: 9, 1: 10} {
		if got := quantile(list, share); got != want {
			t.Errorf("quantile %v: got %d, want %d", share, got, want)
		}
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("of nothing")
	}
}
