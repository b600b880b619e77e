package hpa_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// scene is what the commands of a transcript work on: one target, its replicas and the time.
type scene struct {
	policy  hpa.Policy
	obs     hpa.Observation
	history hpa.History
	now     time.Time
	aged    map[string]bool // replicas whose samples keep the time that was given
	load    *sceneLoad

	readings []sceneReading
	existing int32 // replicas that exist; -1: all that are there
}

// sceneLoad is a load that is always spread evenly over as many ready replicas as are asked for.
type sceneLoad struct{ usage, request int64 }

// sceneCommand is one command of the language, with an example that runs in a new scene.
type sceneCommand struct {
	name    string
	example string
	run     func(s *scene, args []scriptArg) (string, error)
}

// sceneCommands is the language.
func sceneCommands() []sceneCommand {
	return []sceneCommand{
		// A new scene with a policy that has min=1 max=10 and no metric. It is 12:00:00.
		{"case", `case "a story begins"`, func(s *scene, _ []scriptArg) (string, error) { *s = newScene(); return "", nil }},
		// Change the policy; faults are shown. up and down are rate limits, up-window and down-window the stabilization; the
		// rules of health are hold, crashloop, oom, failing, never-ready, partial, settle, rollout-hold and shortage-hold.
		{"policy", "policy health=off crashloop=yes settle=1m pause=up container-cpu=app:50% pods=hits:10 external=queue:40/replica fallback=queue:LastGood/5m min=2 max=4 cpu=40% memory=200Mi up=4/15s,100%/15s down-select=Min down-window=1m up-tolerance=0.2", (*scene).setPolicy},
		// Add or change replicas. A new one is ready since an hour and has no sample. usage/request; a word for usage says why there is no sample.
		{"replica", "replica web-1..3 web-9 cpu=80m/200m memory=Stale/64Mi age=1m ready=30s sample=10s window=30s crashloop=no oom=1m pressure=12 never-ready=no partial=sidecar", (*scene).setReplicas},
		// A source delivers a value, a value for each replica (usage/request of a container), or the reason why it does not.
		{"reading", "reading pods=hits web-1..3=12.5 web-9=Missing from=custom.metrics.k8s.io", (*scene).read},
		// Take replicas away.
		{"remove", "remove web-1..3", (*scene).removeReplicas},
		// Let a load spread evenly over as many ready replicas as there should be, always.
		{"load", "load cpu=640m request=200m", (*scene).setLoad},
		// Somebody else sets the number of replicas.
		{"current", "current 3", func(s *scene, args []scriptArg) (string, error) {
			n, err := strconv.ParseInt(one(args), 10, 32)
			s.obs.Current, s.obs.ScaledToZero = int32(n), false
			return "", err
		}},
		// So many replicas exist, whatever the observation knows of them; all: as many as it knows.
		{"existing", "existing 3", func(s *scene, args []scriptArg) (string, error) {
			n, err := strconv.ParseInt(one(args), 10, 32)
			if s.existing = int32(n); one(args) == "all" {
				s.existing, err = -1, nil
			}
			return "", err
		}},
		// A schedule raises the minimum, or no longer with none.
		{"floor", `floor 5 "schedule office-hours"`, (*scene).setFloor},
		// A rollout is under way, perhaps failing, or no longer with none.
		{"rollout", `rollout 7 failing="image pull back-off"`, (*scene).setRollout},
		// Replicas cannot be placed, or can again with none.
		{"shortage", `shortage Unschedulable "no node has room for web-3"`, func(s *scene, args []scriptArg) (string, error) { return "", fault(&s.obs.Shortage, args) }},
		// The target's replicas cannot be told, or can again with none.
		{"selector", `selector AmbiguousSelector "web-2 scales it too"`, func(s *scene, args []scriptArg) (string, error) { return "", fault(&s.obs.Selector, args) }},
		// An incident opens, or closes with none.
		{"incident", `incident "web: crash loop"`, func(s *scene, args []scriptArg) (string, error) { return "", text(&s.obs.Incident, args) }},
		// Nothing can be said about usage any more, or again with none.
		{"unavailable", `unavailable "no node answers"`, func(s *scene, args []scriptArg) (string, error) { return "", text(&s.obs.Unavailable, args) }},
		// The target was first seen so long ago, with the number of replicas that it has now.
		{"seen", "seen 1h", func(s *scene, args []scriptArg) (string, error) {
			d, err := time.ParseDuration(one(args))
			s.history.Recommendations = []hpa.Recommended{{At: s.now.Add(-d), Replicas: s.obs.Current}}
			return "", err
		}},
		// Time passes.
		{"wait", "wait 15s", func(s *scene, args []scriptArg) (string, error) {
			d, err := time.ParseDuration(one(args))
			s.now = s.now.Add(d)
			return "", err
		}},
		// Decide and show everything; nothing is carried out.
		{"decide", "decide", func(s *scene, _ []scriptArg) (string, error) { return describe(s.decide()), nil }},
		// Decide, carry out, show one line.
		{"sync", "sync", func(s *scene, _ []scriptArg) (string, error) { return s.sync().line, nil }},
		// Sync again and again, show a line where the number or the reason changes.
		{"run", "run 5m every=15s", (*scene).runFor},
		// Show what is remembered.
		{"history", "history", func(s *scene, _ []scriptArg) (string, error) { return s.showHistory(), nil }},
		// Forget everything, as a restart without the state does; or keep it=yes through JSON, as one with the state does.
		{"restart", "restart keep=yes", (*scene).restart},
	}
}

