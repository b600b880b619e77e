package leak

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/demoapp/internal/reap"
)

func TestMain(m *testing.M) {
	if os.Getenv("LEAK_TEST_CHILD") == "1" {
		ServeChild(context.Background(), os.Stdin, slog.New(slog.NewJSONHandler(os.Stdout, nil)), Plan{Rate: 1000, Size: 8})
		return
	}
	goleak.VerifyTestMain(m)
}

func TestLeakIsResidentUntilFreed(t *testing.T) {
	before, known := Resident()
	var memory Memory
	var reports []Progress
	leaked := memory.Leak(t.Context(), Plan{Rate: 1024, Size: 40}, func(p Progress) { reports = append(reports, p) })
	if leaked != 40*MiB || memory.Held() != 40*MiB {
		t.Fatalf("leaked %d and holds %d bytes, want 40 MiB", leaked, memory.Held())
	}
	if last := reports[len(reports)-1]; len(reports) < 3 || last.Leaked != 40*MiB || last.Held != 40*MiB {
		t.Errorf("reports are %v, want one each 16 MiB and one of all", reports)
	}
	if known {
		during, _ := Resident()
		if during-before < 35*MiB {
			t.Errorf("resident memory grew by %d bytes, want about 40 MiB", during-before)
		}
	}
	if freed := memory.Free(); freed != 40*MiB || memory.Held() != 0 {
		t.Errorf("freed %d and holds %d bytes, want 40 MiB and none", freed, memory.Held())
	}
}

func TestLeakEndsWithItsContextOrDuration(t *testing.T) {
	var memory Memory
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := memory.Leak(ctx, Plan{Rate: 1, Size: 1000}, func(Progress) {}); got != 0 {
		t.Errorf("a cancelled leak took %d bytes", got)
	}
	plan := Plan{Rate: 1, Size: 1000, Duration: 100 * time.Millisecond}
	if got := memory.Leak(t.Context(), plan, func(Progress) {}); got > MiB/10 {
		t.Errorf("a leak of 0.1 s at 1 MiB/s took %d bytes", got)
	}
}

func TestParseLimit(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int64
		known bool
	}{
		{"134217728\n", 128 * MiB, true},
		{"max\n", 0, false},
		{"9223372036854771712\n", 0, false},
		{"", 0, false},
	} {
		if limit, known := parseLimit(c.text); limit != c.limit || known != c.known {
			t.Errorf("%q is read as %d, %t", c.text, limit, known)
		}
	}
}

// The test plays the kernel: it kills the child with the signal the kernel uses.
func TestChildLeaksAndIsSeenToDie(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LEAK_TEST_CHILD", "1")
	pids := make(chan int, 1)
	reader, writer := io.Pipe()
	var output bytes.Buffer
	leaked := make(chan struct{})
	go func() {
		defer close(leaked)
		buffer := make([]byte, 4096)
		for !strings.Contains(output.String(), "leak ended") {
			n, err := reader.Read(buffer)
			if err != nil {
				return
			}
			output.Write(buffer[:n])
		}
		_ = reader.Close()
	}()
	go func() {
		pid := <-pids
		<-leaked
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}()
	child := Child{Command: []string{self}, Output: writer, Reaper: &reap.Reaper{}}
	death, err := child.Run(t.Context(), Plan{Rate: 1000, Size: 8}, func(pid int) { pids <- pid })
	_ = writer.Close()
	<-leaked
	if err != nil {
		t.Fatal(err)
	}
	if death.ExitCode != 137 || death.Signal != "killed" {
		t.Errorf("the child died as %+v, want 137 by SIGKILL", death)
	}
	if !strings.Contains(output.String(), `"leaked_mib":8`) {
		t.Errorf("the child printed %q, want that 8 MiB leaked", output.String())
	}
}

func TestChildEndsWithItsParentsPipe(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ServeChild(t.Context(), strings.NewReader(""), slog.New(slog.DiscardHandler), Plan{Rate: 1, Size: 1000})
	}()
	<-done
}

func TestChildThatCannotStart(t *testing.T) {
	child := Child{Command: []string{"/no/such/program"}, Output: io.Discard, Reaper: &reap.Reaper{}}
	if _, err := child.Run(t.Context(), Plan{}, func(int) {}); err == nil {
		t.Error("starting a missing program gave no error")
	}
}

func BenchmarkTake(b *testing.B) {
	var memory Memory
	b.SetBytes(chunk)
	for b.Loop() {
		memory.take(chunk)
		if memory.bytes > 64*MiB {
			memory.held, memory.bytes = nil, 0
		}
	}
}
