package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

// Queue is how many incidents may wait for the notifier.
const Queue = 512

// Notifier tells receivers of incidents, in Terms. Make one with New. Its methods are safe for concurrent use.
type Notifier struct {
	o       Options
	rules   alerts.Options
	senders map[endpointKey]sender

	dropped atomic.Int64
	term    atomic.Pointer[Term]
}

// New returns a Notifier, or an error that says which receiver or route is wrong and why. Nobody is asked for anything yet.
func New(o Options) (*Notifier, error) {
	if len(o.Receivers) == 0 {
		return nil, errors.New("receivers: none is given, allowed are one or more")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Sent == nil {
		o.Sent = func(string, error) {}
	}
	n := &Notifier{o: o, senders: map[endpointKey]sender{}, rules: alerts.Options{Route: o.Route, Receivers: map[string]alerts.Receiver{}}}
	for i := range o.Receivers {
		r := o.Receivers[i]
		if _, twice := n.rules.Receivers[r.Name]; twice {
			return nil, fmt.Errorf("receiver %q is given twice", r.Name)
		}
		list, err := r.senders(o.UserAgent)
		if err != nil {
			return nil, err
		}
		for j, s := range list {
			n.senders[endpointKey{r.Name, j}] = s
		}
		n.rules.Receivers[r.Name] = alerts.Receiver{Endpoints: len(list), Relay: r.Kind == Alertmanager, SkipResolved: r.SkipResolved}
	}
	if _, err := alerts.NewDispatcher(n.rules); err != nil {
		return nil, fmt.Errorf("check routes: %w", err)
	}
	return n, nil
}

// Begin begins a Term: the time in which this process acts, and so tells. It knows nothing of the one before.
func (n *Notifier) Begin() *Term {
	t := &Term{
		n: n, queue: make(chan incident.Incident, Queue), viewed: make(chan struct{}, 1),
		decided: make(chan struct{}, 1), decisions: alerts.NewDecisions(n.o.Decisions, n.o.Links),
	}
	n.term.Store(t)
	return t
}

// Queued returns how many incidents wait.
func (n *Notifier) Queued() int {
	if t := n.term.Load(); t != nil {
		return len(t.queue)
	}
	return 0
}

// Dropped returns how many incidents did not fit into the queue, and how many alerts were left out because too many were known.
func (n *Notifier) Dropped() int64 { return n.dropped.Load() }

// Close closes idle connections. Call it when no Term runs.
func (n *Notifier) Close() {
	for _, s := range n.senders {
		s.close()
	}
}

// Term is a control.Recorder that tells receivers of what it records while its Run runs.
type Term struct {
	n      *Notifier
	queue  chan incident.Incident
	view   atomic.Pointer[control.HealingView]
	viewed chan struct{}
	lost   atomic.Bool // the queue dropped something since the last whole view

	mu        sync.Mutex // of decisions
	decisions *alerts.Decisions
	decided   chan struct{}
}

var _ control.Recorder = (*Term)(nil)

// Incident queues a stored change of an incident, or drops and counts it where the queue is full.
func (t *Term) Incident(in incident.Incident) {
	select {
	case t.queue <- in:
	default:
		t.lost.Store(true)
		t.n.dropped.Add(1)
	}
}

// Healed keeps what is known of all incidents; the newest view is the one that counts.
func (t *Term) Healed(v control.HealingView) {
	t.view.Store(&v)
	select {
	case t.viewed <- struct{}{}:
	default:
	}
}

// Acted does nothing: the incident's next change tells of it.
func (t *Term) Acted(healing.Action, healing.Result, time.Time) {}

// Turned does nothing.
func (t *Term) Turned(string, time.Duration, error) {}

// resyncEvery is the time between two whole views that are taken in.
const resyncEvery = time.Minute

// grace is how long a notification that is under way may take when the term ends.
const grace = 2 * time.Second

// result is what came of a notification.
type result struct {
	n   alerts.Notification
	err error
}

// Run tells receivers until ctx is done, and then waits a moment for what is under way. It begins with the first whole view, from
// which it learns what the process that acted before has told (alerts.Dispatcher.Restore). Call it once.
func (t *Term) Run(ctx context.Context) error {
	dispatcher, err := alerts.NewDispatcher(t.n.rules)
	if err != nil {
		return fmt.Errorf("check routes: %w", err)
	}
	l := &loop{Term: t, d: dispatcher, results: make(chan result), failing: map[endpointKey]bool{}}
	l.run(ctx)
	return nil
}

// loop is a running Term.
type loop struct {
	*Term
	d        *alerts.Dispatcher
	results  chan result
	flying   int
	restored bool
	synced   time.Time
	dropped  int64
	failing  map[endpointKey]bool
}

func (l *loop) run(ctx context.Context) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		queue := l.queue
		if !l.restored {
			queue = nil // the first whole view comes first
		}
		select {
		case in := <-queue:
			l.update(in)
		case <-l.viewed:
			l.see()
		case <-l.decided:
		case r := <-l.results:
			l.done(r)
		case <-timer.C:
		case <-ctx.Done():
			l.end(cancel)
			return
		}
		now := time.Now()
		decides, deciding := l.decide(now)
		for _, n := range l.d.Due(now) {
			l.start(sending, n)
		}
		timer.Stop()
		next, ok := l.d.Next(now)
		if deciding && (!ok || decides.Before(next)) {
			next, ok = decides, true
		}
		if ok {
			timer.Reset(max(next.Sub(now), time.Millisecond))
		}
	}
}

