package remedy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
)

const (
	// topStacks of a profile are kept, each with at most stackLines frames, of at most lineBytes.
	topStacks  = 8
	stackLines = 4
	lineBytes  = 200
)

// stack is one group of a profile: goroutines that stand at the same place, or allocations that were made there.
type stack struct {
	head   string
	weight int64
	frames []string
}

// summary returns what a profile in the text form of runtime/pprof (debug=1) says, in a few words, and its largest groups. Of any
// other text it returns the beginning.
func summary(text string) (what string, lines []string) {
	first, rest, _ := strings.Cut(text, "\n")
	first = strings.TrimSpace(strings.ToValidUTF8(first, ""))
	weigh := goroutines
	switch {
	case strings.HasPrefix(first, "goroutine profile: "):
		what = strings.TrimPrefix(first, "goroutine profile: ") + " goroutines, the largest groups"
		if total, is := strings.CutPrefix(first, "goroutine profile: total "); is {
			what = total + " goroutines, the largest groups"
		}
	case strings.HasPrefix(first, "heap profile: "):
		weigh = inUse
		what = "the largest allocations in use (objects: bytes in use [ever: bytes ever])"
	default:
		for line := range strings.Lines(text) {
			if line = clean(line); line != "" && len(lines) < topStacks*stackLines {
				lines = append(lines, line)
			}
		}
		return "its beginning", bounded(lines)
	}
	stacks := readStacks(rest, weigh)
	slices.SortStableFunc(stacks, func(a, b stack) int { return cmp.Compare(b.weight, a.weight) })
	for i := range stacks[:min(len(stacks), topStacks)] {
		lines = append(lines, stacks[i].head)
		lines = append(lines, stacks[i].frames...)
	}
	return what, bounded(lines)
}

// readStacks reads groups such as "5 @ 0x43 0x44", each followed by its frames: "#	0x43	main.work+0x1f	/src/main.go:12".
func readStacks(text string, weigh func(string) (string, int64, bool)) []stack {
	var out []stack
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "# runtime.MemStats"):
			return out
		case strings.HasPrefix(line, "#"):
			fields := strings.Fields(strings.TrimPrefix(line, "#"))
			if n := len(out); n > 0 && len(fields) >= 2 && len(out[n-1].frames) < stackLines {
				out[n-1].frames = append(out[n-1].frames, clean("  "+strings.Join(fields[1:], " ")))
			}
		default:
			if head, weight, ok := weigh(line); ok {
				out = append(out, stack{head: head, weight: weight})
			}
		}
	}
	return out
}

// goroutines reads "5 @ 0x43 0x44".
func goroutines(line string) (head string, count int64, ok bool) {
	number, _, found := strings.Cut(line, " @")
	count, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	return fmt.Sprintf("%d goroutines at", count), count, found && err == nil
}

// inUse reads "1: 1048576 [1: 1048576] @ 0x43".
func inUse(line string) (head string, bytes int64, ok bool) {
	numbers, _, found := strings.Cut(line, " @")
	now, _, _ := strings.Cut(numbers, " [")
	_, size, is := strings.Cut(now, ": ")
	bytes, err := strconv.ParseInt(strings.TrimSpace(size), 10, 64)
	return clean(numbers), bytes, found && is && err == nil && bytes > 0
}

// clean masks too: whatever listens on the port may answer something else than a profile.
func clean(line string) string {
	return cut(logs.Mask(strings.TrimRight(strings.ToValidUTF8(line, ""), " \t\r\n")), lineBytes)
}

// bounded keeps the first lines: the largest groups. Evidence itself would keep the last ones.
func bounded(lines []string) []string {
	size := 0
	for i, l := range lines {
		if size += len(l); i >= incident.MaxLogLines || size > incident.MaxLogBytes {
			return lines[:i]
		}
	}
	return lines
}
