package alerts

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Limits of Decisions.
const (
	// ScaledFor is how long a NameScaled fires: two of the default group intervals, so that each change is told where a group
	// is told at all.
	ScaledFor = 10 * time.Minute
	// MaxScaled is how many NameScaled fire at once, a tenth of DefaultMaxAlerts, so that they leave room for what fails; more are
	// left out and counted.
	MaxScaled = 200
	// MaxScaledOfOne is how many of them are of one autoscaler; a further change ends the oldest.
	MaxScaledOfOne = 5
	// Dip is how long a state may be interrupted without ending, so that a value at its edge does not make it come and go.
	Dip = time.Minute
	// silence is after how long without a number a state is over, two periods of the autoscaler where these are longer: nobody
	// knows any more.
	silence = 5 * time.Minute
)

// The defaults of DecisionOptions; DefaultMaxedOut is the time of the rule for Prometheus.
const (
	DefaultMaxedOut   = 15 * time.Minute
	DefaultNotScaling = 5 * time.Minute
)

// DecisionOptions says which alerts are made of decisions. The zero value makes none.
type DecisionOptions struct {
	// Scaled makes a NameScaled of each change.
	Scaled bool
	// MaxedOut and NotScaling are how long the states last before there is an alert; 0: there is none.
	MaxedOut, NotScaling time.Duration
}

// Decisions makes alerts of the decisions of autoscalers: one of each change, which is over by itself, and one of each state that
// lasts. It is a state machine of plain calls as the Dispatcher is, keeps something only of autoscalers in such a state and of the
// newest changes, and is not safe for concurrent use.
type Decisions struct {
	o        DecisionOptions
	links    Links
	scalings []*scaling // the oldest first
	lasting  map[stateKey]*lasting
	ended    []Alert // that are to be told
	dropped  int64
}

// scaling is a change whose alert fires; given once News has told of it.
type scaling struct {
	d     Decision
	given bool
}

type stateKey struct {
	name       string
	autoscaler cluster.Ref
}

// lasting is a state of an autoscaler.
type lasting struct {
	since time.Time // the first decision with it
	until time.Time // the first one without it after the last with it; zero: the last one had it
	heard time.Time // when it was last known whether it lasts
	fires time.Time // when it became an alert; zero: not yet
	given bool
	last  Decision // the last one with it
	id    string   // of the last change that was written meanwhile
}

// verdict is what a decision says of a state.
type verdict int

const (
	unknown verdict = iota // nothing: it goes on as it was, for a while
	holds
	isNot
	isOver // at once
)

// NewDecisions returns Decisions that know of none.
func NewDecisions(o DecisionOptions, l Links) *Decisions {
	return &Decisions{o: o, links: l, lasting: map[stateKey]*lasting{}}
}

// Take takes in what a pass made of an autoscaler, and reports whether News has something to tell now.
func (s *Decisions) Take(d *Decision) bool {
	news := s.scaled(d)
	if s.o.MaxedOut > 0 && s.watch(NameMaxedOut, d, maxedOut(d), s.o.MaxedOut) {
		news = true
	}
	if s.o.NotScaling > 0 && s.watch(NameNotScaling, d, notScaling(d), s.o.NotScaling) {
		news = true
	}
	return news
}

func maxedOut(d *Decision) verdict {
	switch {
	case d.Paused:
		return isOver
	case !d.Decided:
		return unknown
	case d.Proposed > d.Max:
		return holds
	default:
		return isNot
	}
}

func notScaling(d *Decision) verdict {
	switch {
	case d.Paused, d.DryRun:
		return isOver
	case d.Stuck != "":
		return holds
	case !d.Decided:
		return unknown
	default:
		return isNot
	}
}

// scaled begins the alert of a change.
func (s *Decisions) scaled(d *Decision) bool {
	if !s.o.Scaled || d.ID == "" {
		return false
	}
	oldest, of := -1, 0
	for i, c := range s.scalings {
		if c.d.Autoscaler.Same(d.Autoscaler) {
			if of++; oldest < 0 {
				oldest = i
			}
		}
	}
	if of >= MaxScaledOfOne {
		s.endScaling(oldest, d.At)
	}
	if len(s.scalings) >= MaxScaled {
		s.dropped++
		return false
	}
	s.scalings = append(s.scalings, &scaling{d: *d})
	return true
}

