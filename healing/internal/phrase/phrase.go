// Package phrase words numbers and lists for sentences that people read. It rounds, so nothing may be decided from what
// it returns.
package phrase

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bytes words an amount of memory in binary units: "127 MiB", "1.5 GiB".
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, name := float64(n)/unit, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if v < unit {
			break
		}
		v, name = v/unit, next
	}
	if v >= 10 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f %s", v, name)
	}
	return fmt.Sprintf("%.1f %s", v, name)
}

// Span words a duration with its one or two largest units: "35 s", "4 min", "1 h 5 min", "2 d 3 h".
func Span(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	d = d.Round(time.Second)
	s := int64(d / time.Second)
	switch {
	case s < 120:
		return strconv.FormatInt(s, 10) + " s"
	case s < 3600:
		return two(s/60, "min", 0, "")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "min")
	default:
		return two(s/86400, "d", s%86400/3600, "h")
	}
}

func two(a int64, unitA string, b int64, unitB string) string {
	out := strconv.FormatInt(a, 10) + " " + unitA
	if b > 0 {
		out += " " + strconv.FormatInt(b, 10) + " " + unitB
	}
	return out
}

// Count words a number of things: "1 restart", "3 restarts". The plural is the singular with an s.
func Count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}

// Cut shortens a text to at most limit bytes, at a rune's border, with an ellipsis where something is missing. A line
// break becomes a space, and bytes that are no UTF-8 are left out.
func Cut(s string, limit int) string {
	const ellipsis = "…"
	if len(s) > 4*limit {
		s = s[:4*limit]
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if len(s) <= limit {
		return s
	}
	cut := 0
	for i := range s {
		if i > limit-len(ellipsis) {
			break
		}
		cut = i
	}
	return strings.TrimSpace(s[:cut]) + ellipsis
}
