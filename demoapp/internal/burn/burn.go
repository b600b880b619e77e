// Package burn uses CPU time on purpose, and as much of it as was asked for. On Linux it measures the
// CPU time of its own threads, so that time the scheduler or a quota took away does not count as burnt;
// elsewhere it takes the time that passed for it.
package burn

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// period is the length of one duty cycle. It is far below both the 100 ms in which Linux accounts a CPU
// quota and any scrape interval, so the load looks steady to both.
const period = 20 * time.Millisecond

// Plan is a load for a time.
type Plan struct {
	// Workers is how many threads burn side by side.
	Workers int
	// Share is the part of one core that each worker burns, from 0 to 1.
	Share float64
	// Duration is how long the load lasts.
	Duration time.Duration
}

// Run burns what the plan says, and returns the CPU time really used. It blocks until the duration has
// passed or the context is done. A worker that got too little CPU time in one cycle catches up in the next ones.
func Run(ctx context.Context, plan Plan) time.Duration {
	spent := make([]time.Duration, plan.Workers)
	var workers sync.WaitGroup
	for i := range spent {
		workers.Go(func() { spent[i] = work(ctx, plan.Share, plan.Duration) })
	}
	workers.Wait()
	var total time.Duration
	for _, s := range spent {
		total += s
	}
	return total
}

// Spend burns an amount of CPU time as fast as it can, and returns the CPU time used. It is less than
// asked only if the context is done before.
func Spend(ctx context.Context, cpu time.Duration) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime()
	for ctx.Err() == nil && threadTime()-begin < cpu {
		spin()
	}
	return threadTime() - begin
}

func work(ctx context.Context, share float64, duration time.Duration) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, begin := time.Now(), threadTime()
	for cycle := int64(1); ctx.Err() == nil; cycle++ {
		end := min(time.Duration(cycle)*period, duration)
		owed := time.Duration(share * float64(end))
		for ctx.Err() == nil && threadTime()-begin < owed && time.Since(start) < duration {
			spin()
		}
		if end == duration {
			break
		}
		pause(ctx, time.Until(start.Add(end)))
	}
	return threadTime() - begin
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// spin works for some ten microseconds: long enough that reading the clock in between costs little.
func spin() {
	x := uint64(88172645463325252)
	for range 8192 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	runtime.KeepAlive(x)
}
