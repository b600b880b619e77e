package template

import "strings"

// severity of a line, the worse the higher.
type severity int8

// The severities.
const (
	plain severity = iota
	warning
	failure
	fatal
)

// maxWord is the longest word that wordSeverity knows, longer ones are only looked at for their end.
const maxWord = 16

// severityOf returns the worst of the words in the text: levels as loggers write them, and what failures are called.
// A word that is said not to be there ("0 errors", "err=nil") does not count.
func severityOf(text string) severity {
	worst := klogSeverity(text)
	before := "" // the word or number before
	for i := 0; i < len(text); {
		c := text[i]
		if !isAlnum(c) {
			i++
			continue
		}
		start := i
		for i < len(text) && isAlnum(text[i]) {
			i++
		}
		word := text[start:i]
		if s := wordSeverity(word); s > worst && !absent(before) && !zero(text[i:]) {
			worst = s
		}
		before = word
	}
	if worst < fatal {
		for _, phrase := range []string{"out of memory", "core dumped", "stack overflow", "egmentation fault", "goroutine stack exceeds"} {
			if strings.Contains(text, phrase) {
				return fatal
			}
		}
	}
	return worst
}

// klogSeverity reads the first letter of a line as klog and glog write it: "E1120 12:00:00.123456 …".
func klogSeverity(text string) severity {
	if len(text) < 6 || text[5] != ' ' || strings.Trim(text[1:5], "0123456789") != "" {
		return plain
	}
	switch text[0] {
	case 'W':
		return warning
	case 'E':
		return failure
	case 'F':
		return fatal
	default:
		return plain
	}
}

// absent reports whether the word before says that there is none.
func absent(before string) bool {
	return before == "0" || strings.EqualFold(before, "no") || strings.EqualFold(before, "without")
}

// zero reports whether what follows a word says that its value is none: "=0 ", ": null".
func zero(rest string) bool {
	rest = strings.TrimLeft(rest, `"\`)
	if rest == "" || (rest[0] != '=' && rest[0] != ':') {
		return false
	}
	value := strings.TrimLeft(rest[1:], ` "\`)
	if end := strings.IndexAny(value, ` ,;}"\`); end >= 0 {
		value = value[:end]
	}
	switch value {
	case "", "0", "nil", "<nil>", "null", "none", "None", "false":
		return rest[1:] != "" // a colon that ends the line says nothing
	default:
		return false
	}
}

func wordSeverity(word string) severity {
	if len(word) > maxWord {
		return endSeverity(word)
	}
	var low [maxWord]byte
	for i := range len(word) {
		low[i] = lower(word[i])
	}
	switch string(low[:len(word)]) {
	case "panic", "panicked", "panicking", "fatal", "oom", "oomkilled", "outofmemory", "segfault", "sigsegv", "sigabrt", "sigbus", "sigkill",
		"sigill", "emerg", "emergency", "critical", "crit", "abort", "aborted", "aborting", "unhandled", "uncaught", "traceback", "deadlock",
		"outofmemoryerror", "dpanic", "assertion", "corrupt", "corrupted", "corruption":
		return fatal
	case "error", "errors", "err", "eror", "exception", "failed", "failure", "failures", "fail", "fails", "failing", "refused", "denied",
		"unreachable", "cannot", "couldn", "unable", "timeout", "timedout", "exceeded", "severe", "unauthorized", "forbidden", "rejected",
		"reset", "broken", "killed", "unavailable", "alert", "crash", "crashed", "crashing", "expired", "exhausted", "missing", "invalid",
		"unexpected", "undefined", "terminated", "enoent", "econnrefused", "econnreset", "etimedout", "enospc", "eacces", "eaddrinuse":
		return failure
	case "warn", "warning", "warnings", "retry", "retrying", "slow", "deprecated", "degraded", "dropped", "unhealthy", "stale", "backoff",
		"throttled", "throttling", "skipped", "lost", "delayed":
		return warning
	}
	return endSeverity(word)
}

// endSeverity knows names of classes: java.lang.NullPointerException, ValueError.
func endSeverity(word string) severity {
	if len(word) > len("Error") && (strings.HasSuffix(word, "Error") || strings.HasSuffix(word, "Exception")) {
		if strings.HasSuffix(word, "OutOfMemoryError") || strings.HasSuffix(word, "OutOfMemoryException") || word == "MemoryError" {
			return fatal
		}
		return failure
	}
	return plain
}

// levelSeverity reads the value of a level field: a name, or a number of bunyan and pino (50 is error, 60 fatal).
func levelSeverity(level string) severity {
	switch strings.ToLower(level) {
	case "40", "w":
		return warning
	case "50", "e":
		return failure
	case "60", "f":
		return fatal
	default:
		return wordSeverity(level)
	}
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { c = lower(c); return c >= 'a' && c <= 'z' }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
