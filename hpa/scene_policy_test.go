package hpa_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

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
		case "cpu", "memory", "disk", "container-cpu", "container-memory", "pods", "object", "external", "prometheus":
			err = addMetric(p, a)
		case "metrics":
			p.Metrics = nil
		case "fallback":
			err = setFallback(p, a.value)
		case "tolerance":
			p.Tolerance, err = strconv.ParseFloat(a.value, 64)
		case "stabilization":
			p.DownscaleStabilization, err = time.ParseDuration(a.value)
		case "cpu-init":
			p.CPUInitializationPeriod, err = time.ParseDuration(a.value)
		case "readiness-delay":
			p.InitialReadinessDelay, err = time.ParseDuration(a.value)
		case "pause":
			p.Pause = hpa.Pause{ScaleUp: strings.Contains(a.value, "up"), ScaleDown: strings.Contains(a.value, "down")}
		case "behavior":
			p.Behavior = map[string]*hpa.Behavior{"default": {}}[a.value]
		default:
			var known bool
			if known, err = setHealth(&p.Health, a); !known {
				err = setRules(p, a)
			}
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

// setHealth switches the rules, all with health=off.
func setHealth(h *hpa.HealthPolicy, a scriptArg) (known bool, err error) {
	switches := map[string]*bool{
		"hold": &h.HoldOnIncident, "crashloop": &h.CrashLoopIsNoCapacity, "oom": &h.OOMKilledIsNoCapacity,
		"failing": &h.FailingIsNoCapacity, "never-ready": &h.NeverReadyIsNoCapacity, "partial": &h.PartialIsMissing,
		"rollout-hold": &h.HoldOnFailingRollout, "shortage-hold": &h.HoldOnShortage,
	}
	spans := map[string]*time.Duration{"oom-window": &h.OOMWindow, "settle": &h.MemorySettle}
	switch {
	case a.key == "health":
		*h = map[string]hpa.HealthPolicy{"on": hpa.DefaultHealth()}[a.value]
	case switches[a.key] != nil:
		*switches[a.key] = a.value == "yes"
	case spans[a.key] != nil:
		*spans[a.key], err = time.ParseDuration(a.value)
	default:
		return false, nil
	}
	return true, err
}

// sceneSource reads the name of a source: its type and the part that tells it from others of the type.
func sceneSource(kind, name string) hpa.Source {
	s := hpa.Source{Type: map[string]hpa.SourceType{
		"pods": hpa.FromPods, "object": hpa.FromObject, "external": hpa.FromExternal, "prometheus": hpa.FromPrometheus,
	}[kind], Name: name}
	switch kind {
	case "container-cpu", "container-memory":
		return hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.Resource(strings.TrimPrefix(kind, "container-")), Container: name}
	case "object":
		s.Object = "v1/Service/web"
	case "cpu", "memory", "disk":
		return hpa.OfResource(hpa.Resource(kind))
	}
	return s
}

// addMetric reads a target: percent of the requests or an amount, after the name where the source has one, as in
// container-cpu=app:50%, external=queue:100 and external=queue:40/replica.
func addMetric(p *hpa.Policy, a scriptArg) error {
	m, target := hpa.Metric{Type: hpa.AverageValue}, a.value
	if at := strings.LastIndexByte(target, ':'); at >= 0 {
		m.Source, target = sceneSource(a.key, target[:at]), target[at+1:]
	} else {
		m.Source = sceneSource(a.key, "")
	}
	var err error
	target, perReplica := strings.CutSuffix(target, "/replica")
	if percent, ok := strings.CutSuffix(target, "%"); ok {
		m.Type = hpa.Utilization
		m.Target, err = strconv.ParseInt(percent, 10, 64)
	} else {
		m.Target, err = sceneAmount(m.Source, target)
	}
	switch a.key {
	case "object", "external", "prometheus":
		if !perReplica && m.Type != hpa.Utilization {
			m.Type = hpa.Value
		}
	}
	for i := range p.Metrics {
		if p.Metrics[i].Source == m.Source {
			p.Metrics[i] = m
			return err
		}
	}
	p.Metrics = append(p.Metrics, m)
	return err
}

// sceneAmount reads an amount of the source: thousandths where it is no resource.
func sceneAmount(s hpa.Source, text string) (int64, error) {
	if s.Resource != "" {
		return quantity(text)
	}
	f, err := strconv.ParseFloat(text, 64)
	return whole(f * 1000), err
}

// setFallback reads the fallback of a metric, as in queue:Hold, queue:LastGood/5m and cpu:Replicas/3.
func setFallback(p *hpa.Policy, text string) error {
	name, kind, _ := strings.Cut(text, ":")
	kind, value, _ := strings.Cut(kind, "/")
	f := &hpa.Fallback{Type: hpa.FallbackType(kind)}
	var err error
	if n, parseErr := strconv.ParseInt(value, 10, 32); parseErr == nil {
		f.Replicas = int32(n)
	} else if value != "" {
		f.For, err = time.ParseDuration(value)
	}
	for i := range p.Metrics {
		if p.Metrics[i].Source.String() == name {
			p.Metrics[i].Fallback = f
			return err
		}
	}
	return fmt.Errorf("no metric %q", name)
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
