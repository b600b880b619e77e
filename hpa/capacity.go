package hpa

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// capacity says what a replica is to one metric.
type capacity uint8

const (
	// capacityReady is counted with its usage.
	capacityReady capacity = iota
	// capacityUnready is left out, and idle where the others ask for more.
	capacityUnready
	// capacityMissing has no sample: idle where the others ask for more, busy where they ask for less.
	capacityMissing
	// capacityIgnored is going or gone.
	capacityIgnored
	// capacityAside is set aside by a health rule. What it uses is no load and what it does not use is no spare: idle
	// where the others ask for more, busy where they ask for less.
	capacityAside
	// capacityFresh was never ready. What it uses is no load, but it held none either: idle where the others ask for
	// more, counted with its usage where they ask for less.
	capacityFresh
	// capacityDoubted serves, but its usage says less than its load: counted with it, and busy where the metric asks
	// for less.
	capacityDoubted
)

// why says in a code why a replica is no ready capacity; words gives the words.
type why uint8

const (
	whyNone why = iota
	whyDeleting
	whyFailed
	whyCrashLoop
	whyFailing
	whyOOMKilled
	whyPending
	whySample
	whyPartial
	whySettling
	whyUnknown
	whyStarting
	whyWindow
	whyNeverReady
)

// words gives the reason in two or three words. u is the usage that was looked at.
func (w why) words(r *Replica, u *Usage, now time.Time) string {
	switch w {
	case whyNone:
		return ""
	case whyDeleting:
		return "deleting"
	case whyFailed:
		return "failed"
	case whyCrashLoop:
		return "crash loop"
	case whyFailing:
		return "fails: " + r.Failing
	case whyOOMKilled:
		return "OOM killed " + since(r.OOMKilledAt, now) + " ago"
	case whyPending:
		return "pending"
	case whySample:
		if u.Why != "" {
			return u.Why
		}
		return "no sample"
	case whyPartial:
		return "no sample of container " + u.Partial
	case whySettling:
		return "restarted " + since(r.RestartedAt, now) + " ago"
	case whyUnknown:
		return "readiness not known"
	case whyStarting:
		return "starting, not ready"
	case whyWindow:
		return "no full sample since it became ready"
	case whyNeverReady:
		return "never ready"
	}
	return ""
}

// lens is what a decision looks at replicas through: the rules, and the times where they begin.
type lens struct {
	rules *HealthPolicy
	delay time.Duration // Policy.InitialReadinessDelay
	// A replica that started after young is in its CPU initialization period; an OOM kill after killed and a restart after
	// restarted still count.
	young, killed, restarted time.Time
}

func (l *lens) focus(p *Policy, now time.Time) {
	l.rules, l.delay = &p.Health, p.InitialReadinessDelay
	l.young = now.Add(-p.CPUInitializationPeriod)
	l.killed = now.Add(-p.Health.OOMWindow)
	l.restarted = now.Add(-p.Health.MemorySettle)
}

// broken says which health rule sets a replica aside whatever the metric is, if any does.
func (l *lens) broken(r *Replica) why {
	switch {
	case r.CrashLooping && l.rules.CrashLoopIsNoCapacity:
		return whyCrashLoop
	case r.Failing != "" && l.rules.FailingIsNoCapacity:
		return whyFailing
	case l.rules.OOMKilledIsNoCapacity && r.OOMKilledAt.After(l.killed):
		return whyOOMKilled
	}
	return whyNone
}

// sort says what the replica with the usage is to a metric of the resource, which is empty where the metric has none,
// and why unless it is ready. The order is that of Kubernetes.
func (l *lens) sort(r *Replica, u *Usage, of Resource) (capacity, why) {
	switch {
	case r.Deleting:
		return capacityIgnored, whyDeleting
	case r.Phase == cluster.PhaseFailed:
		return capacityIgnored, whyFailed
	}
	broken := l.broken(r)
	switch {
	case r.Phase == cluster.PhasePending: // it has never had load that could be anywhere now
		if broken != whyNone {
			return capacityUnready, broken
		}
		return capacityUnready, whyPending
	case broken != whyNone && (broken != whyOOMKilled || !r.isReady() || !u.Known):
		return capacityAside, broken
	case !u.Known:
		return capacityMissing, whySample
	}
	if of == CPU {
		if w := l.warmingUp(r, u); w != whyNone {
			return capacityUnready, w
		}
	}
	switch {
	case r.NeverReady && l.rules.NeverReadyIsNoCapacity:
		return capacityFresh, whyNeverReady
	case broken != whyNone:
		return capacityDoubted, broken
	case u.Partial != "" && l.rules.PartialIsMissing:
		return capacityDoubted, whyPartial
	case of == Memory && l.rules.MemorySettle > 0 && r.RestartedAt.After(l.restarted):
		return capacityDoubted, whySettling
	}
	return capacityReady, whyNone
}

// warmingUp says why the CPU usage does not show the load yet: work at the start is not load.
func (l *lens) warmingUp(r *Replica, u *Usage) why {
	if !r.ReadyKnown || r.StartedAt.IsZero() {
		return whyUnknown
	}
	notReady := !r.Ready && !r.ReadyUnknown
	if r.StartedAt.After(l.young) {
		switch {
		case notReady:
			return whyStarting
		case u.At.Before(r.ReadySince.Add(u.Window)):
			return whyWindow
		}
		return whyNone
	}
	if notReady && r.StartedAt.Add(l.delay).After(r.ReadySince) {
		return whyNeverReady
	}
	return whyNone
}

// isReady reports whether the replica's condition Ready is true.
func (r *Replica) isReady() bool { return r.Ready && r.ReadyKnown && !r.ReadyUnknown }
