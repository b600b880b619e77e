package telemetry

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

// autoscalers exposes the last decision about each autoscaler. Its series are made anew for every scrape, so ages are those of the scrape,
// there is one reason at a time, and what has no number any more has no series. Safe for concurrent use.
type autoscalers struct {
	now func() time.Time

	mu  sync.Mutex
	all map[cluster.Ref]*seen

	replicas                                           []replicas
	reason, decisionAge, metricAge, fallbacks, failing series
}

var _ prometheus.Collector = (*autoscalers)(nil)

// replicas is one gauge of a number of replicas.
type replicas struct {
	series series
	of     func(s *seen) int32
}

// seen is what is remembered of one autoscaler.
type seen struct {
	// reason of the last pass, whether or not it decided a number.
	reason hpa.Reason
	// at is when a number was last decided; zero: never.
	at time.Time
	// decided is false while the last pass came to no number; what follows is then of no use.
	decided                             bool
	min, max                            int32
	current, proposed, limited, desired int32
	oldest                              time.Time // of the samples; zero: no sample was used
	fallbacks, failing                  int
	// passed is true once the autoscaler was in the present pass; touched is when it was last in any, and period its own.
	passed  bool
	touched time.Time
	period  time.Duration
	lines   line // of the journal
}

func newAutoscalers(i *instruments, now func() time.Time) *autoscalers {
	gauge := func(name string) series { return i.momentary("homeostat_autoscaler_"+name, Gauge) }
	a := &autoscalers{
		now: now, all: map[cluster.Ref]*seen{},
		replicas: []replicas{
			{gauge("min_replicas"), func(s *seen) int32 { return s.min }},
			{gauge("max_replicas"), func(s *seen) int32 { return s.max }},
			{gauge("current_replicas"), func(s *seen) int32 { return s.current }},
			{gauge("proposed_replicas"), func(s *seen) int32 { return s.proposed }},
			{gauge("limited_replicas"), func(s *seen) int32 { return s.limited }},
			{gauge("desired_replicas"), func(s *seen) int32 { return s.desired }},
		},
		reason: gauge("reason"), decisionAge: gauge("decision_age_seconds"), metricAge: gauge("metric_age_seconds"),
		fallbacks: gauge("fallback_metrics"), failing: gauge("failing_metrics"),
	}
	i.reg.MustRegister(a)
	return a
}

// Describe sends every description.
func (a *autoscalers) Describe(ch chan<- *prometheus.Desc) {
	for i := range a.replicas {
		ch <- a.replicas[i].series.desc
	}
	for _, s := range []series{a.reason, a.decisionAge, a.metricAge, a.fallbacks, a.failing} {
		ch <- s.desc
	}
}

// Collect sends the series of the present moment.
func (a *autoscalers) Collect(ch chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for ref, s := range a.all {
		send := func(of series, v float64, labels ...string) {
			of.send(ch, v, append([]string{ref.Namespace, ref.Kind, ref.Name}, labels...)...)
		}
		send(a.reason, 1, string(s.reason))
		if !s.at.IsZero() {
			send(a.decisionAge, max(now.Sub(s.at), 0).Seconds())
		}
		if !s.decided {
			continue
		}
		for i := range a.replicas {
			send(a.replicas[i].series, float64(a.replicas[i].of(s)))
		}
		if !s.oldest.IsZero() {
			send(a.metricAge, max(now.Sub(s.oldest), 0).Seconds())
		}
		send(a.fallbacks, float64(s.fallbacks))
		send(a.failing, float64(s.failing))
	}
}

// key is the reference under which an autoscaler's series stand: a new object of the same name goes on with them.
func key(ref cluster.Ref) cluster.Ref {
	ref.UID = ""
	return ref
}

// decided remembers a decision, and reports whether it is to go to the journal, of which each every-th line without news is one.
func (a *autoscalers) decided(of *control.Autoscaler, rec *hpa.Recommendation, err error, every int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.all[key(of.Ref)]
	if s == nil {
		s = &seen{}
		a.all[key(of.Ref)] = s
	}
	s.passed, s.touched, s.period = true, a.now(), of.Period
	s.reason, s.decided = rec.Reason, len(rec.Steps) > 0
	if s.decided {
		s.at, s.min, s.max = rec.At, of.Policy.Min, of.Policy.Max
		s.current, s.proposed, s.limited, s.desired = rec.Current, rec.Proposed, limited(rec), rec.Desired
		s.oldest = oldestSample(rec)
		s.fallbacks, s.failing = 0, 0
		for i := range rec.Metrics {
			if rec.Metrics[i].Fallback != "" {
				s.fallbacks++
			}
			if rec.Metrics[i].Err != "" {
				s.failing++
			}
		}
	}
	changed := s.decided && of.Mode == control.Active && err == nil && rec.Change()
	return s.lines.wanted(line{reason: rec.Reason, desired: rec.Desired, failed: err != nil}, changed, every)
}

// limited is the number before the health rules and pauses.
func limited(rec *hpa.Recommendation) int32 {
	number := rec.Desired
	for i := range rec.Steps {
		if n := rec.Steps[i].Name; n != hpa.StepHealth && n != hpa.StepPause {
			number = rec.Steps[i].After
		}
	}
	return number
}

func oldestSample(rec *hpa.Recommendation) time.Time {
	var oldest time.Time
	for i := range rec.Metrics {
		if at := rec.Metrics[i].Oldest; !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	return oldest
}

// line is what the journal's last line about an autoscaler said.
type line struct {
	reason  hpa.Reason
	desired int32
	failed  bool
	// left counts the decisions that were left out since, and one for the line itself; 0: there was no line yet.
	left int64
}

// wanted reports whether next goes to the journal, and remembers it.
func (l *line) wanted(next line, changed bool, every int64) bool {
	news := l.left == 0 || next.reason != l.reason || next.desired != l.desired || next.failed != l.failed
	if !changed && !news && l.left < every {
		l.left++
		return false
	}
	*l = next
	l.left = 1
	return true
}

// patience is how long an autoscaler may be left out of passes without being gone: a decision waits for sources that have not answered
// yet, and a pass that has very many numbers to write leaves the rest for the next one.
const patience = time.Minute

// turned ends a pass, and returns the autoscalers that are gone: those that were in none for longer than patience, and than two periods of
// their own. A number that nobody decides is worse than none.
func (a *autoscalers) turned() (gone []cluster.Ref) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for ref, s := range a.all {
		if !s.passed && now.Sub(s.touched) > max(patience, 2*s.period) {
			gone = append(gone, ref)
			delete(a.all, ref)
		}
		s.passed = false
	}
	return gone
}

// clear forgets every autoscaler, and returns them.
func (a *autoscalers) clear() (gone []cluster.Ref) {
	a.mu.Lock()
	defer a.mu.Unlock()
	gone = slices.Collect(maps.Keys(a.all))
	clear(a.all)
	return gone
}