// update takes in the incident and those that wait behind it.
func (l *loop) update(in incident.Incident) {
	now := time.Now()
	list := []alerts.Alert{l.alert(&in, now)}
	for range len(l.queue) {
		in := <-l.queue
		list = append(list, l.alert(&in, now))
	}
	l.d.Update(list, now)
	l.count()
}

// see takes in the newest whole view, where the last one is old or something was lost since.
func (l *loop) see() {
	now := time.Now()
	v := l.view.Load()
	if l.restored && now.Sub(l.synced) < resyncEvery && !l.lost.Load() {
		return
	}
	list := make([]alerts.Alert, 0, len(v.Incidents))
	for i := range v.Incidents {
		list = append(list, l.alert(&v.Incidents[i], now))
	}
	l.lost.Store(false)
	if l.restored {
		l.d.Resync(append(list, l.firing()...), v.At, now)
	} else {
		l.d.Restore(list, now)
	}
	l.restored, l.synced = true, now
	l.count()
}

// alert makes the alert with the labels that are added to all.
func (l *loop) alert(in *incident.Incident, now time.Time) alerts.Alert {
	a := alerts.FromIncident(in, l.n.o.Links, now)
	maps.Copy(a.Labels, l.n.o.Labels)
	return a
}

func (l *loop) count() {
	l.mu.Lock()
	d := l.d.Dropped() + l.decisions.Dropped()
	l.mu.Unlock()
	if d > l.dropped {
		l.n.dropped.Add(d - l.dropped)
		l.dropped = d
	}
}

func (l *loop) start(ctx context.Context, n alerts.Notification) {
	l.flying++
	s := l.n.senders[endpointKey{n.Receiver, n.Endpoint}]
	go func() { l.results <- result{n, s.send(ctx, &n)} }()
}

// done takes in what came of a notification, and tells the log when its receiver begins to fail and when it is back.
func (l *loop) done(r result) {
	l.flying--
	l.d.Done(&r.n, r.err, time.Now())
	l.n.o.Sent(r.n.Receiver, r.err)
	key := endpointKey{r.n.Receiver, r.n.Endpoint}
	switch {
	case r.err != nil && !l.failing[key]:
		l.n.o.Log.Warn("notification not sent, it is tried again", "receiver", key.receiver, "endpoint", key.index, "error", r.err)
	case r.err == nil && l.failing[key]:
		l.n.o.Log.Info("receiver takes notifications again", "receiver", key.receiver, "endpoint", key.index)
	}
	l.failing[key] = r.err != nil
}

// end waits for what is under way, and cuts it off where that takes long.
func (l *loop) end(cancel func()) {
	late := time.AfterFunc(grace, cancel)
	defer late.Stop()
	for l.flying > 0 {
		l.done(<-l.results)
	}
}
