package alerts

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Receiver says how notifications for a receiver are made.
type Receiver struct {
	// Endpoints is how many addresses it has; each gets everything, and fails and is retried by itself. 0 means 1.
	Endpoints int
	// Relay is true for a receiver that groups by itself, an Alertmanager: it gets every alert that is routed to it at once, new
	// words of one within RelayNews, all of them again every RelayRepeat, and what has ended for RelayKeep longer.
	Relay bool
	// SkipResolved leaves out what has ended.
	SkipResolved bool
}

// How alerts are kept up in a relay. RelayRepeat and RelayKeep are those of Prometheus, which sends to Alertmanagers in the same way.
const (
	// RelayRepeat is the time between two notifications of a relay without news.
	RelayRepeat = time.Minute
	// RelayKeep is how long what has ended is told.
	RelayKeep = 15 * time.Minute
	// RelayNews is the least time between two notifications of a relay where only annotations are new: the log and what was done come
	// after the failure, and are to be there when an Alertmanager tells people, which is 30 seconds after it by default.
	RelayNews = 10 * time.Second
	// relayPause is the least time between two notifications with news.
	relayPause = time.Second
)

// Limits of the Dispatcher.
const (
	// DefaultMaxAlerts is how many alerts are known at once; others are left out and counted. An alert is some 8 KiB at most.
	DefaultMaxAlerts = 2000
	// MaxPerNotification is how many alerts a notification lists; Truncated counts the rest. A relay's lists all.
	MaxPerNotification = 50
	// perEndpoint is how many notifications may be under way to one endpoint.
	perEndpoint = 4
	// firstBackoff and lastBackoff are how long an endpoint is left alone after its first failure and at most; it doubles
	// between.
	firstBackoff = time.Second
	lastBackoff  = 2 * time.Minute
	// settle is how long an alert that nobody has to be told of any more is remembered, against older news of it.
	settle = time.Minute
	// handover is how long before a start a predecessor may have died without that being noticed: a Lease's duration and the
	// election, with room.
	handover = time.Minute
)

// Options of a Dispatcher.
type Options struct {
	Route     Route
	Receivers map[string]Receiver
	// MaxAlerts is DefaultMaxAlerts where it is 0.
	MaxAlerts int
}

// SendError says why a notification was not taken, for Done. Any other error counts as one that may pass.
type SendError struct {
	Err error
	// Permanent is true where sending the same again is of no use: the receiver refused it.
	Permanent bool
	// After is how long the receiver wants to be left alone; 0: it did not say.
	After time.Duration
}

