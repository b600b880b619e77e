package logs

import "time"

// Line is one line of a log.
type Line struct {
	// At is when it was written, as the source of the log says; zero: not known.
	At time.Time
	// Text is the line without its end.
	Text string
}

// Query asks a store of logs for the lines of one container, in one replica or several.
type Query struct {
	Namespace string
	// Replicas are the names of the pods, at least one.
	Replicas  []string
	Container string
	// From is the first time and To the first one that is not meant any more.
	From, To time.Time
	// MaxLines and MaxBytes bound the answer; both must be positive. Of what is too much the oldest lines are left out, and with
	// Forward the newest.
	MaxLines, MaxBytes int
	Forward            bool
}

// Texts returns the texts of the lines in their order.
func Texts(lines []Line) []string {
	out := make([]string, len(lines))
	for i := range lines {
		out[i] = lines[i].Text
	}
	return out
}
