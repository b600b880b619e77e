package alerts

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/transcript"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestTranscripts plays the stories of testdata: blocks with a blank line between, each commands, a line of four dashes, and what
// they print. Lines with # tell the story. The commands are those of stage.run.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", 10, func(t *testing.T, text string) string {
		t.Helper()
		s := newStage(t)
		return transcript.Play(text, &s.out, strings.Fields, s.run)
	})
}

// stage is a Dispatcher with receivers that take, fail or refuse what they are told.
type stage struct {
	t       *testing.T
	now     time.Time
	o       Options
	d       *Dispatcher
	alerts  map[string]Alert // by id, those that exist
	failing map[string]error
	slow    map[string]bool // receivers that answer only after the command answer
	open    []Notification
	out     strings.Builder
	printed func(n *Notification, err error)
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, now: t0, alerts: map[string]Alert{}, failing: map[string]error{}, slow: map[string]bool{}}
	s.o = Options{
		Receivers: map[string]Receiver{},
		Route: Route{
			GroupBy: DefaultGroupBy(), GroupWait: DefaultGroupWait, GroupInterval: DefaultGroupInterval, RepeatInterval: DefaultRepeatInterval,
		},
	}
	s.printed = func(n *Notification, err error) {
		fmt.Fprintf(&s.out, "%s %s/%d %s %s: %s", s.now.Sub(t0), n.Receiver, n.Endpoint, n.Reason, braced(n.GroupLabels), said(n))
		if err != nil {
			fmt.Fprintf(&s.out, " -> %v", err)
		}
		s.out.WriteString("\n")
	}
	return s
}

func said(n *Notification) string {
	var words []string
	for i := range n.Alerts {
		a := &n.Alerts[i]
		word := a.ID + " " + a.Labels[LabelSeverity] + " " + a.Status()
		if log := a.Annotations[AnnotationLog]; log != "" {
			word += " with " + log
		}
		words = append(words, word)
	}
	out := strings.Join(words, ", ")
	if n.Truncated > 0 {
		out += fmt.Sprintf(" and %d more", n.Truncated)
	}
	return out
}

func (s *stage) run(command string, words []string) {
	s.t.Helper()
	o := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, ":")
		o[k] = v
	}
	switch command {
	case "receiver": // receiver NAME [relay] [endpoints:2] [skipResolved]
		_, relay := o["relay"]
		_, skip := o["skipResolved"]
		n, _ := strconv.Atoi(o["endpoints"])
		s.o.Receivers[words[0]] = Receiver{Relay: relay, Endpoints: n, SkipResolved: skip}
		if s.o.Route.Receiver == "" {
			s.o.Route.Receiver = words[0]
		}
	case "route": // route [by:a,b] [wait:30s] [interval:5m] [repeat:4h]
		s.timings(&s.o.Route, o)
	case "child": // child RECEIVER [match:severity="critical"] [continue] [by: wait: interval: repeat:]
		r := s.o.Route
		r.Receiver, r.Routes = words[0], nil
		_, r.Continue = o["continue"]
		if text := o["match"]; text != "" {
			m, err := ParseMatcher(text)
			if err != nil {
				s.t.Fatal(err)
			}
			r.Matchers = []Matcher{m}
		}
		s.timings(&r, o)
		s.o.Route.Routes = append(s.o.Route.Routes, r)
	case "fire", "resolve": // fire ID [severity:critical] [ns:shop] [workload:web] [kind:OOMKilled] [log:killed]
		s.change(words[0], command == "resolve", o)
	case "lose": // lose ID: it is gone, and nobody says so
		delete(s.alerts, words[0])
	case "resync":
		s.dispatcher().Resync(slices.Collect(maps.Values(s.alerts)), s.now, s.now)
	case "down": // down RECEIVER [after:30s]
		s.failing[words[0]] = &SendError{Err: errors.New("503"), After: duration(s.t, o["after"])}
	case "refuse": // refuse RECEIVER
		s.failing[words[0]] = &SendError{Err: errors.New("404"), Permanent: true}
	case "up":
		delete(s.failing, words[0])
	case "slow":
		s.slow[words[0]] = true
	case "answer": // answer RECEIVER: it takes what it was sent
		s.answer()
	case "restart": // another process takes over
		s.d, s.open = nil, nil
		s.dispatcher().Restore(slices.Collect(maps.Values(s.alerts)), s.now)
	case "pass": // pass 5m
		s.pass(duration(s.t, words[0]))
	default:
		s.t.Fatalf("unknown command %q", command)
	}
}

// duration reads one; none is zero.
func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *stage) timings(r *Route, o map[string]string) {
	s.t.Helper()
	if by, has := o["by"]; has {
		r.GroupBy = strings.FieldsFunc(by, func(c rune) bool { return c == ',' })
	}
	for name, to := range map[string]*time.Duration{"wait": &r.GroupWait, "interval": &r.GroupInterval, "repeat": &r.RepeatInterval} {
		if text, has := o[name]; has {
			*to = duration(s.t, text)
		}
	}
}

func (s *stage) dispatcher() *Dispatcher {
	s.t.Helper()
	if s.d == nil {
		d, err := NewDispatcher(s.o)
		if err != nil {
			s.t.Fatal(err)
		}
		s.d = d
	}
	return s.d
}

func (s *stage) change(id string, over bool, o map[string]string) {
	s.t.Helper()
	a, known := s.alerts[id]
	or := func(key, fallback string) string {
		if v, has := o[key]; has {
			return v
		}
		return fallback
	}
	old := a.Labels
	if !known || o["severity"] != "" && o["severity"] != old[LabelSeverity] {
		a.StartsAt = s.now
	}
	if !known {
		old = map[string]string{LabelSeverity: Warning, LabelNamespace: "shop", LabelWorkload: "web", LabelKind: "OOMKilled"}
	}
	a.ID = id
	a.Labels = map[string]string{
		LabelSeverity: or("severity", old[LabelSeverity]), LabelNamespace: or("ns", old[LabelNamespace]),
		LabelWorkload: or("workload", old[LabelWorkload]), LabelKind: or("kind", old[LabelKind]),
	}
	if log, has := o["log"]; has {
		a.Annotations = map[string]string{AnnotationLog: log}
	}
	a.EndsAt = time.Time{}
	if over {
		a.EndsAt = s.now
	}
	s.alerts[id] = a
	s.dispatcher().Update([]Alert{a}, s.now)
}

// pass lets the time go on, and sends what is due at each moment.
func (s *stage) pass(d time.Duration) {
	s.t.Helper()
	end := s.now.Add(d)
	for range 10000 {
		for _, n := range s.dispatcher().Due(s.now) {
			err := s.failing[n.Receiver]
			if s.slow[n.Receiver] {
				s.open = append(s.open, n)
				continue
			}
			s.printed(&n, err)
			s.d.Done(&n, err, s.now)
		}
		next, ok := s.d.Next(s.now)
		if ok && !next.After(s.now) {
			continue
		}
		if !ok || next.After(end) {
			s.now = end
			return
		}
		s.now = next
	}
	s.t.Fatal("the dispatcher does not come to rest")
}

func (s *stage) answer() {
	for i := range s.open {
		s.printed(&s.open[i], nil)
		s.d.Done(&s.open[i], nil, s.now)
	}
	s.open = nil
}
