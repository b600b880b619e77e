package healing

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

func (s *story) number(v string) int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(v, "Mi"))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// onCluster runs the commands about what is around the workload; false for another command.
func (s *story) onCluster(command string, words []string, o map[string]string) bool {
	s.t.Helper()
	w := s.workload
	switch command {
	case "revision": // revision r1 healthy=1h ready=2 limit=128Mi image=web:1.3 age=24h; the newest first
		s.addRevision(words[0], o)
	case "rollout": // rollout r2: a person rolls out
		w.Changes = append(w.Changes, cluster.Change{At: s.now, Kind: cluster.ChangeRollout, Message: "rollout to revision " + words[0]})
		s.roll(words[0])
	case "rolled": // rolled ready=true
		s.rolled(o["ready"] == "true")
	case "owner": // owner ArgoCD "application shop"; owner none
		w.Owners = nil
		if words[0] != "none" {
			w.Owners = []cluster.Owner{{Kind: cluster.OwnerKind(words[0]), Name: words[1]}}
		}
	case "scaler": // scaler Autoscaler web max=5
		w.Scaler = &cluster.Scaler{Ref: cluster.Ref{Kind: words[0], Namespace: "demo", Name: words[1]}, Min: 1, Max: int32(s.number(o["max"]))}
	case "pdb": // pdb web allowed=0 healthy=2 desired=2; pdb none
		s.addPDB(words[0], o)
	case "track": // track Canary web desired=3 ready=3; track BlueGreen web-blue desired=3 ready=3
		w.Track = &cluster.Track{
			Kind: cluster.TrackKind(words[0]), Other: cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: words[1]},
			OtherDesired: int32(s.number(o["desired"])), OtherReady: int32(s.number(o["ready"])),
		}
		if w.Track.Kind == cluster.TrackBlueGreen {
			w.Track.Service, w.Track.Key, w.Track.Value, w.Track.OtherValue = "web", "track", "green", "blue"
		}
	case "found": // found "a sentence": what this and the next passes find everywhere opens the breaker; found nothing
		s.late = strings.TrimPrefix(words[0], "nothing")
	case "breaker", "cluster-budget", "lost-node", "down", "up", "dependent", "root":
		s.onClimate(command, words, o)
	case "finding": // finding MemoryLeak web-1 confidence=85 fp=x "message"; finding none
		s.addFinding(words, o)
	case "log": // log web-1 "a line"
		s.lines[words[0]] = append(s.lines[words[0]], words[1])
	case "trend": // trend web-1 load 120Mi; or leak
		s.addTrend(words[0], words[1], int64(s.number(words[2]))<<20)
	case "limit": // limit web-1 228Mi
		s.find(words[0]).Containers[0].MemoryLimit = int64(s.number(words[1])) << 20
	default:
		return false
	}
	return true
}

func (s *story) addRevision(name string, o map[string]string) {
	s.t.Helper()
	w := s.workload
	r := cluster.Revision{Name: name, Number: int64(10 - len(w.Revisions)), CreatedAt: s.now.Add(-s.duration(or(o["age"], "24h")))}
	if h := o["healthy"]; h != "" {
		r.HealthyAt = s.now.Add(-s.duration(h))
	}
	if n := o["ready"]; n != "" {
		r.Ready = int32(s.number(n))
	}
	if l := o["limit"]; l != "" {
		r.MemoryLimits = map[string]int64{"app": int64(s.number(l)) << 20}
	}
	if image := o["image"]; image != "" {
		r.Images = []string{"app=" + image}
	}
	w.Revisions = append(w.Revisions, r)
}

func (s *story) addPDB(name string, o map[string]string) {
	s.t.Helper()
	w := s.workload
	if name == "none" {
		w.Budgets = nil
		return
	}
	w.Budgets = slices.DeleteFunc(w.Budgets, func(b cluster.DisruptionBudget) bool { return b.Name == name })
	w.Budgets = append(w.Budgets, cluster.DisruptionBudget{
		Name: name, Allowed: int32(s.number(o["allowed"])), Healthy: int32(s.number(o["healthy"])), Desired: int32(s.number(o["desired"])),
	})
}

func (s *story) onClimate(command string, words []string, o map[string]string) {
	s.t.Helper()
	c := &s.climate
	switch command {
	case "breaker": // breaker "a sentence"; breaker closed
		c.Breaker = strings.TrimPrefix(words[0], "closed")
	case "cluster-budget": // cluster-budget actions=2 period=1h spent=1
		c.Budget = ClusterBudget{Actions: int32(s.number(o["actions"])), Period: s.duration(o["period"])}
		for range s.number(or(o["spent"], "0")) {
			c.Spent = append(c.Spent, s.now)
		}
	case "lost-node": // lost-node n2: the survey has an incident for it
		c.Nodes = map[string]string{words[0]: "home/" + words[0] + "-nodenotready-1"}
	case "down": // down db root=demo/db-1
		c.Down = map[string]Dependency{"demo/" + words[0]: {
			Service: cluster.Service{Namespace: "demo", Name: words[0], Selects: true, DownSince: s.now}, Root: o["root"], Since: s.now,
		}}
	case "up":
		c.Down = nil
	case "dependent": // dependent INCIDENT deployment-name
		if c.Dependents == nil {
			c.Dependents = map[string][]incident.Member{}
		}
		c.Dependents[words[0]] = append(c.Dependents[words[0]], incident.Member{
			Workload: cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: words[1]}, Incident: "demo/" + words[1] + "-1",
			Kind: incident.CrashLoop, Since: s.now,
		})
	case "root": // root INCIDENT demo/other; root none
		c.Roots = nil
		if words[0] != "none" {
			c.Roots = map[string]string{words[0]: words[1]}
		}
	}
}

func (s *story) addFinding(words []string, o map[string]string) {
	s.t.Helper()
	if words[0] == "none" {
		s.extra = nil
		return
	}
	f := incident.Finding{
		Kind: incident.Kind(words[0]), Since: s.now, Active: o["over"] != "true", Confidence: 90, Fingerprint: or(o["fp"], words[0]+words[1]),
		Message: words[len(words)-1], Container: o["container"],
	}
	if c := o["confidence"]; c != "" {
		f.Confidence = int32(s.number(c))
	}
	if r := s.find(words[1]); r != nil {
		f.Replica, f.ReplicaUID, f.Node = r.Name, r.UID, r.Node
	}
	if in := o["oom"]; in != "" {
		f.Forecast = &incident.Forecast{At: s.now, OOMAt: s.now.Add(s.duration(in)), Limit: 128 << 20, Memory: 100 << 20}
	}
	s.extra = slices.DeleteFunc(s.extra, func(x incident.Finding) bool { return x.Fingerprint == f.Fingerprint })
	s.extra = append(s.extra, f)
}

// addTrend gives a replica an hour of memory that follows its load, or grows whatever the load.
func (s *story) addTrend(replica, shape string, highest int64) {
	const steps = 120
	for i := range steps {
		load := 100 + 400*float64((i*7)%steps)/steps
		memory := 0.4*float64(highest) + 0.6*float64(highest)*load/500
		if shape == "leak" {
			memory = float64(highest) * (0.3 + 0.7*float64(i)/steps)
		}
		key := replica + "/app"
		s.trend[key] = append(s.trend[key], metrics.TrendPoint{
			At: s.now.Add(time.Duration(i-steps) * 30 * time.Second), ResidentBytes: int64(memory), MemoryBytes: int64(memory), CPUMilli: int64(load),
		})
	}
}