func (s *Decisions) endScaling(i int, at time.Time) {
	if c := s.scalings[i]; c.given {
		s.ended = append(s.ended, scaledAlert(&c.d, at, &s.links))
	}
	s.scalings = slices.Delete(s.scalings, i, i+1)
}

// watch follows one state, and reports whether its alert begins or ends. It begins when the state has lasted for the given time.
func (s *Decisions) watch(name string, d *Decision, v verdict, after time.Duration) bool {
	key := stateKey{name, d.Autoscaler}
	key.autoscaler.UID = ""
	l, news := s.lasting[key], false
	if l == nil && v != holds {
		return false
	}
	if at, over := l.over(d.At); over {
		news = s.end(key, at)
		l = nil
	}
	switch v {
	case unknown:
	case holds:
		if l == nil {
			l = &lasting{since: d.At}
			s.lasting[key] = l
		}
		l.last, l.heard, l.until = *d, d.At, time.Time{}
		if d.ID != "" {
			l.id = d.ID
		}
		if l.fires.IsZero() && d.At.Sub(l.since) >= after {
			l.fires, news = d.At, true
		}
	case isNot:
		if l != nil && l.until.IsZero() {
			l.until = d.At
		}
		if l != nil {
			l.heard = d.At
		}
	case isOver:
		news = s.end(key, d.At) || news
	}
	return news
}

// next returns when the state is over if nothing is heard of it any more, and at which time it was.
func (l *lasting) next() (when, at time.Time) {
	when, at = l.heard.Add(max(silence, 2*l.last.Period)), l.heard
	if dip := l.until.Add(Dip); !l.until.IsZero() && dip.Before(when) {
		when, at = dip, l.until
	}
	return when, at
}

// over reports whether the state is over, and since when.
func (l *lasting) over(now time.Time) (time.Time, bool) {
	if l == nil {
		return time.Time{}, false
	}
	when, at := l.next()
	return at, !now.Before(when)
}

// end forgets the state, and reports whether there is something to tell.
func (s *Decisions) end(key stateKey, at time.Time) bool {
	l := s.lasting[key]
	delete(s.lasting, key)
	if l == nil || !l.given {
		return false
	}
	s.ended = append(s.ended, lastingAlert(key.name, l, at, &s.links))
	return true
}

// sweep ends what is over by the time.
func (s *Decisions) sweep(now time.Time) {
	for len(s.scalings) > 0 && now.Sub(s.scalings[0].d.At) >= ScaledFor {
		s.endScaling(0, s.scalings[0].d.At.Add(ScaledFor))
	}
	for key, l := range s.lasting {
		if at, over := l.over(now); over {
			s.end(key, at)
		}
	}
}

// News returns the alerts that have begun or ended since the last call, for Dispatcher.Update.
func (s *Decisions) News(now time.Time) []Alert {
	s.sweep(now)
	out := s.ended
	s.ended = nil
	for _, c := range s.scalings {
		if !c.given {
			c.given = true
			out = append(out, scaledAlert(&c.d, time.Time{}, &s.links))
		}
	}
	for key, l := range s.lasting {
		if !l.given && !l.fires.IsZero() {
			l.given = true
			out = append(out, lastingAlert(key.name, l, time.Time{}, &s.links))
		}
	}
	return out
}

// Firing returns the alerts of which News has told and that still fire, as they are now, for Dispatcher.Resync.
func (s *Decisions) Firing() []Alert {
	var out []Alert
	for _, c := range s.scalings {
		if c.given {
			out = append(out, scaledAlert(&c.d, time.Time{}, &s.links))
		}
	}
	for key, l := range s.lasting {
		if l.given {
			out = append(out, lastingAlert(key.name, l, time.Time{}, &s.links))
		}
	}
	return out
}

// Next returns when News has something to tell if nothing is taken in before; false: never.
func (s *Decisions) Next() (time.Time, bool) {
	var next time.Time
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(s.scalings) > 0 {
		sooner(s.scalings[0].d.At.Add(ScaledFor))
	}
	for _, l := range s.lasting {
		when, _ := l.next()
		sooner(when)
	}
	return next, !next.IsZero()
}

// Dropped returns how many changes were left out because too many alerts of them fired.
func (s *Decisions) Dropped() int64 { return s.dropped }
