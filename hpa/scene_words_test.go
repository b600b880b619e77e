package hpa_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

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
		return err.Error(), nil //nolint:nilerr // what the policy is refused for is the result
	}
	return "", nil
}

// addMetric reads a target: percent of the requests or an amount.
func addMetric(p *hpa.Policy, a scriptArg) error {
	m := hpa.Metric{Source: hpa.OfResource(hpa.Resource(a.key)), Type: hpa.AverageValue}
	var err error
	if percent, ok := strings.CutSuffix(a.value, "%"); ok {
		m.Type = hpa.Utilization
		m.Target, err = strconv.ParseInt(percent, 10, 64)
	} else {
		m.Target, err = quantity(a.value)
	}
	for i := range p.Metrics {
		if p.Metrics[i].Source.Resource == m.Source.Resource {
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
