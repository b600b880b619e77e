package leak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/correlation"
	"github.com/homeostat/homeostat/demoapp/internal/reap"
)

// Log leaks into memory as the plan says and logs the progress, as "leaking memory" with leaked_mib and,
// where the system tells them, resident_mib and limit_mib.
func Log(ctx context.Context, log *slog.Logger, memory *Memory, plan Plan) {
	log.LogAttrs(ctx, slog.LevelWarn, "memory leak started", append(Attrs(), slog.Int("target_mib", plan.Size),
		slog.Float64("rate_mib_per_second", plan.Rate))...)
	leaked := memory.Leak(ctx, plan, func(p Progress) {
		log.LogAttrs(ctx, slog.LevelWarn, "leaking memory", append(Attrs(),
			slog.Float64("leaked_mib", InMiB(p.Leaked)), slog.Int("target_mib", plan.Size),
			slog.Float64("rate_mib_per_second", plan.Rate))...)
	})
	log.LogAttrs(ctx, slog.LevelWarn, "leak ended, memory is kept", append(Attrs(),
		slog.Float64("leaked_mib", InMiB(leaked)))...)
}

// Attrs returns the memory of this process and its limit as log attributes, as far as they are known.
func Attrs() []slog.Attr {
	var attrs []slog.Attr
	if resident, ok := Resident(); ok {
		attrs = append(attrs, slog.Float64("resident_mib", InMiB(resident)))
	}
	if limit, ok := Limit(); ok {
		attrs = append(attrs, slog.Float64("limit_mib", InMiB(limit)))
	}
	return attrs
}

// InMiB converts bytes to MiB with one decimal.
func InMiB(bytes int64) float64 {
	return math.Round(float64(bytes)/MiB*10) / 10
}

// Child is a process of its own that leaks.
type Child struct {
	// Command is the program and its arguments; the plan is appended to them as flags.
	Command []string
	// Output takes what the child prints: its log lines.
	Output io.Writer
	// Reaper starts the child and collects it.
	Reaper *reap.Reaper
}

// Death is how a child ended.
type Death struct {
	// PID is the id it had.
	PID int
	// ExitCode is what it exited with, or 128 plus the number of the signal that killed it.
	ExitCode int
	// Signal is the name of that signal, or "".
	Signal string
	// Age is how long it lived.
	Age time.Duration
}

// Run starts the child, calls started with its id, and waits until it is dead. The child is killed when
// the context is done, and ends by itself when this process dies. Run fails only if the child cannot be started.
func (c Child) Run(ctx context.Context, plan Plan, started func(pid int)) (Death, error) {
	args := append([]string{}, c.Command[1:]...)
	args = append(args, "--rate", strconv.FormatFloat(plan.Rate, 'f', -1, 64), "--size", strconv.Itoa(plan.Size),
		"--duration", plan.Duration.String(), "--correlation-id", correlation.From(ctx))
	cmd := exec.CommandContext(ctx, c.Command[0], args...)
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	// The child reads this pipe and ends at its end, which also comes when this process is killed.
	alive, err := cmd.StdinPipe()
	if err != nil {
		return Death{}, fmt.Errorf("open pipe to child: %w", err)
	}
	begin := time.Now()
	if err := c.Reaper.Start(cmd); err != nil {
		return Death{}, errors.Join(fmt.Errorf("start child: %w", err), alive.Close())
	}
	started(cmd.Process.Pid)
	// The error only repeats the process state, which is read below.
	_ = c.Reaper.Wait(cmd)
	death := Death{PID: cmd.Process.Pid, ExitCode: cmd.ProcessState.ExitCode(), Age: time.Since(begin)}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		death.Signal = status.Signal().String()
		death.ExitCode = 128 + int(status.Signal())
	}
	return death, nil
}

// ServeChild is the child's side: it leaks as the plan says, keeps the memory, and returns when stdin
// ends or the context is done.
func ServeChild(ctx context.Context, stdin io.Reader, log *slog.Logger, plan Plan) {
	// The kernel should choose this process and not the parent when the limit is reached. Raising the
	// own score needs no privilege; where the file does not exist the larger process is chosen anyway.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
		log.DebugContext(ctx, "the kernel may choose the parent", "error", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	var memory Memory
	Log(ctx, log, &memory, plan)
	<-ctx.Done()
}
