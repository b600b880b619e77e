package burn

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime returns the CPU time of the calling thread, to which the goroutine must be locked.
func threadTime() time.Duration {
	var ts unix.Timespec
	// The call cannot fail: the clock exists on every Linux and the pointer is valid.
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}
