package detect

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Worlds for the measurement of the restart rate: when a container dies and is started again, and what its status says of it.
// Times are seconds since the slot of the container, which a release may give a new replica, came to be.

const (
	slotLong  = 48 * hour // of one slot
	slotWatch = 24 * hour // how much of it is looked at
	hour      = 3600.0
	never     = math.MaxFloat64

	// The back-off of a kubelet 1.36: doubled from 10 s to 300 s, and forgotten where ten minutes lie between a start and the next
	// death (kubelet.go, flowcontrol.Backoff).
	firstWait, longestWait, forgottenAfter = 10.0, 300.0, 600.0
	startTakes                             = 1.0
)

// span is one life of a container; ended is never for one that outlasts the world.
type span struct {
	began, ended float64
	replica      int
	number       int32 // of the restart that it began with, 0 for the first of its replica
}

// ordeal is what befalls a container: how long a life that begins at a time lasts.
type ordeal func(at float64) float64

// fate is one sort of ordeal; draw makes one of it, with the times of the releases that give the slot a new replica.
type fate struct {
	name string
	// well is true where a person would call the container healthy.
	well bool
	draw func(r *rand.Rand) (o ordeal, releases []float64)
}

func uniform(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// onset is when the trouble begins: with the first life, or at some time of the looking.
func onset(r *rand.Rand, from float64) float64 {
	if r.IntN(2) == 0 {
		return 0
	}
	return from + uniform(r, 0, slotWatch/2)
}

// poisson is a container that dies by chance, at a rate an hour once its trouble has begun.
func poisson(r *rand.Rand, lo, hi, start float64) ordeal {
	mean := hour / math.Exp(uniform(r, math.Log(lo), math.Log(hi)))
	return after(start, func(float64) float64 { return mean * r.ExpFloat64() })
}

// after begins an ordeal at a time: the life that is lived then ends by it.
func after(start float64, o ordeal) ordeal {
	return func(at float64) float64 {
		if at < start {
			return start - at + o(start)
		}
		return o(at)
	}
}

// night is an ordeal that is over at its end; before and after it the container lives well.
func night(start, end float64, o ordeal) ordeal {
	return func(at float64) float64 {
		if at >= end {
			return never
		}
		first := max(at, start)
		if dies := first + o(first); dies < end {
			return dies - at
		}
		return never
	}
}

func even(r *rand.Rand, shortest, longest, jitter, start float64) ordeal {
	mean, part := uniform(r, shortest, longest), uniform(r, 0, jitter)
	return after(start, func(float64) float64 { return mean * max(0.1, 1+part*r.NormFloat64()) })
}

// fates are the kinds; from is when the looking begins.
func fates(from float64) []fate {
	only := func(o ordeal) (ordeal, []float64) { return o, nil }
	return []fate{
		{name: "never dies", well: true, draw: func(*rand.Rand) (ordeal, []float64) {
			return only(func(float64) float64 { return never })
		}},
		{name: "dies by chance, once in one to seven days", well: true, draw: func(r *rand.Rand) (ordeal, []float64) {
			return only(poisson(r, 1./(7*24), 1./24, 0))
		}},
		{name: "dies up to four times at its start, until what it needs is there", well: true, draw: func(r *rand.Rand) (ordeal, []float64) {
			deaths := 1 + r.IntN(4)
			return only(func(float64) float64 {
				if deaths--; deaths >= 0 {
					return uniform(r, 2, 60)
				}
				return never
			})
		}},
		{name: "dies by chance, 0.3 to 1.5 times an hour", draw: func(r *rand.Rand) (ordeal, []float64) {
			return only(poisson(r, 0.3, 1.5, onset(r, from)))
		}},
		{name: "dies by chance, 2 to 6 times an hour", draw: func(r *rand.Rand) (ordeal, []float64) {
			return only(poisson(r, 2, 6, onset(r, from)))
		}},
		{name: "dies every 8 to 20 minutes", draw: func(r *rand.Rand) (ordeal, []float64) {
			return only(even(r, 480, 1200, 0.1, onset(r, from)))
		}},
		{name: "dies every 25 to 90 minutes", draw: func(r *rand.Rand) (ordeal, []float64) {
			return only(even(r, 1500, 5400, 0.1, onset(r, from)))
		}},
		{name: "fills its heap in 10 to 40 minutes, by load", draw: func(r *rand.Rand) (ordeal, []float64) {
			mean, phase, start := uniform(r, 600, 2400), uniform(r, 0, 2*math.Pi), onset(r, from)
			return only(after(start, func(at float64) float64 {
				return mean / (1 + 0.6*math.Sin(2*math.Pi*at/(24*hour)+phase)) * math.Exp(0.2*r.NormFloat64())
			}))
		}},
		{name: "a bad release, taken back after hours", draw: func(r *rand.Rand) (ordeal, []float64) {
			start := from + uniform(r, hour, 8*hour)
			end := start + uniform(r, 0.5*hour, 4*hour)
			return night(start, end, even(r, 300, 1200, 0.5, 0)), []float64{start, end}
		}},
		{name: "a bad night of 1 to 4 hours, 3 to 8 deaths an hour", draw: func(r *rand.Rand) (ordeal, []float64) {
			start := from + uniform(r, hour, 12*hour)
			return only(night(start, start+uniform(r, hour, 4*hour), poisson(r, 3, 8, 0)))
		}},
		{name: "a dependency is away for 5 to 90 minutes", draw: func(r *rand.Rand) (ordeal, []float64) {
			start := from + uniform(r, hour, 12*hour)
			return only(night(start, start+uniform(r, 300, 1.5*hour), func(float64) float64 { return uniform(r, 2, 30) }))
		}},
		{name: "dies within a minute of its start, always", draw: func(r *rand.Rand) (ordeal, []float64) {
			life, start := uniform(r, 2, 60), onset(r, from)
			return only(after(start, func(float64) float64 { return life * (0.9 + 0.2*r.Float64()) }))
		}},
	}
}

// slot is what one container of a workload goes through.
type slot struct {
	lives []span
	born  []float64 // by replica
}

// live starts the container again after each death, as a kubelet does.
func (o ordeal) live(releases []float64) *slot {
	s := &slot{born: append([]float64{0}, releases...)}
	at, updated, wait := 0.0, -slotLong, 0.0
	var next span
	for at < slotLong {
		next.began, next.ended = at, min(never, at+o(at))
		if coming := next.replica + 1; coming < len(s.born) && next.ended >= s.born[coming] {
			next.ended = s.born[coming]
			s.lives = append(s.lives, next)
			at, updated, next = s.born[coming], -slotLong, span{replica: coming}
			continue
		}
		s.lives = append(s.lives, next)
		if next.ended >= slotLong {
			break
		}
		if next.ended-updated > forgottenAfter {
			at, wait = next.ended, firstWait
		} else {
			at = next.ended + wait
			wait = min(2*wait, longestWait)
		}
		if coming := next.replica + 1; coming < len(s.born) && at >= s.born[coming] { // taken away in its back-off
			at, updated, next = s.born[coming], -slotLong, span{replica: coming}
			continue
		}
		updated = at
		at += startTakes
		next.number++
	}
	return s
}

// within counts the restarts of a life's replica after from and up to to.
func (s *slot) within(replica int, from, to float64) int {
	n := 0
	for i := range s.lives {
		if l := &s.lives[i]; l.replica == replica && l.number > 0 && l.began > from && l.began <= to {
			n++
		}
	}
	return n
}

// status is the replica as a platform tells of it at the time; i is the newest life that had begun.
func (s *slot) status(i int, at float64) cluster.Replica {
	l := &s.lives[i]
	born := s.born[l.replica]
	c := cluster.Container{Name: "app", Kind: cluster.ContainerMain, Image: "web:1.5", Restarts: l.number, Started: true}
	if i > 0 && s.lives[i-1].replica == l.replica {
		c.Last = s.lives[i-1].termination()
	}
	r := cluster.Replica{
		Name: "web-" + strconv.Itoa(l.replica), UID: "u" + strconv.Itoa(l.replica), Node: "n1", Phase: cluster.PhaseRunning,
		CreatedAt: clock(born), StartedAt: clock(born), RestartsAlways: true,
	}
	switch {
	case at < l.ended:
		c.State, c.StartedAt, c.Ready = cluster.StateRunning, clock(l.began), true
		r.Ready, r.ReadySince = true, clock(l.began)
	case at < l.ended+startTakes:
		c.State, c.Terminated = cluster.StateTerminated, l.termination()
		r.ReadySince = clock(l.ended)
	default:
		c.State, c.WaitingReason, c.Last = cluster.StateWaiting, cluster.ReasonCrashLoopBackOff, l.termination()
		r.ReadySince = clock(l.ended)
	}
	r.Containers = []cluster.Container{c}
	return r
}

func (l *span) termination() *cluster.Termination {
	return &cluster.Termination{
		ContainerID: strconv.Itoa(l.replica) + "-" + strconv.Itoa(int(l.number)), ExitCode: 1, Reason: cluster.ReasonError,
		StartedAt: clock(l.began), FinishedAt: clock(l.ended),
	}
}

// clock is a time of the world as a status has it, in whole seconds.
func clock(at float64) time.Time { return now.Add(time.Duration(at) * time.Second) }
