package metrics

import (
	"time"
)

// pressure is the newest reading of how long a pod waited for a CPU.
type pressure struct {
	at      int64 // nanoseconds since the epoch; 0: there is none
	percent float64
}

// AddPressure keeps the share of the last 10 s, in percent, in which a task of the pod waited for a CPU (PSI, some,
// avg10), as of the given time. It is ignored for a pod of which no container was seen, where it is older than the newest
// one, and where it is no percentage.
func (s *Store) AddPressure(namespace, name string, at time.Time, percent float64) {
	nanos, ok := toNanos(at)
	if !ok || !(percent >= 0 && percent <= 100) {
		return
	}
	sh := s.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if p := sh.pods[podName{namespace, name}]; p != nil && nanos >= p.pressure.at {
		p.pressure = pressure{nanos, percent}
	}
}

// Pressure returns the share of 10 s, in percent, in which a task of the pod waited for a CPU. It is false where that is
// not known: the node has no such readings, or the newest is older than Config.StaleAfter.
func (s *Store) Pressure(namespace, name string, now time.Time) (percent float64, ok bool) {
	sh := s.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	p := sh.pods[podName{namespace, name}]
	if p == nil || p.pressure.at == 0 || now.Sub(fromNanos(p.pressure.at)).Abs() > s.config.StaleAfter {
		return 0, false
	}
	return p.pressure.percent, true
}
