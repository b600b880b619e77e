//go:build linux

package burn

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func processTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// The process's own CPU time is the judge here, not what the package says of itself. Catching up makes
// the amount independent of how busy the machine is unless it is starved for the whole run.
func TestRunReallyBurns(t *testing.T) {
	for _, plan := range []Plan{
		{Workers: 1, Share: 0.2, Duration: 800 * time.Millisecond},
		{Workers: 2, Share: 0.1, Duration: 800 * time.Millisecond},
	} {
		asked := time.Duration(float64(plan.Workers) * plan.Share * float64(plan.Duration))
		before := processTime(t)
		said := Run(t.Context(), plan)
		burnt := processTime(t) - before
		if burnt < asked/2 {
			t.Errorf("%+v: the process used %v, want more than half of %v", plan, burnt, asked)
		}
		if said > asked+asked/2 {
			t.Errorf("%+v: the load says it burnt %v, want about %v", plan, said, asked)
		}
	}
}

func TestSpendBurnsTheAmount(t *testing.T) {
	before := processTime(t)
	said := Spend(t.Context(), 50*time.Millisecond)
	if burnt := processTime(t) - before; burnt < 40*time.Millisecond || said < 50*time.Millisecond {
		t.Errorf("the process used %v and Spend says %v, want at least 50ms", burnt, said)
	}
}

func TestBothStopWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Run(ctx, Plan{Workers: 2, Share: 1, Duration: time.Hour}); got > time.Second {
		t.Errorf("a cancelled run burnt %v", got)
	}
	if got := Spend(ctx, time.Hour); got > time.Second {
		t.Errorf("a cancelled spend burnt %v", got)
	}
}

func BenchmarkSpin(b *testing.B) {
	for b.Loop() {
		spin()
	}
}
