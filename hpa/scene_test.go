package hpa_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// scene is what the commands of a transcript work on: one target, its replicas and the time.
type scene struct {
	policy  hpa.Policy
	obs     hpa.Observation
	history hpa.History
	now     time.Time
	aged    map[string]bool // replicas whose samples keep the time that was given
	load    *sceneLoad
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
		// Change the policy; faults are shown. up and down are rate limits, up-window and down-window the stabilization.
		{"policy", "policy min=2 max=4 cpu=40% memory=200Mi up=4/15s,100%/15s down-select=Min down-window=1m up-tolerance=0.2", (*scene).setPolicy},
		// Add or change replicas. A new one is ready since an hour and has no sample. usage/request; a word for usage says why there is no sample.
		{"replica", "replica web-1..3 web-9 cpu=80m/200m memory=Stale/64Mi age=1m ready=30s sample=10s window=30s crashloop=no", (*scene).setReplicas},
		// Take replicas away.
		{"remove", "remove web-1..3", (*scene).removeReplicas},
		// Let a load spread evenly over as many ready replicas as there should be, always.
		{"load", "load cpu=640m request=200m", (*scene).setLoad},
		// Somebody else sets the number of replicas.
		{"current", "current 3", func(s *scene, args []scriptArg) (string, error) {
			n, err := strconv.ParseInt(one(args), 10, 32)
			s.obs.Current = int32(n)
			return "", err
		}},
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
	s := scene{policy: hpa.DefaultPolicy(), now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), aged: map[string]bool{}}
	s.policy.Max, s.policy.Metrics = 10, nil
	return s
}

func one(args []scriptArg) string {
	if len(args) == 0 {
		return ""
	}
	return args[0].value
}

func text(to *string, args []scriptArg) error {
	if len(args) != 1 {
		return fmt.Errorf("one text is wanted, not %d", len(args))
	}
	*to = strings.TrimPrefix(args[0].value, "none")
	return nil
}

func (s *scene) setPolicy(args []scriptArg) (string, error) {
	p := &s.policy
	for _, a := range args {
		var err error
		switch a.key {
		case "min", "max":
			var n int64
			n, err = strconv.ParseInt(a.value, 10, 32)
			if a.key == "min" {
				p.Min = int32(n)
			} else {
				p.Max = int32(n)
			}
		case "cpu", "memory", "disk":
			err = addMetric(p, a)
		case "tolerance":
			p.Tolerance, err = strconv.ParseFloat(a.value, 64)
		case "stabilization":
			p.DownscaleStabilization, err = time.ParseDuration(a.value)
		case "cpu-init":
			p.CPUInitializationPeriod, err = time.ParseDuration(a.value)
		case "readiness-delay":
			p.InitialReadinessDelay, err = time.ParseDuration(a.value)
		case "hold":
			p.Health.HoldOnIncident = a.value == "yes"
		case "crashloop":
			p.Health.CrashLoopIsNoCapacity = a.value == "yes"
		case "behavior":
			p.Behavior = map[string]*hpa.Behavior{"default": {}}[a.value]
		default:
			err = setRules(p, a)
		}
		if err != nil {
			return "", fmt.Errorf("%s=%s: %w", a.key, a.value, err)
		}
	}
	if err := p.Validate(); err != nil {
		return err.Error(), nil
	}
	return "", nil
}

// addMetric reads a target: percent of the requests or an amount.
func addMetric(p *hpa.Policy, a scriptArg) error {
	m := hpa.Metric{Resource: hpa.Resource(a.key), Type: hpa.AverageValue}
	var err error
	if percent, ok := strings.CutSuffix(a.value, "%"); ok {
		m.Type = hpa.Utilization
		m.Target, err = strconv.ParseInt(percent, 10, 64)
	} else {
		m.Target, err = quantity(a.value)
	}
	for i := range p.Metrics {
		if p.Metrics[i].Resource == m.Resource {
			p.Metrics[i] = m
			return err
		}
	}
	p.Metrics = append(p.Metrics, m)
	return err
}

