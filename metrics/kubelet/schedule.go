package kubelet

import (
	"container/heap"
	"time"
)

// target is one node in the schedule. While it is scraped it belongs to the worker, else to the schedule.
type target struct {
	node   Node
	parser *Parser

	scrapes        int       // how many were begun
	cadvisorScrape int       // the one that read the cadvisor page last; 0: none did
	viaProxy       time.Time // until then the API server is asked first
	failed         bool      // the last scrape failed
	slow           bool      // the last visit failed or took long: the next one goes to the slow lane
	cadvisorFailed bool      // the last reading of the cadvisor page failed

	pressureScrape int  // the one that read the summary page last; 0: none did
	pressureFailed bool // the last reading of it failed
	noPressure     bool // it has no pressures, or is refused

	// Of the schedule alone.
	latest Node // what the list says now; the worker sees it from the next scrape on
	due    time.Time
	place  int // in the heap; -1: not in it
	gone   bool
}

// schedule says which node is to be scraped when. It has no goroutine and no clock.
type schedule struct {
	period  time.Duration
	phase   func() time.Duration // draws a phase below period
	targets map[string]*target
	waiting dueHeap
	// Nodes whose time has come, in that order, by lane.
	fast, slow []*target
}

func newSchedule(period time.Duration, phase func() time.Duration) *schedule {
	return &schedule{period: period, phase: phase, targets: map[string]*target{}}
}

// update takes the present list of nodes: new ones get a phase of their own, those that are gone leave.
func (s *schedule) update(nodes []Node, now time.Time) {
	listed := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		if n.Name == "" || listed[n.Name] {
			continue
		}
		listed[n.Name] = true
		t := s.targets[n.Name]
		if t == nil {
			t = &target{parser: NewParser(), due: now.Add(s.phase())}
			s.targets[n.Name] = t
			heap.Push(&s.waiting, t)
		}
		t.latest = n
	}
	for name, t := range s.targets {
		if listed[name] {
			continue
		}
		delete(s.targets, name)
		t.gone = true
		if t.place >= 0 {
			heap.Remove(&s.waiting, t.place)
		}
	}
}

// advance puts the nodes that are due into their lanes.
func (s *schedule) advance(now time.Time) {
	for len(s.waiting) > 0 && !s.waiting[0].due.After(now) {
		t, _ := heap.Pop(&s.waiting).(*target)
		t.node = t.latest
		t.scrapes++
		if t.slow {
			s.slow = append(s.slow, t)
		} else {
			s.fast = append(s.fast, t)
		}
	}
	s.fast, s.slow = present(s.fast), present(s.slow)
}

// present drops the nodes that are gone from the head of a lane.
func present(lane []*target) []*target {
	for len(lane) > 0 && lane[0].gone {
		lane = lane[1:]
	}
	return lane
}

// next returns when the next node is due; false if none waits.
func (s *schedule) next() (time.Time, bool) {
	if len(s.waiting) == 0 {
		return time.Time{}, false
	}
	return s.waiting[0].due, true
}

// started takes the node, which a worker has by now, off the head of its lane.
func started(lane *[]*target) {
	(*lane)[0] = nil
	*lane = (*lane)[1:]
}

// finished takes the node back. It keeps its phase: turns that have passed are left out.
func (s *schedule) finished(t *target, now time.Time) {
	if t.gone {
		return
	}
	late := max(now.Sub(t.due), 0)
	t.due = t.due.Add(late - late%s.period + s.period)
	heap.Push(&s.waiting, t)
}

// dueHeap orders targets by when they are due.
type dueHeap []*target

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is used by package heap only.
func (h *dueHeap) Push(x any) {
	t, _ := x.(*target)
	t.place = len(*h)
	*h = append(*h, t)
}

// Pop is used by package heap only.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	t.place = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
