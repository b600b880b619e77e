package remedy

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/incident"
)

// The runtime sorts allocations by growing size, so that the largest are the last: here they come first.
func TestTheLargestGroupsComeFirst(t *testing.T) {
	t.Parallel()
	heap := "heap profile: 3: 3072 [9: 9216] @ heap/1048576\n" +
		"0: 0 [5: 5120] @ 0x1\n#\t0x1\tmain.freed+0x1\t/src/main.go:1\n\n" +
		"1: 1024 [1: 1024] @ 0x2 0x3\n#\t0x2\tmain.small+0x2\t/src/main.go:2\n\n" +
		"2: 2048 [2: 2048] @ 0x4\n#\t0x4\tmain.large+0x4\t/src/main.go:4\n#\t0x5\tmain.f5+0x5\t/src/a.go:5\n#\t0x6\tmain.f6+0x6\t/src/a.go:6\n" +
		"#\t0x7\tmain.f7+0x7\t/src/a.go:7\n#\t0x8\tmain.f8+0x8\t/src/a.go:8\n\n" +
		"# runtime.MemStats\n# Alloc = 7\n"
	what, lines := summary(heap)
	want := []string{
		"2: 2048 [2: 2048]", "  main.large+0x4 /src/main.go:4", "  main.f5+0x5 /src/a.go:5", "  main.f6+0x6 /src/a.go:6", "  main.f7+0x7 /src/a.go:7",
		"1: 1024 [1: 1024]", "  main.small+0x2 /src/main.go:2",
	}
	if diff := cmp.Diff(want, lines); diff != "" || !strings.Contains(what, "bytes in use") {
		t.Errorf("%s, -want +got:\n%s", what, diff)
	}
}

func TestWhatTheRuntimeWritesIsRead(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	for range 50 {
		go func() { <-stop }()
	}
	for _, name := range []string{"goroutine", "heap"} {
		var b bytes.Buffer
		if err := pprof.Lookup(name).WriteTo(&b, 1); err != nil {
			t.Fatal(err)
		}
		what, lines := summary(b.String())
		if what == "its beginning" || name == "goroutine" && (len(lines) == 0 || !strings.HasSuffix(lines[0], " goroutines at")) {
			t.Errorf("%s: %q, %v", name, what, lines)
		}
	}
}

func TestAnotherTextIsShownFromItsBeginning(t *testing.T) {
	t.Parallel()
	what, lines := summary("\nthread main\r\n  at work (app.js:1)\n")
	if diff := cmp.Diff([]string{"thread main", "  at work (app.js:1)"}, lines); what != "its beginning" || diff != "" {
		t.Errorf("%s, -want +got:\n%s", what, diff)
	}
}

func FuzzSummary(f *testing.F) {
	f.Add("goroutine profile: total 3\n3 @ 0x1\n#\t0x1\tmain.main+0x1\t/src/main.go:1\n")
	f.Add("heap profile: 1: 2 [3: 4] @ heap/5\n1: 2 [3: 4] @ 0x1\n#\t0x1\tf\tg\n# runtime.MemStats\n")
	f.Add("x\n" + strings.Repeat("ü", 300))
	var many strings.Builder
	many.WriteString("goroutine profile: total 100\n")
	for i := range 100 {
		fmt.Fprintf(&many, "%d @ 0x1\n#\t0x1\t%s\tx\n", i, strings.Repeat("f", 400))
	}
	f.Add(many.String())
	f.Fuzz(func(t *testing.T, text string) {
		what, lines := summary(text)
		size := len(what)
		for _, l := range lines {
			size += len(l)
			if !utf8.ValidString(l) || len(l) > lineBytes || strings.Contains(l, "\n") {
				t.Errorf("line %q", l)
			}
		}
		if len(lines) > incident.MaxLogLines || size > incident.MaxLogBytes+len(what) {
			t.Errorf("%d lines, %d bytes", len(lines), size)
		}
	})
}

// What listens on the port need not be pprof.
func TestAnotherTextIsMasked(t *testing.T) {
	t.Parallel()
	_, lines := summary("<h1>settings</h1>\ndb_password=hunter2\n")
	if diff := cmp.Diff([]string{"<h1>settings</h1>", "db_password=***"}, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