// Error returns what went wrong.
func (e *SendError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Dispatcher knows the alerts and who was told what. It is not safe for concurrent use: one loop owns it.
type Dispatcher struct {
	route     Route
	receivers map[string]Receiver
	most      int

	known     map[string]*known   // by Alert.key
	byID      map[string][]*known // those of one incident
	groups    map[string]*group
	endpoints map[endpointKey]*endpoint
	flights   uint64
	dropped   int64
}

// known is an alert with the groups that it is in. Its key and fingerprint do not change; edition counts its annotations.
type known struct {
	key     string
	print   string
	alert   Alert
	edition int
	groups  int
	touched time.Time
}

// NewDispatcher returns a Dispatcher that knows no alerts, or an error that says what is wrong with the route.
func NewDispatcher(o Options) (*Dispatcher, error) {
	if err := o.Route.Check("route", slices.Sorted(maps.Keys(o.Receivers))); err != nil {
		return nil, err
	}
	if o.MaxAlerts < 0 {
		return nil, fmt.Errorf("max alerts: %d is not allowed: allowed is 0 (the default) or more", o.MaxAlerts)
	}
	d := &Dispatcher{
		route: o.Route.named("", 0), receivers: maps.Clone(o.Receivers), most: cmp.Or(o.MaxAlerts, DefaultMaxAlerts),
		known: map[string]*known{}, byID: map[string][]*known{}, groups: map[string]*group{}, endpoints: map[endpointKey]*endpoint{},
	}
	for name, r := range d.receivers {
		r.Endpoints = max(r.Endpoints, 1)
		d.receivers[name] = r
		for i := range r.Endpoints {
			d.endpoints[endpointKey{name, i}] = &endpoint{}
		}
	}
	return d, nil
}

// Update takes in alerts that are new or have changed. What ended without having been told to anybody is told to nobody.
func (d *Dispatcher) Update(list []Alert, now time.Time) {
	for i := range list {
		a := d.asCritical(list[i])
		d.supersede(&a, now)
		d.put(&a, now)
	}
	d.prune()
}

// asCritical returns the alert with the severity that it has had since it became critical. An incident forgets the middle of a long
// history, and what made it critical with it.
func (d *Dispatcher) asCritical(a Alert) Alert {
	for _, k := range d.byID[a.ID] {
		old := &k.alert
		if old.Ended() || old.Labels[LabelSeverity] != Critical || old.Labels[LabelAlertname] != a.Labels[LabelAlertname] {
			continue
		}
		a.Labels = maps.Clone(a.Labels)
		a.Labels[LabelSeverity], a.StartsAt = Critical, old.StartsAt
	}
	return a
}

// supersede ends the alerts of the same incident with other labels: it is now another alert.
func (d *Dispatcher) supersede(a *Alert, now time.Time) {
	key := a.key()
	for _, k := range d.byID[a.ID] {
		if k.key != key && !k.alert.Ended() {
			k.alert.EndsAt, k.touched = now, now
		}
	}
}

// put adds the alert or brings it up to date.
func (d *Dispatcher) put(a *Alert, now time.Time) {
	k := d.known[a.key()]
	if len(d.known) >= d.most {
		d.sweep(now)
	}
	switch {
	case k == nil && a.Ended():
		return
	case k == nil && len(d.known) >= d.most:
		d.dropped++
		return
	case k == nil:
		k = d.remember(a)
	}
	again := k.alert.Ended() && !a.Ended()
	if !maps.Equal(k.alert.Annotations, a.Annotations) {
		k.edition++
	}
	k.alert, k.touched = *a, now
	if again || k.groups == 0 && !a.Ended() {
		d.join(k, now)
	}
}

func (d *Dispatcher) remember(a *Alert) *known {
	k := &known{key: a.key(), print: a.Fingerprint(), alert: *a}
	d.known[k.key] = k
	d.byID[a.ID] = append(d.byID[a.ID], k)
	return k
}

// join puts the alert into the groups that its routes make, where it is not in them.
func (d *Dispatcher) join(k *known, now time.Time) {
	for _, r := range d.route.Match(k.alert.Labels) {
		to := d.receivers[r.Receiver]
		for i := range to.Endpoints {
			d.group(r, to, i, k.alert.Labels).join(k, now)
		}
	}
}

// group returns the group of alerts with these labels at the route, for one endpoint of its receiver.
func (d *Dispatcher) group(r *Route, to Receiver, index int, labels map[string]string) *group {
	g := &group{
		to: endpointKey{r.Receiver, index}, relay: to.Relay, skipResolved: to.SkipResolved,
		wait: r.GroupWait, interval: r.GroupInterval, repeat: r.RepeatInterval, labels: r.groupLabels(labels), members: map[string]*member{},
	}
	g.name = r.path + ":" + braced(g.labels)
	if to.Relay {
		g.wait, g.interval, g.repeat, g.labels, g.name = 0, relayPause, RelayRepeat, nil, "{}:{}"
	}
	key := fmt.Sprintf("%s/%d %s", g.to.receiver, index, g.name)
	if old := d.groups[key]; old != nil {
		return old
	}
	g.key = key
	d.groups[key] = g
	return g
}

// Resync takes in the whole list of incidents that there are, as it was at the time at: what is not in it has ended. News after at
// stay. It mends what was lost on the way; call it now and then.
func (d *Dispatcher) Resync(list []Alert, at, now time.Time) {
	if now.Sub(at) > settle {
		return
	}
	listed := make(map[string]bool, len(list))
	for i := range list {
		listed[list[i].ID] = true
		if !d.newsSince(list[i].ID, at) {
			a := d.asCritical(list[i])
			d.supersede(&a, now)
			d.put(&a, now)
		}
	}
	for _, k := range d.known {
		if !k.alert.Ended() && !listed[k.alert.ID] && k.touched.Before(at) {
			k.alert.EndsAt, k.touched = now, now
		}
	}
	d.prune()
}

func (d *Dispatcher) newsSince(id string, at time.Time) bool {
	return slices.ContainsFunc(d.byID[id], func(k *known) bool { return !k.touched.Before(at) })
}

// Restore takes in the list of incidents that there are where another process sent notifications before; call it first. What has
// been firing for longer than its group waits was told then, and is told again when a repetition is due; only where the
// predecessor may have died before it told is it told at once. What ended so lately that it may not have been told is told.
func (d *Dispatcher) Restore(list []Alert, now time.Time) {
	told := max(RelayKeep, d.route.longestInterval()+handover)
	for i := range list {
		a := &list[i]
		if a.Ended() && now.Sub(a.EndsAt) > told {
			continue
		}
		if d.known[a.key()] != nil || len(d.known) >= d.most {
			continue
		}
		k := d.remember(a)
		k.touched = now
		d.join(k, now)
	}
	for _, g := range d.groups {
		g.restore(now)
	}
	d.prune()
}

func (r *Route) longestInterval() time.Duration {
	longest := r.GroupInterval
	for i := range r.Routes {
		longest = max(longest, r.Routes[i].longestInterval())
	}
	return longest
}

// Due returns what is to be sent now, the longest untried first, and counts it as under way: Done has to be called for each.
func (d *Dispatcher) Due(now time.Time) []Notification {
	d.sweep(now)
	var due []*group
	for _, g := range d.groups {
		if at, _, ok := g.due(); ok && !at.After(now) {
			due = append(due, g)
		}
	}
	slices.SortFunc(due, func(a, b *group) int {
		return cmp.Or(a.triedAt.Compare(b.triedAt), cmp.Compare(a.key, b.key))
	})
	var out []Notification
	for _, g := range due {
		if e := d.endpoints[g.to]; e.room(now) > 0 {
			e.flying++
			d.flights++
			out = append(out, g.fly(d.flights, now))
		}
	}
	return out
}

// Next returns when Due has something to give next, if nothing changes before; false: not by itself.
func (d *Dispatcher) Next(now time.Time) (time.Time, bool) {
	var next time.Time
	found := false
	for _, g := range d.groups {
		at, _, ok := g.due()
		if !ok {
			continue
		}
		e := d.endpoints[g.to]
		if e.until.After(at) {
			at = e.until
		}
		if !at.After(now) && e.room(now) <= 0 {
			continue // Done makes room
		}
		if !found || at.Before(next) {
			next, found = at, true
		}
	}
	return next, found
}

// Done takes in what came of a notification: err is nil where the receiver took it.
func (d *Dispatcher) Done(n *Notification, err error, now time.Time) {
	g := d.groups[n.key]
	if g == nil || g.flight == nil || g.flight.number != n.flight {
		return
	}
	e := d.endpoints[g.to]
	e.flying--
	refused, isRefused := errors.AsType[*SendError](err)
	switch {
	case err == nil:
		e.failures, e.until = 0, time.Time{}
		g.landed(now)
	case isRefused && refused.Permanent:
		e.failures, e.until = 0, time.Time{}
		g.refused(now)
	default:
		var after time.Duration
		if isRefused {
			after = refused.After
		}
		e.failed(after, now)
		g.failed()
	}
	g.prune()
}

// prune takes alerts out of the groups that need not tell of them.
func (d *Dispatcher) prune() {
	for _, g := range d.groups {
		g.prune()
	}
}

// sweep forgets what nobody needs any more.
func (d *Dispatcher) sweep(now time.Time) {
	for key, g := range d.groups {
		g.sweep(now)
		if len(g.members) == 0 && g.flight == nil && !g.next().After(now) {
			delete(d.groups, key)
		}
	}
	for key, k := range d.known {
		if k.groups > 0 || now.Sub(k.touched) < settle {
			continue
		}
		delete(d.known, key)
		rest := slices.DeleteFunc(d.byID[k.alert.ID], func(o *known) bool { return o == k })
		if d.byID[k.alert.ID] = rest; len(rest) == 0 {
			delete(d.byID, k.alert.ID)
		}
	}
}

// Dropped returns how often an alert was left out because too many were known.
func (d *Dispatcher) Dropped() int64 { return d.dropped }

// Active returns how many alerts fire.
func (d *Dispatcher) Active() int {
	n := 0
	for _, k := range d.known {
		if !k.alert.Ended() {
			n++
		}
	}
	return n
}
