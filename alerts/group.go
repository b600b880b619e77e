package alerts

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Reason says why a notification is sent.
type Reason string

// The reasons.
const (
	ReasonFiring   Reason = "Firing"   // something fires that was not told
	ReasonResolved Reason = "Resolved" // something that was told has ended
	ReasonRepeat   Reason = "Repeat"   // it still fires; where an Alertmanager is told, more may be known of it
)

// Notification is what one receiver is told of one group.
type Notification struct {
	Receiver string
	// Endpoint is which of the receiver's addresses, from 0.
	Endpoint int
	Reason   Reason
	// GroupKey is the same for each notification of a group.
	GroupKey    string
	GroupLabels map[string]string
	// Alerts are those that fire and those that have ended since they were told, what fires first. Truncated is how many more
	// there are.
	Alerts    []Alert
	Truncated int
	// At is when it was made.
	At time.Time

	key    string
	flight uint64
}

// Status returns "firing" where any of its alerts fires, else "resolved".
func (n *Notification) Status() string {
	if slices.ContainsFunc(n.Alerts, func(a Alert) bool { return !a.Ended() }) {
		return "firing"
	}
	return "resolved"
}

// CommonLabels returns the labels that all its alerts share.
func (n *Notification) CommonLabels() map[string]string {
	return common(n.Alerts, func(a *Alert) map[string]string { return a.Labels })
}

// CommonAnnotations returns the annotations that all its alerts share.
func (n *Notification) CommonAnnotations() map[string]string {
	return common(n.Alerts, func(a *Alert) map[string]string { return a.Annotations })
}

type endpointKey struct {
	receiver string
	index    int
}

// endpoint is the state of one address.
type endpoint struct {
	failures int
	until    time.Time
	flying   int
}

// room is how many notifications may be begun now: one where it failed, to see whether it is back.
func (e *endpoint) room(now time.Time) int {
	switch {
	case now.Before(e.until):
		return 0
	case e.failures > 0:
		return 1 - e.flying
	default:
		return perEndpoint - e.flying
	}
}

// failed leaves the endpoint alone for a while, at least for the time that it asked for. Of several notifications that fail at once
// the first one counts.
func (e *endpoint) failed(after time.Duration, now time.Time) {
	if !now.Before(e.until) {
		after = max(after, min(firstBackoff<<min(e.failures, 10), lastBackoff))
		e.failures++
	}
	if until := now.Add(after); until.After(e.until) {
		e.until = until
	}
}

// group is the alerts that one endpoint is told of together.
type group struct {
	key, name              string
	to                     endpointKey
	relay, skipResolved    bool
	wait, interval, repeat time.Duration
	labels                 map[string]string
	members                map[string]*member

	sentAt  time.Time // when it was last told, zero: never
	triedAt time.Time
	hold    time.Time // a refusal forbids to try before
	flight  *flight   // nil: nothing is under way
}

// member is an alert in a group. tried is true once somebody may have been told that it fires, sent once he was, with the annotations of
// the edition, and told once he was told that it has ended.
type member struct {
	*known
	since             time.Time
	tried, sent, told bool
	sentEdition       int
}

// flight is what a notification that is under way says, by the keys of the members.
type flight struct {
	number uint64
	says   map[string]saying
}

// saying is what a notification says of one alert.
type saying struct {
	ended   bool
	edition int
}

// join adds the alert, or lets it fire again.
func (g *group) join(k *known, now time.Time) {
	m := g.members[k.key]
	if m == nil {
		m = &member{known: k, since: now}
		g.members[k.key] = m
		k.groups++
		if k.alert.StartsAt.Before(now) {
			m.since = k.alert.StartsAt
		}
	}
	if m.told {
		m.tried, m.sent, m.told, m.since = false, false, false, now
	}
}

func (g *group) leave(key string) {
	g.members[key].groups--
	delete(g.members, key)
}

// next is the earliest time of another notification.
func (g *group) next() time.Time {
	at := g.hold
	if !g.sentAt.IsZero() && g.sentAt.Add(g.interval).After(at) {
		at = g.sentAt.Add(g.interval)
	}
	return at
}

// due returns when the group is to be told of, and why; false: never as it is.
func (g *group) due() (at time.Time, why Reason, ok bool) {
	if g.flight != nil {
		return at, why, false
	}
	var fresh time.Time // when the first that was not told began to fire
	over, lasts, reworded := false, false, false
	for _, m := range g.members {
		ended := m.alert.Ended()
		switch {
		case !ended && !m.sent:
			if fresh.IsZero() || m.since.Before(fresh) {
				fresh = m.since
			}
		case ended && !m.told:
			over = true
		case !ended && g.relay && m.sentEdition != m.edition:
			reworded = true
		}
		lasts = lasts || !ended || g.relay
	}
	at = g.next()
	switch {
	case over:
		return at, ReasonResolved, true
	case !fresh.IsZero():
		if ready := fresh.Add(g.wait); ready.After(at) {
			at = ready
		}
		return at, ReasonFiring, true
	case lasts:
		pause := g.repeat
		if reworded {
			pause = min(pause, RelayNews)
		}
		if again := g.sentAt.Add(pause); again.After(at) {
			at = again
		}
		return at, ReasonRepeat, true
	default:
		return at, why, false
	}
}

