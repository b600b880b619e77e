package hpa_test

import (
	"fmt"
	"math"
	"slices"
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
	case "never-ready":
		r.NeverReady = a.value == "yes"
		return nil
	case "failing":
		r.Failing = strings.TrimPrefix(a.value, "none")
		return nil
	case "partial":
		r.CPU.Partial, r.Memory.Partial = strings.TrimPrefix(a.value, "none"), strings.TrimPrefix(a.value, "none")
		return nil
	case "pressure":
		f, err := strconv.ParseFloat(a.value, 64)
		r.CPUPressure = f
		return err
	case "from":
		r.CPU.From, r.Memory.From = a.value, a.value
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
	case "oom":
		r.OOMKilledAt, r.RestartedAt = s.now.Add(-d), s.now.Add(-d)
	case "restarted":
		r.RestartedAt = s.now.Add(-d)
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
	return whole(f * factor), err
}

// whole rounds, and stops at the end of int64.
func whole(f float64) int64 {
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(math.Round(f))
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

// sceneReading is a reading with the values of replicas under their names, so that replicas can come and go.
type sceneReading struct {
	hpa.Reading
	of map[string]hpa.Usage
}

// read sets what a source delivers: one value, a value for each replica, or the reason why there is none.
func (s *scene) read(args []scriptArg) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("a source is wanted")
	}
	source := sceneSource(args[0].key, args[0].value)
	at := slices.IndexFunc(s.readings, func(r sceneReading) bool { return r.Source == source })
	if at < 0 {
		s.readings = append(s.readings, sceneReading{Reading: hpa.Reading{Source: source}, of: map[string]hpa.Usage{}})
		at = len(s.readings) - 1
	}
	r := &s.readings[at]
	r.Known, r.Why = true, ""
	for _, a := range args[1:] {
		n, err := sceneAmount(source, a.value)
		switch {
		case a.key == "from":
			r.From = a.value
		case a.key != "":
			if err := readReplicas(r, a); err != nil {
				return "", err
			}
		case a.value == "none":
			s.readings = slices.Delete(s.readings, at, at+1)
			return "", nil
		case err != nil:
			r.Known, r.Why = false, a.value
		default:
			r.Value = n
		}
	}
	return "", nil
}

// readReplicas reads web-1..2=12 and web-3=Missing, or usage/request where the source is a container.
func readReplicas(r *sceneReading, a scriptArg) error {
	all, err := names([]scriptArg{{value: a.key}})
	if err != nil {
		return err
	}
	var u hpa.Usage
	if r.Source.Resource != "" {
		if err := setUsage(&u, a.value); err != nil {
			return err
		}
		if u.RequestMissing != "" {
			u.RequestMissing = r.Source.Container
		}
	} else if u.Value, err = sceneAmount(r.Source, a.value); err != nil {
		u.Why = a.value
	} else {
		u.Known = true
	}
	for _, name := range all {
		r.of[name] = u
	}
	return nil
}

// gather puts the readings into the observation, in the order of the replicas.
func (s *scene) gather() {
	s.obs.Readings = nil
	for _, r := range s.readings {
		reading := r.Reading
		reading.At, reading.Replicas = s.now, nil
		for i := range s.obs.Replicas {
			if r.Source.Type == hpa.FromPods || r.Source.Type == hpa.FromContainerResource {
				u := r.of[s.obs.Replicas[i].Name]
				u.At = s.now
				reading.Replicas = append(reading.Replicas, u)
			}
		}
		s.obs.Readings = append(s.obs.Readings, reading)
	}
	s.obs.StatusReplicas = int32(len(s.obs.Replicas))
	if s.existing >= 0 {
		s.obs.StatusReplicas = s.existing
	}
}

// fault reads a reason and a text; none takes it back.
func fault(to **hpa.Fault, args []scriptArg) error {
	*to = nil
	if one(args) == "none" {
		return nil
	}
	if len(args) != 2 {
		return fmt.Errorf("a reason and a text are wanted")
	}
	*to = &hpa.Fault{Reason: args[0].value, Message: args[1].value}
	return nil
}

func (s *scene) setFloor(args []scriptArg) (string, error) {
	s.obs.Floor = nil
	if one(args) == "none" {
		return "", nil
	}
	n, err := strconv.ParseInt(one(args), 10, 32)
	s.obs.Floor = &hpa.Floor{Replicas: int32(n), By: args[len(args)-1].value}
	return "", err
}

func (s *scene) setRollout(args []scriptArg) (string, error) {
	s.obs.Rollout = nil
	if one(args) == "none" {
		return "", nil
	}
	s.obs.Rollout = &hpa.Rollout{Revision: one(args)}
	for _, a := range args {
		if a.key == "failing" {
			s.obs.Rollout.Failing = a.value
		}
	}
	return "", nil
}
