// Package leak holds memory on purpose: at a given rate, up to a given size, in pages that are touched
// and so resident, in this process or in a child process. What limits and kills is the system's business;
// the package only reports how far it got.
package leak

import (
	"context"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MiB is the number of bytes in a mebibyte.
const MiB = 1 << 20

const (
	step = 50 * time.Millisecond
	// chunk is the size of one allocation: small enough that a leak moves smoothly, large enough that
	// the garbage collector has little to count.
	chunk = 256 << 10
	// report is how much may leak between two reports, besides one report a second. A fast leak reaches
	// its limit within a second, and its last report should then still be near the limit.
	report = 16 * MiB
)

// Plan says how to leak.
type Plan struct {
	// Rate is in MiB/s.
	Rate float64
	// Size is in MiB; the leak ends there and keeps what it has.
	Size int
	// Duration ends the leak earlier. Zero means when Size is reached.
	Duration time.Duration
}

// Progress is how far a leak is.
type Progress struct {
	// Leaked is what this leak has taken so far, in bytes.
	Leaked int64
	// Held is what all leaks of the Memory hold together, in bytes.
	Held int64
}

// Memory is what has been leaked. The zero value is empty and ready; it is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	held  [][]byte
	bytes int64
}

// Leak takes memory as the plan says and keeps it. It calls progress about once a second, each 16 MiB and at
// the end, from its own goroutine, and returns what it took, in bytes, when the plan is done or the
// context is.
func (m *Memory) Leak(ctx context.Context, plan Plan, progress func(Progress)) int64 {
	size := int64(plan.Size) * MiB
	start := time.Now()
	var leaked, reported int64
	said := start
	say := func() {
		reported, said = leaked, time.Now()
		progress(Progress{Leaked: leaked, Held: m.Held()})
	}
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for ctx.Err() == nil && leaked < size {
		elapsed := time.Since(start)
		if plan.Duration > 0 && elapsed >= plan.Duration {
			break
		}
		due := min(size, int64(plan.Rate*MiB*elapsed.Seconds()))
		for leaked < due && ctx.Err() == nil {
			leaked += m.take(min(chunk, due-leaked))
			if leaked-reported >= report {
				say()
			}
		}
		if time.Since(said) >= time.Second {
			say()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	if leaked > reported || said.Equal(start) {
		say()
	}
	return leaked
}

// Take holds n more bytes as fast as it can, or fewer where ctx ends before.
func (m *Memory) Take(ctx context.Context, n int64) {
	for n > 0 && ctx.Err() == nil {
		n -= m.take(min(chunk, n))
	}
}

// take holds n more bytes. Writing to each page is what makes the system give it real memory.
func (m *Memory) take(n int64) int64 {
	const page = 4096
	block := make([]byte, n)
	for i := 0; i < len(block); i += page {
		block[i] = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = append(m.held, block)
	m.bytes += n
	return n
}

// Held returns how many bytes are held.
func (m *Memory) Held() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// Free lets go of everything, gives it back to the system and returns how many bytes that were.
func (m *Memory) Free() int64 {
	m.mu.Lock()
	freed := m.bytes
	m.held, m.bytes = nil, 0
	m.mu.Unlock()
	debug.FreeOSMemory()
	return freed
}

// Resident returns the resident memory of this process in bytes, and whether the system tells it.
func Resident() (int64, bool) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}

// Limit returns the memory limit of the control group this process sees as the root, in bytes, and
// whether there is one. Inside a container that is the container's own limit.
func Limit() (int64, bool) {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		return parseLimit(string(text))
	}
	return 0, false
}

// parseLimit reads "max" and, as version 1 writes it, any number near the largest as no limit.
func parseLimit(text string) (int64, bool) {
	const unlimited = 1 << 60
	limit, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || limit <= 0 || limit >= unlimited {
		return 0, false
	}
	return limit, true
}
