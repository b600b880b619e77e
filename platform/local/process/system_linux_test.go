package process

import (
	"testing"
	"time"
)

func FuzzParseStat(f *testing.F) {
	const line = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 7 0 987 1000 256 18446744073709551615"
	f.Add([]byte(line))
	f.Add([]byte("1 (x) Z 0"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, ok := parseStat(1, line, 4096)
		if ok && (m.CPU < 0 && len(line) < 100) {
			t.Errorf("negative time from %q", line)
		}
	})
	m, ok := parseStat(42, []byte(line), 4096)
	if want := (Member{PID: 42, CPU: 2500 * time.Millisecond, Memory: 256 * 4096, started: 987}); !ok || m != want {
		f.Errorf("got %+v, %v; want %+v", m, ok, want)
	}
}

func BenchmarkRead(b *testing.B) {
	r := newReader()
	for b.Loop() {
		r.member(1)
	}
}

func BenchmarkDescendants(b *testing.B) {
	r := newReader()
	for b.Loop() {
		r.descendants(1)
	}
}
