package phrase

import (
	"testing"
	"time"
	"unicode/utf8"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 128 << 20: "128 MiB", 127<<20 + 1: "127 MiB", 3 << 29: "1.5 GiB", 1 << 60: "1048576 TiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 250 * time.Millisecond: "250 ms", 35 * time.Second: "35 s", 4 * time.Minute: "4 min", time.Hour + 5*time.Minute: "1 h 5 min",
		51 * time.Hour: "2 d 3 h", -90 * time.Second: "90 s",
	} {
		if got := Span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	if a, b := Count(1, "restart"), Count(0, "restart"); a != "1 restart" || b != "0 restarts" {
		t.Errorf("%q, %q", a, b)
	}
}

func FuzzCut(f *testing.F) {
	f.Add("a\nb  c", 3)
	f.Add("ééééé\xff", 5)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 4 + limit&0xff
		if got := Cut(s, limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("%q with limit %d gives %q", s, limit, got)
		}
	})
}