// fly makes the notification of now.
func (g *group) fly(number uint64, now time.Time) Notification {
	_, why, _ := g.due()
	g.flight = &flight{number: number, says: make(map[string]saying, len(g.members))}
	g.triedAt = now
	byPrint := map[string]*known{}
	for key, m := range g.members {
		g.flight.says[key] = saying{m.alert.Ended(), m.edition}
		if !m.alert.Ended() && !m.sent {
			why = ReasonFiring
		}
		// Receivers know alerts by their labels: of two incidents with the same, the one that fires counts.
		if other, twice := byPrint[m.print]; !twice || byUrgency(&m.alert, &other.alert) < 0 {
			byPrint[m.print] = m.known
		}
	}
	n := Notification{
		Receiver: g.to.receiver, Endpoint: g.to.index, Reason: why, GroupKey: g.name, GroupLabels: g.labels, At: now,
		key: g.key, flight: number, Alerts: make([]Alert, 0, len(byPrint)),
	}
	for _, k := range slices.SortedFunc(maps.Values(byPrint), func(a, b *known) int {
		return cmp.Or(byUrgency(&a.alert, &b.alert), cmp.Compare(a.key, b.key))
	}) {
		n.Alerts = append(n.Alerts, k.alert)
	}
	if over := len(n.Alerts) - MaxPerNotification; over > 0 && !g.relay {
		n.Alerts, n.Truncated = n.Alerts[:MaxPerNotification], over
	}
	return n
}

// landed notes that the receiver took the notification under way.
func (g *group) landed(now time.Time) {
	says := g.flight.says
	g.flight, g.sentAt, g.hold = nil, now, time.Time{}
	for key, said := range says {
		m := g.members[key]
		switch {
		case m == nil:
		case !said.ended:
			m.sent, m.tried, m.sentEdition = true, true, said.edition
		case m.alert.Ended():
			m.told = true
		default: // it fires again since
			m.tried, m.sent, m.since = false, false, now
		}
	}
}

// failed notes that it is not known whether the receiver took the notification under way.
func (g *group) failed() {
	for key := range g.flight.says {
		if m := g.members[key]; m != nil {
			m.tried = true
		}
	}
	g.flight = nil
}

// refused notes that the receiver does not take the notification under way: it is made anew after an interval.
func (g *group) refused(now time.Time) {
	g.failed()
	g.hold = now.Add(g.interval)
	if g.relay {
		g.hold = now.Add(g.repeat)
	}
}

// prune takes out what need not be told: what ended unsaid, and what was said to have ended. A flight may still say that the alert
// fires, so its members stay.
func (g *group) prune() {
	for key, m := range g.members {
		if !m.alert.Ended() {
			continue
		}
		if g.flying(key) {
			continue
		}
		if !m.tried || g.skipResolved || m.told && !g.relay {
			g.leave(key)
		}
	}
}

func (g *group) flying(key string) bool {
	if g.flight == nil {
		return false
	}
	_, flying := g.flight.says[key]
	return flying
}

// sweep takes out of a relay's group what has ended long ago.
func (g *group) sweep(now time.Time) {
	for key, m := range g.members {
		if g.relay && m.told && g.flight == nil && now.Sub(m.alert.EndsAt) > RelayKeep {
			g.leave(key)
		}
	}
}

// restore marks what a predecessor has told.
func (g *group) restore(now time.Time) {
	var last time.Time
	for key, m := range g.members {
		at := m.alert.StartsAt.Add(g.wait)
		ended := m.alert.Ended()
		switch {
		case g.relay && ended && now.Sub(m.alert.EndsAt) > RelayKeep:
			g.leave(key)
			continue
		case g.relay:
			m.tried, m.sent = ended, ended
			continue // telling it twice changes nothing there
		case ended && (m.alert.EndsAt.Before(at) || now.Sub(m.alert.EndsAt) > g.interval+handover):
			g.leave(key)
			continue
		case !ended && at.Add(handover).After(now):
			continue
		}
		m.tried, m.sent = true, true
		if at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return
	}
	g.sentAt = last.Add(now.Sub(last).Truncate(g.repeat))
}
