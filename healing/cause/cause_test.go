package cause

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

const mib = 1 << 20

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return epoch.Add(time.Duration(minutes * float64(time.Minute))) }

// story is what a test is told; its parts change the input of shop's web: three replicas on three nodes, all of revision new, which
// was rolled out at minute 0 and fails at minute 2 in the replicas that are named; old was healthy until then. Now is minute 5.
func story(kind incident.Kind, failing []int, change func(*Input)) Input {
	w := &cluster.Workload{
		Ref: cluster.Ref{Kind: cluster.KindDeployment, Namespace: "shop", Name: "web"}, Desired: 3, Revision: "new",
		Revisions: []cluster.Revision{
			{Name: "new", Number: 2, CreatedAt: at(0), Desired: 3},
			{Name: "old", Number: 1, CreatedAt: at(-9000), HealthyAt: at(0)},
		},
		Services: []string{"web"},
	}
	in := Input{Workload: w, Now: at(5), Nodes: map[string]cluster.Node{}}
	for i := range 3 {
		node := fmt.Sprint("n", i)
		in.Nodes[node] = cluster.Node{Name: node, Ready: "True"}
		w.Replicas = append(w.Replicas, cluster.Replica{
			Name: fmt.Sprint("web-", i), UID: fmt.Sprint("uid-", i), Node: node, Revision: "new", Phase: cluster.PhaseRunning, Ready: true,
			CreatedAt: at(0), StartedAt: at(0), ReadySince: at(0.5),
			Containers: []cluster.Container{{Name: "app", State: cluster.StateRunning, StartedAt: at(0), MemoryLimit: 512 * mib}},
		})
	}
	for _, i := range failing {
		r := &w.Replicas[i]
		r.Ready, r.ReadySince = false, at(2)
		in.Findings = append(in.Findings, incident.Finding{
			Kind: kind, Replica: r.Name, ReplicaUID: r.UID, Node: r.Node, Container: "app", Since: at(2), Active: true, Confidence: 90,
			Message: "app of " + r.Name + " fails", For: []string{"it fails"},
		})
	}
	if change != nil {
		change(&in)
	}
	return in
}

func all() []int { return []int{0, 1, 2} }

// oneRevision takes the older revision away, so that nothing can be said of revisions.
func oneRevision(in *Input) { in.Workload.Revisions = in.Workload.Revisions[:1] }

func logged(lines ...string) incident.Evidence {
	return incident.Evidence{Kind: incident.EvidenceLog, At: at(2), Lines: lines}
}

// down adds services without a ready endpoint, down since minute 1.
func down(in *Input, keys ...string) {
	in.Services = services(keys...)
	for key, s := range in.Services {
		s.DownSince = at(1)
		in.Services[key] = s
	}
}

// usage gives all replicas the same trend: minutes of a life from minute 0, and memory by minute and load.
func usage(in *Input, minutes float64, load func(minute float64) float64, memory func(minute, load float64) float64) {
	in.Now = at(minutes)
	in.Trend = func(string, string) []metrics.TrendPoint {
		var out []metrics.TrendPoint
		for m := 0.0; m <= minutes; m += 0.5 {
			l := load(m)
			out = append(out, metrics.TrendPoint{At: at(m), ResidentBytes: int64(memory(m, l) * mib), MemoryBytes: metrics.NotKnown, CPUMilli: int64(l)})
		}
		return out
	}
	for i := range in.Findings {
		in.Findings[i].Since = at(minutes)
		in.Findings[i].Death = &cluster.Termination{ExitCode: 137, Reason: cluster.ReasonOOMKilled, StartedAt: at(0), FinishedAt: at(minutes)}
	}
	oneRevision(in)
}

func steady(float64) float64 { return 300 }

func waves(minute float64) float64 { return 500 + 300*math.Sin(minute/4) }