func newScene() scene {
	s := scene{policy: hpa.DefaultPolicy(), now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), aged: map[string]bool{}, existing: -1}
	s.policy.Max, s.policy.Metrics = 10, nil
	return s
}

func one(args []scriptArg) string {
	if len(args) == 0 {
		return ""
	}
	return args[0].value
}

// decide makes one decision; samples whose age was not given are of now.
func (s *scene) decide() (hpa.Recommendation, hpa.History) {
	if s.load != nil {
		s.obs.Replicas = nil
		for i := range s.obs.Current {
			r := readyReplica(fmt.Sprintf("web-%d", i+1), s.now)
			r.CPU = hpa.Usage{Known: true, Value: s.load.usage / int64(s.obs.Current), Request: s.load.request}
			s.obs.Replicas = append(s.obs.Replicas, r)
		}
	}
	for i := range s.obs.Replicas {
		if r := &s.obs.Replicas[i]; !s.aged[r.Name] {
			r.CPU.At, r.Memory.At = s.now, s.now
		}
	}
	s.gather()
	return hpa.Decide(s.policy, s.obs, s.history, s.now)
}

type synced struct{ line, settled string }

func (s *scene) sync() synced {
	rec, history := s.decide()
	s.history, s.obs.Current = history.Applied(rec, s.now), rec.Desired
	for _, c := range rec.Conditions {
		if c.Type == hpa.ScaledToZero {
			s.obs.ScaledToZero = c.Status
		}
	}
	change := fmt.Sprintf("%d -> %d", rec.Current, rec.Desired)
	if !rec.Change() {
		change = fmt.Sprintf("stays %d", rec.Current)
	}
	settled := fmt.Sprintf("%d %s", rec.Desired, rec.Reason)
	return synced{fmt.Sprintf("%s %s %s: %s", s.now.Format(time.TimeOnly), change, rec.Reason, rec.Message), settled}
}

func (s *scene) runFor(args []scriptArg) (string, error) {
	var every, total time.Duration
	for _, a := range args {
		d, err := time.ParseDuration(a.value)
		if err != nil {
			return "", err
		}
		if a.key == "every" {
			every = d
		} else {
			total = d
		}
	}
	if every <= 0 || total/every > 10_000 {
		return "", fmt.Errorf("every=%s is too short for %s", every, total)
	}
	var out []string
	before := ""
	for end := s.now.Add(total); s.now.Before(end); {
		s.now = s.now.Add(every)
		if one := s.sync(); one.settled != before {
			before = one.settled
			out = append(out, one.line)
		}
	}
	return strings.Join(out, "\n"), nil
}