func setRules(p *hpa.Policy, a scriptArg) error {
	way, what, _ := strings.Cut(a.key, "-")
	if way != "up" && way != "down" {
		return fmt.Errorf("unknown key")
	}
	if p.Behavior == nil {
		p.Behavior = &hpa.Behavior{}
	}
	rules := &p.Behavior.ScaleDown
	if way == "up" {
		rules = &p.Behavior.ScaleUp
	}
	if *rules == nil {
		*rules = &hpa.Rules{}
	}
	switch r := *rules; what {
	case "":
		return setLimits(r, a.value)
	case "window":
		d, err := time.ParseDuration(a.value)
		r.StabilizationWindow = &d
		return err
	case "select":
		r.Select = hpa.Select(a.value)
		return nil
	case "tolerance":
		f, err := strconv.ParseFloat(a.value, 64)
		r.Tolerance = &f
		return err
	}
	return fmt.Errorf("unknown key")
}

// setLimits reads rate limits such as 4/15s,100%/1m.
func setLimits(r *hpa.Rules, list string) error {
	r.Limits = nil
	for item := range strings.SplitSeq(list, ",") {
		value, period, _ := strings.Cut(item, "/")
		l := hpa.RateLimit{Type: hpa.LimitReplicas}
		if percent, ok := strings.CutSuffix(value, "%"); ok {
			l.Type, value = hpa.LimitPercent, percent
		}
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return err
		}
		l.Value = int32(n)
		if l.Period, err = time.ParseDuration(period); err != nil {
			return err
		}
		r.Limits = append(r.Limits, l)
	}
	return nil
}

// names reads the words that are no key=value: names, and ranges such as web-1..3.
func names(args []scriptArg) ([]string, error) {
	var all []string
	for _, a := range args {
		if a.key != "" {
			continue
		}
		first, last, isRange := strings.Cut(a.value, "..")
		if !isRange {
			all = append(all, a.value)
			continue
		}
		cut := strings.LastIndexByte(first, '-') + 1
		from, err := strconv.Atoi(first[cut:])
		if err != nil {
			return nil, err
		}
		to, err := strconv.Atoi(last)
		if err != nil || to > from+1000 {
			return nil, fmt.Errorf("%s: not a range", a.value)
		}
		for i := from; i <= to; i++ {
			all = append(all, first[:cut]+strconv.Itoa(i))
		}
	}
	return all, nil
}

func (s *scene) replica(name string) *hpa.Replica {
	for i := range s.obs.Replicas {
		if s.obs.Replicas[i].Name == name {
			return &s.obs.Replicas[i]
		}
	}
	s.obs.Replicas = append(s.obs.Replicas, readyReplica(name, s.now))
	return &s.obs.Replicas[len(s.obs.Replicas)-1]
}

// readyReplica is ready since almost an hour and has no sample.
func readyReplica(name string, now time.Time) hpa.Replica {
	started := now.Add(-time.Hour)
	return hpa.Replica{
		Name: name, Phase: cluster.PhaseRunning, StartedAt: started,
		Ready: true, ReadyKnown: true, ReadySince: started.Add(10 * time.Second),
	}
}

func (s *scene) setReplicas(args []scriptArg) (string, error) {
	all, err := names(args)
	if err != nil {
		return "", err
	}
	for _, name := range all {
		r := s.replica(name)
		for _, a := range args {
			if a.key == "" {
				continue
			}
			if err := s.setReplica(r, a); err != nil {
				return "", fmt.Errorf("%s=%s: %w", a.key, a.value, err)
			}
		}
	}
	return "", nil
}

