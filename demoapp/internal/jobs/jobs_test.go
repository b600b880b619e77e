package jobs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func untilStopped(ctx context.Context) { <-ctx.Done() }

func TestLimitIsPerKind(t *testing.T) {
	var set Jobs
	defer set.Close()
	for range 2 {
		if err := set.Start(t.Context(), "cpu", 2, 4, untilStopped); err != nil {
			t.Fatal(err)
		}
	}
	err := set.Start(t.Context(), "cpu", 1, 4, untilStopped)
	var full *FullError
	if !errors.As(err, &full) || full.Running != 4 || full.Limit != 4 || full.Asked != 1 {
		t.Errorf("error is %v, want that 4 of 4 are running", err)
	}
	if err := set.Start(t.Context(), "memory", 1, 4, untilStopped); err != nil {
		t.Errorf("another kind was refused: %v", err)
	}
	if n := set.Stop("cpu"); n != 2 || set.Weight("cpu") != 0 || set.Weight("memory") != 1 {
		t.Errorf("stopped %d, left cpu %d and memory %d; want 2, 0 and 1", n, set.Weight("cpu"), set.Weight("memory"))
	}
}

func TestJobOutlivesItsRequestAndMakesRoomAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set Jobs
		ctx, cancel := context.WithCancel(t.Context())
		finish := make(chan struct{})
		if err := set.Start(ctx, "cpu", 1, 1, func(ctx context.Context) {
			select {
			case <-finish:
			case <-ctx.Done():
				t.Error("the job ended with its request")
			}
		}); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		close(finish)
		synctest.Wait()
		if got := set.Weight("cpu"); got != 0 {
			t.Errorf("an ended job still weighs %d", got)
		}
	})
}

func TestNothingStartsAfterClose(t *testing.T) {
	var set Jobs
	set.Close()
	if err := set.Start(t.Context(), "cpu", 1, 1, func(context.Context) { t.Error("a job started after Close") }); err != nil {
		t.Fatal(err)
	}
	set.Close()
}