func TestBlame(t *testing.T) {
	newest := Blame{NewRevision: true, Revision: "new", Healthy: "old"}
	const oom = "SIGKILL"
	tests := []struct {
		name    string
		kind    incident.Kind
		failing []int
		change  func(*Input)
		want    Blame
		// against is a part of what has to speak against; confidence is not checked where it is 0.
		against    string
		confidence int32
	}{
		// The newest revision.
		{name: "all of the newest revision", kind: incident.CrashLoop, failing: all(), want: newest, confidence: 80},
		{name: "the older one is healthy beside it", kind: incident.ImagePull, failing: []int{2}, want: newest, confidence: 90, change: func(in *Input) {
			in.Workload.Replicas[0].Revision, in.Workload.Replicas[1].Revision = "old", "old"
		}},
		{name: "an older one fails too", kind: incident.CrashLoop, failing: all(), against: "older revision old shows it too", change: func(in *Input) {
			in.Workload.Replicas[0].Revision = "old"
		}},
		{name: "it began before the rollout", kind: incident.CrashLoop, failing: all(), against: "before the newest revision", change: func(in *Input) {
			in.Began = at(-10)
		}},
		{name: "the evidence tells of deaths before the rollout", kind: incident.CrashLoop, failing: all(), against: "before the newest revision", change: func(in *Input) {
			in.Evidence = []incident.Evidence{{Kind: incident.EvidenceTermination, At: at(-10)}}
		}},
		{name: "it began long after the rollout", kind: incident.CrashLoop, failing: all(), against: "after the newest revision", change: func(in *Input) {
			in.Workload.Revisions[0].CreatedAt, in.Workload.Revisions[0].HealthyAt = at(-60), at(1)
		}},
		{name: "it was healthy again since", kind: incident.CrashLoop, failing: all(), against: "after the newest revision", change: func(in *Input) {
			in.Workload.Revisions[0].CreatedAt, in.Workload.Revisions[0].HealthyAt = at(-60), at(5)
		}},
		{name: "it was healthy for a few minutes", kind: incident.OOMKilled, failing: all(), want: newest, confidence: 70, against: "healthy for a while", change: func(in *Input) {
			in.Workload.Revisions[0].HealthyAt = at(1)
		}},
		{name: "never ready since long ago", kind: incident.CrashLoop, failing: all(), want: newest, change: func(in *Input) {
			for i := range in.Workload.Replicas {
				in.Workload.Replicas[i].ReadySince = at(0)
				in.Findings[i].Since = at(100)
			}
			in.Now = at(101)
		}},
		{name: "back to an old template", kind: incident.CrashLoop, failing: all(), want: newest, change: func(in *Input) {
			in.Workload.Revisions[0].CreatedAt = at(-20000)
			in.Workload.Changes = []cluster.Change{{At: at(0), Kind: cluster.ChangeRollout, Message: "rollout to revision new"}}
		}},
		{name: "most of the newest are fine", kind: incident.OOMKilled, failing: []int{0}, against: "2 of 3 replicas of the newest revision new do not show it"},
		{name: "no older one was healthy", kind: incident.CrashLoop, failing: all(), change: func(in *Input) {
			in.Workload.Revisions[1].HealthyAt = time.Time{}
		}},
		{name: "there is no older one", kind: incident.CrashLoop, failing: all(), change: oneRevision},
		{name: "of an unknown revision", kind: incident.CrashLoop, failing: all(), against: "the revision of web-0 is not known", change: func(in *Input) {
			in.Workload.Replicas[0].Revision = ""
		}},
		{name: "evictions are no fault of it", kind: incident.Evicted, failing: all()},
		{name: "a stuck rollout names no replica", kind: incident.RolloutStuck, failing: []int{2}, want: newest, confidence: 90, change: func(in *Input) {
			in.Findings[0].Replica, in.Findings[0].ReplicaUID, in.Findings[0].Node = "", "", ""
			in.Findings[0].Since = at(10)
			in.Workload.Replicas[0].Revision, in.Workload.Replicas[1].Revision = "old", "old"
		}},

		// A node.
		{name: "two on one node", kind: incident.CrashLoop, failing: []int{0, 1}, want: Blame{Node: "n0"}, confidence: 75, change: func(in *Input) {
			oneRevision(in)
			in.Workload.Replicas[1].Node = "n0"
		}},
		{name: "the node excuses the revision", kind: incident.CrashLoop, failing: []int{0, 1}, want: Blame{Node: "n0"}, change: func(in *Input) {
			in.Workload.Replicas[1].Node = "n0"
		}},
		{name: "one on a node under pressure", kind: incident.NotReady, failing: []int{0}, want: Blame{Node: "n0"}, confidence: 75, change: func(in *Input) {
			oneRevision(in)
			in.Nodes["n0"] = cluster.Node{Name: "n0", Ready: "True", Pressures: []string{"DiskPressure"}}
		}},
		{name: "one on a node with a fresh warning", kind: incident.NotReady, failing: []int{0}, want: Blame{Node: "n0"}, change: func(in *Input) {
			oneRevision(in)
			in.Nodes["n0"] = cluster.Node{Name: "n0", Ready: "True", Events: []cluster.Event{{Type: "Warning", Reason: "SystemOOM", Last: at(1)}}}
		}},
		{name: "the warning is of yesterday", kind: incident.NotReady, failing: []int{0}, change: func(in *Input) {
			oneRevision(in)
			in.Nodes["n0"] = cluster.Node{Name: "n0", Ready: "True", Events: []cluster.Event{{Type: "Warning", Reason: "SystemOOM", Last: at(-1440)}}}
		}},
		{name: "a kind that is about the node", kind: incident.NodeCrashLoop, failing: []int{0}, want: Blame{Node: "n0"}, confidence: 60, change: oneRevision},
		{name: "one of three is on some node", kind: incident.CrashLoop, failing: []int{0}, change: oneRevision},
		{name: "another one is fine on that node", kind: incident.CrashLoop, failing: []int{0, 1}, against: "1 other replica on node n0 is fine", change: func(in *Input) {
			oneRevision(in)
			for i := range in.Workload.Replicas {
				in.Workload.Replicas[i].Node = "n0"
			}
			elsewhere := in.Workload.Replicas[2]
			elsewhere.Name, elsewhere.UID, elsewhere.Node = "web-3", "uid-3", "n1"
			in.Workload.Replicas = append(in.Workload.Replicas, elsewhere)
		}},
		{name: "the siblings elsewhere are of another revision", kind: incident.CrashLoop, failing: []int{0, 1}, want: Blame{NewRevision: true, Revision: "new", Healthy: "old"}, change: func(in *Input) {
			in.Workload.Replicas[1].Node = "n0"
			in.Workload.Replicas[2].Revision = "old"
		}},
		{name: "all on the only node", kind: incident.CrashLoop, failing: all(), change: func(in *Input) {
			oneRevision(in)
			for i := range in.Workload.Replicas {
				in.Workload.Replicas[i].Node = "n0"
			}
		}},

		// Memory.
		{name: "a leak", kind: incident.OOMKilled, failing: all(), want: Blame{Leak: true, ExitMeaning: oom}, confidence: 80, change: func(in *Input) {
			usage(in, 60, waves, func(m, _ float64) float64 { return 100 + 6*m })
		}},
		{name: "a leak although load falls", kind: incident.OOMKilled, failing: all(), want: Blame{Leak: true, ExitMeaning: oom}, change: func(in *Input) {
			usage(in, 60, func(m float64) float64 { return 900 - 10*m }, func(m, _ float64) float64 { return 100 + 6*m })
		}},
		{name: "demand", kind: incident.OOMKilled, failing: all(), want: Blame{FollowsLoad: true, ExitMeaning: oom}, confidence: 75, change: func(in *Input) {
			usage(in, 60, waves, func(_, l float64) float64 { return 100 + l/2 })
		}},
		{name: "demand on one of three", kind: incident.OOMKilled, failing: []int{0}, want: Blame{ExitMeaning: oom}, against: "2 of 2 siblings has less than half of it", change: func(in *Input) {
			usage(in, 60, waves, func(_, l float64) float64 { return 100 + l/2 })
			trend := in.Trend
			in.Trend = func(replica, container string) []metrics.TrendPoint {
				points := trend(replica, container)
				for i := range points {
					if replica != "web-0" {
						points[i].ResidentBytes /= 3
					}
				}
				return points
			}
		}},
		{name: "load grows at the same time", kind: incident.OOMKilled, failing: all(), want: Blame{ExitMeaning: oom}, against: "cannot be told apart", change: func(in *Input) {
			usage(in, 60, func(m float64) float64 { return 100 + 10*m }, func(m, _ float64) float64 { return 100 + 6*m })
		}},
		{name: "a start that needs more than there is", kind: incident.OOMKilled, failing: all(), want: Blame{ExitMeaning: oom}, change: func(in *Input) {
			usage(in, 6, steady, func(m, _ float64) float64 { return 80 * m })
		}},
		{name: "memory at rest", kind: incident.OOMKilled, failing: all(), want: Blame{ExitMeaning: oom}, change: func(in *Input) {
			usage(in, 60, waves, func(float64, float64) float64 { return 400 })
		}},
		{name: "memory that follows nothing", kind: incident.OOMKilled, failing: all(), want: Blame{ExitMeaning: oom}, against: "neither load nor time", change: func(in *Input) {
			usage(in, 60, steady, func(m, _ float64) float64 { return 300 + 200*math.Sin(m) })
		}},
		{name: "memory is not what failed", kind: incident.CrashLoop, failing: all(), want: Blame{ExitMeaning: oom}, change: func(in *Input) {
			usage(in, 60, waves, func(m, _ float64) float64 { return 100 + 6*m })
		}},
		{name: "a forecast is a leak", kind: incident.MemoryLeak, failing: []int{0}, want: Blame{Leak: true}, confidence: 90, change: oneRevision},

		// Throttling.
		{name: "all are throttled", kind: incident.CPUThrottled, failing: all(), want: Blame{FollowsLoad: true}, confidence: 80, change: func(in *Input) {
			oneRevision(in)
			throttle(in, 60, 70, 20)
		}},
		{name: "one is throttled", kind: incident.CPUThrottled, failing: []int{0}, against: "only 1 of 3 replicas are throttled", change: func(in *Input) {
			oneRevision(in)
			throttle(in, 60, 10, 20)
		}},

		// A dependency.
		{name: "a service that is down", kind: incident.CrashLoop, failing: all(), want: Blame{Dependency: "shop/db"}, confidence: 90, change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/db")
			in.Evidence = []incident.Evidence{logged("start", "dial tcp: lookup db: no such host")}
		}},
		{name: "it never had an endpoint", kind: incident.NotReady, failing: all(), want: Blame{Dependency: "pay/api"}, confidence: 85, change: func(in *Input) {
			oneRevision(in)
			in.Services = services("pay/api")
			in.Evidence = []incident.Evidence{logged(`POST "http://api.pay.svc:8080/": connection refused`)}
		}},
		{name: "the one that most lines name", kind: incident.CrashLoop, failing: all(), want: Blame{Dependency: "shop/db"}, change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/db", "shop/cache")
			in.Evidence = []incident.Evidence{logged("cannot connect to cache"), logged("cannot connect to db", "cannot connect to db:5432")}
		}},
		{name: "named by an example and by the last words", kind: incident.CrashLoop, failing: all(), want: Blame{Dependency: "shop/db", ExitMeaning: "the application's general error"}, change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/db")
			for i := range in.Findings {
				in.Findings[i].Death = &cluster.Termination{ExitCode: 1, Message: "bye\nfatal: db:5432 unreachable"}
			}
		}},
		{name: "the service is up", kind: incident.CrashLoop, failing: all(), change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/db")
			s := in.Services["shop/db"]
			s.Ready = 1
			in.Services["shop/db"] = s
			in.Evidence = []incident.Evidence{logged("cannot connect to db")}
		}},
		{name: "a service without a selector that never had endpoints", kind: incident.CrashLoop, failing: all(), change: func(in *Input) {
			oneRevision(in)
			in.Services = map[string]cluster.Service{"shop/db": {Namespace: "shop", Name: "db"}}
			in.Evidence = []incident.Evidence{logged("cannot connect to db")}
		}},
		{name: "its own service", kind: incident.CrashLoop, failing: all(), change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/web", "shop/web-internal")
			own := in.Services["shop/web-internal"]
			own.Workloads = []cluster.Ref{in.Workload.Ref}
			in.Services["shop/web-internal"] = own
			in.Evidence = []incident.Evidence{logged("cannot connect to web:80", "cannot connect to web-internal:80")}
		}},
		{name: "a part of a word", kind: incident.CrashLoop, failing: all(), change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/db")
			in.Evidence = []incident.Evidence{logged("cannot connect to mydb:5432", "cannot connect to db-main", "error in db", "db_x: error")}
		}},
		{name: "it went down later", kind: incident.CrashLoop, failing: all(), against: "went down only", change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/db")
			s := in.Services["shop/db"]
			s.DownSince = at(4)
			in.Services["shop/db"] = s
			in.Evidence = []incident.Evidence{logged("cannot connect to db")}
		}},
		{name: "a kill for memory has nothing to do with it", kind: incident.OOMKilled, failing: all(), change: func(in *Input) {
			oneRevision(in)
			down(in, "shop/db")
			in.Evidence = []incident.Evidence{logged("cannot connect to db")}
		}},
		{name: "it excuses the newest revision", kind: incident.CrashLoop, failing: all(), want: Blame{Dependency: "shop/db"}, against: "for the older revision too", change: func(in *Input) {
			down(in, "shop/db")
			in.Evidence = []incident.Evidence{logged("cannot connect to db")}
		}},
		{
			name: "the older revision lives without it", kind: incident.CrashLoop, failing: []int{2},
			want: Blame{NewRevision: true, Revision: "new", Healthy: "old", Dependency: "shop/db"}, change: func(in *Input) {
				in.Workload.Replicas[0].Revision, in.Workload.Replicas[1].Revision = "old", "old"
				in.Services = services("shop/db")
				in.Evidence = []incident.Evidence{logged("cannot connect to db")}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story(tt.kind, tt.failing, tt.change)
			got := Explain(in)
			if diff := cmp.Diff(tt.want, got.Blame); diff != "" {
				t.Errorf("blame (-want +got):\n%s\n%+v", diff, got)
			}
			if tt.confidence != 0 && got.Confidence != tt.confidence {
				t.Errorf("confidence is %d, want %d", got.Confidence, tt.confidence)
			}
			if against := strings.Join(got.Against, "; "); !strings.Contains(against, tt.against) || tt.against == "" && against != "" {
				t.Errorf("against it speaks %q, want %q", against, tt.against)
			}
			if !strings.HasPrefix(got.Sentence, "app of web-") || len(got.Sentence) > incident.MaxMessage || got.For[0] != "it fails" {
				t.Errorf("cause is %+v, want the finding's message and observations first", got)
			}
		})
	}
}