func (s *scene) restart(args []scriptArg) (string, error) {
	if len(args) == 0 || args[0].value != "yes" {
		s.history = hpa.History{}
		return "", nil
	}
	text, err := json.Marshal(s.history)
	if err != nil {
		return "", err
	}
	s.history = hpa.History{}
	return "", json.Unmarshal(text, &s.history)
}

func (s *scene) showHistory() string {
	var b strings.Builder
	for _, r := range s.history.Recommendations {
		fmt.Fprintf(&b, "recommended %d at %s\n", r.Replicas, r.At.Format(time.TimeOnly))
	}
	showChanges(&b, "up", s.history.Ups)
	showChanges(&b, "down", s.history.Downs)
	for _, g := range s.history.LastGood {
		fmt.Fprintf(&b, "%s last asked for %d at %s\n", g.Source, g.Replicas, g.At.Format(time.TimeOnly))
	}
	return strings.TrimRight(b.String(), "\n")
}

func showChanges(b *strings.Builder, way string, changes []hpa.Change) {
	for _, c := range changes {
		fmt.Fprintf(b, "%s by %d at %s", way, c.Replicas, c.At.Format(time.TimeOnly))
		if c.Outdated {
			b.WriteString(", outdated")
		}
		b.WriteString("\n")
	}
}

// describe shows everything that a recommendation says.
func describe(rec hpa.Recommendation, _ hpa.History) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s current %d, proposed %d, desired %d: %s\n", rec.At.Format(time.TimeOnly), rec.Current, rec.Proposed, rec.Desired, rec.Reason)
	fmt.Fprintf(&b, "  %s\n", rec.Message)
	for _, m := range rec.Metrics {
		fmt.Fprintf(&b, "metric %s %s %d", m.Metric.Source, m.Metric.Type, m.Metric.Target)
		if m.Err != "" {
			fmt.Fprintf(&b, " failed, %s: %s\n", m.ErrReason, m.Err)
			if m.Fallback != "" {
				fmt.Fprintf(&b, "  fallback %s -> %d\n", m.Fallback, m.Replicas)
			}
		} else {
			fmt.Fprintf(&b, " -> %d\n  ratio %.6g", m.Replicas, m.Ratio)
			if m.AdjustedRatio != 0 {
				fmt.Fprintf(&b, ", adjusted %.6g", m.AdjustedRatio)
			}
			fmt.Fprintf(&b, ", value %d, utilization %d, tolerated %t, oldest %s", m.Value, m.Utilization, m.WithinTolerance, m.Oldest.Format(time.TimeOnly))
			if m.From != "" {
				b.WriteString(", from " + m.From)
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "  ready %d", m.Ready)
		if len(m.ReadyFirst) > 0 {
			fmt.Fprintf(&b, " [%s]", strings.Join(m.ReadyFirst, "; "))
		}
		for _, n := range []struct {
			what string
			hpa.Names
		}{{"not ready", m.Unready}, {"missing", m.Missing}, {"ignored", m.Ignored}} {
			if n.Count > 0 {
				fmt.Fprintf(&b, "; %s %d (%s)", n.what, n.Count, strings.Join(n.First, ", "))
			}
		}
		b.WriteString("\n")
	}
	for _, s := range rec.Steps {
		by := ""
		if s.Cause != "" {
			by = " by " + s.Cause
		}
		fmt.Fprintf(&b, "step %s %d -> %d %s%s: %s\n", s.Name, s.Before, s.After, s.Reason, by, s.Message)
	}
	for _, c := range rec.Conditions {
		fmt.Fprintf(&b, "condition %s=%t %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	if rec.RatePeriod > 0 {
		fmt.Fprintf(&b, "counts for the rate limits for %s\n", rec.RatePeriod)
	}
	return strings.TrimRight(b.String(), "\n")
}