func (s *scene) setReplica(r *hpa.Replica, a scriptArg) error {
	switch a.key {
	case "phase":
		r.Phase = cluster.Phase(a.value)
		return nil
	case "crashloop":
		r.CrashLooping = a.value == "yes"
		return nil
	case "deleting":
		r.Deleting = a.value == "yes"
		return nil
	case "cpu":
		return setUsage(&r.CPU, a.value)
	case "memory":
		return setUsage(&r.Memory, a.value)
	}
	if a.value == "unknown" || a.value == "none" {
		switch a.key {
		case "age":
			r.StartedAt = time.Time{}
			return nil
		case "ready":
			r.Ready, r.ReadyKnown, r.ReadyUnknown = false, a.value == "unknown", a.value == "unknown"
			return nil
		}
	}
	d, err := time.ParseDuration(a.value)
	switch a.key {
	case "age":
		r.StartedAt = s.now.Add(-d)
	case "ready", "unready":
		r.Ready, r.ReadyKnown, r.ReadyUnknown, r.ReadySince = a.key == "ready", true, false, s.now.Add(-d)
	case "sample":
		s.aged[r.Name], r.CPU.At, r.Memory.At = true, s.now.Add(-d), s.now.Add(-d)
	case "window":
		r.CPU.Window, r.Memory.Window = d, d
	default:
		return fmt.Errorf("unknown key")
	}
	return err
}

// setUsage reads usage/request, as in 80m/200m, Stale/200m and 80m/none.
func setUsage(u *hpa.Usage, value string) error {
	used, request, _ := strings.Cut(value, "/")
	n, err := quantity(used)
	u.Known, u.Why, u.Value = err == nil, "", n
	if err != nil {
		u.Why = used
	}
	u.Request, u.RequestMissing = 0, ""
	if request == "none" {
		u.RequestMissing = "app"
		return nil
	}
	u.Request, err = quantity(request)
	return err
}

// quantity reads 80m (thousandths) and 80Ki, 80Mi, 80Gi (bytes), and a bare number as it is.
func quantity(s string) (int64, error) {
	factor := 1.0
	for suffix, f := range map[string]float64{"m": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30} {
		if cut, ok := strings.CutSuffix(s, suffix); ok {
			s, factor = cut, f
			break
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return int64(math.Round(f * factor)), err
}

func (s *scene) removeReplicas(args []scriptArg) (string, error) {
	all, err := names(args)
	gone := map[string]bool{}
	for _, name := range all {
		gone[name] = true
	}
	var left []hpa.Replica
	for _, r := range s.obs.Replicas {
		if !gone[r.Name] {
			left = append(left, r)
		}
	}
	s.obs.Replicas = left
	return "", err
}

func (s *scene) setLoad(args []scriptArg) (string, error) {
	s.load = nil
	if one(args) == "none" {
		return "", nil
	}
	s.load = &sceneLoad{}
	for _, a := range args {
		n, err := quantity(a.value)
		if err != nil {
			return "", err
		}
		if a.key == "request" {
			s.load.request = n
		} else {
			s.load.usage = n
		}
	}
	return "", nil
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
	return hpa.Decide(s.policy, s.obs, s.history, s.now)
}

type synced struct{ line, settled string }

func (s *scene) sync() synced {
	rec, history := s.decide()
	s.history, s.obs.Current = history.Applied(rec, s.now), rec.Desired
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
		fmt.Fprintf(&b, "metric %s %s %d", m.Metric.Resource, m.Metric.Type, m.Metric.Target)
		if m.Err != "" {
			fmt.Fprintf(&b, " failed, %s: %s\n", m.ErrReason, m.Err)
		} else {
			fmt.Fprintf(&b, " -> %d\n  ratio %.6g", m.Replicas, m.Ratio)
			if m.AdjustedRatio != 0 {
				fmt.Fprintf(&b, ", adjusted %.6g", m.AdjustedRatio)
			}
			fmt.Fprintf(&b, ", value %d, utilization %d, tolerated %t, oldest %s\n", m.Value, m.Utilization, m.WithinTolerance, m.Oldest.Format(time.TimeOnly))
		}
		fmt.Fprintf(&b, "  ready %d", m.Ready)
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
		fmt.Fprintf(&b, "step %s %d -> %d %s: %s\n", s.Name, s.Before, s.After, s.Reason, s.Message)
	}
	for _, c := range rec.Conditions {
		fmt.Fprintf(&b, "condition %s=%t %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	if rec.RatePeriod > 0 {
		fmt.Fprintf(&b, "counts for the rate limits for %s\n", rec.RatePeriod)
	}
	return strings.TrimRight(b.String(), "\n")
}