func throttle(in *Input, percents ...float64) {
	for i, percent := range percents {
		c := &in.Workload.Replicas[i].Containers[0]
		c.ThrottledPercent, c.ThrottledKnown = percent, true
	}
}

func TestSentences(t *testing.T) {
	tests := []struct {
		name string
		in   Input
		want string
	}{
		{
			"a revision", story(incident.CrashLoop, all(), func(in *Input) {
				in.Workload.Changes = []cluster.Change{{At: at(0), Kind: cluster.ChangeRollout, Message: "rollout to revision new: image web:1 -> web:2"}}
			}),
			"app of web-0 fails; only the newest revision new fails, since it was rolled out, and revision old was healthy before; " +
				"all 3 replicas show it; it began 2 min after a change: rollout to revision new: image web:1 -> web:2",
		},
		{
			"a dependency", story(incident.CrashLoop, all(), func(in *Input) {
				down(in, "shop/db")
				in.Evidence = []incident.Evidence{logged("dial tcp: lookup db: no such host")}
			}),
			"app of web-0 fails; it cannot reach the service shop/db, which has no ready endpoint for 4 min; all 3 replicas show it",
		},
		{
			"a node", story(incident.CrashLoop, []int{0, 1}, func(in *Input) { in.Workload.Replicas[1].Node = "n0" }),
			"app of web-0 fails; only on node n0, while 1 replica of the same revision is fine elsewhere; 2 of 3 replicas show it",
		},
		{
			"a leak", story(incident.OOMKilled, all(), func(in *Input) {
				usage(in, 60, waves, func(m, _ float64) float64 { return 100 + 6*m })
			}),
			"app of web-0 fails; memory grew by 6 MiB a minute whatever the load, as a leak does; all 3 replicas show it",
		},
		{
			"memory before a kill, and nothing more", story(incident.OOMKilled, []int{1}, func(in *Input) {
				oneRevision(in)
				in.Findings[0].Death = &cluster.Termination{ExitCode: 137, StartedAt: at(0), FinishedAt: at(2)}
				in.Memory = func(string, string) []metrics.Point {
					return []metrics.Point{
						{At: at(-1), MemoryBytes: 500 * mib},
						{At: at(0.5), MemoryBytes: 50 * mib},
						{At: at(1), MemoryBytes: metrics.NotKnown},
						{At: at(1.5), MemoryBytes: 500 * mib},
						{At: at(3), MemoryBytes: mib},
					}
				}
			}),
			"app of web-1 fails; memory grew from 50 MiB to 500 MiB in 60 s before; 1 of 3 replicas shows it",
		},
		{
			"the workload itself",
			Input{
				Workload: &cluster.Workload{Ref: cluster.Ref{Kind: cluster.KindJob, Namespace: "shop", Name: "nightly"}}, Now: at(5),
				Findings: []incident.Finding{{Kind: incident.JobFailed, Since: at(1), Confidence: 100, Message: "the job has failed"}},
			},
			"the job has failed",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Explain(tt.in).Sentence); diff != "" {
				t.Errorf("sentence (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplainChangesNothingAndRepeatsItself(t *testing.T) {
	in := story(incident.CrashLoop, all(), func(in *Input) {
		down(in, "shop/db", "shop/cache", "shop/queue")
		in.Evidence = []incident.Evidence{logged("cannot connect to db, cache:6379 and http://queue/")}
	})
	in.Findings[0].For = slices.Grow(in.Findings[0].For, 10) // room that must not be written to
	before := fmt.Sprintf("%+v %+v", *in.Workload, in.Findings)
	spare := in.Findings[0].For[:2]
	first := Explain(in)
	for range 20 {
		if diff := cmp.Diff(first, Explain(in)); diff != "" {
			t.Fatalf("explained again (-first +now):\n%s", diff)
		}
	}
	if after := fmt.Sprintf("%+v %+v", *in.Workload, in.Findings); after != before || spare[1] != "" {
		t.Errorf("the input is changed from\n%s to\n%s", before, after)
	}
}

func TestNothingIsExplainedByNothing(t *testing.T) {
	if got := Explain(Input{}); !cmp.Equal(got, Cause{}) {
		t.Errorf("cause of nothing is %+v", got)
	}
	if got := Explain(Input{Findings: []incident.Finding{{Message: "x"}}}); !cmp.Equal(got, Cause{}) {
		t.Errorf("cause without a workload is %+v", got)
	}
}

func TestLead(t *testing.T) {
	findings := []incident.Finding{
		{Replica: "a", Confidence: 70, Since: at(9)},
		{Replica: "b", Confidence: 90, Since: at(1)},
		{Replica: "c", Confidence: 90, Since: at(2)},
		{Replica: "d", Confidence: 90, Since: at(2)},
	}
	if got := Lead(findings); got.Replica != "c" {
		t.Errorf("the lead is of %s, want c: the surest, then the newest, then the first", got.Replica)
	}
	if Lead(nil) != nil {
		t.Error("nothing has a lead")
	}
}
