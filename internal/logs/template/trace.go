package template

import "strings"

// cutOff is the text of a trace without its head.
const cutOff = "stack trace"

// event is one line, or a stack trace of several.
type event struct {
	// text is the line, of a trace the line that names the failure.
	text string
	// frame is the function that a trace blames, empty for a single line.
	frame string
	trace bool
	// example is the line as it was, of a trace its beginning.
	example string
}

// events groups the lines of stack traces: Python, Go, and what writes its frames as "at function" (Java, JavaScript, .NET).
// Empty lines are left out.
func events(lines []string) []event {
	var out []event
	for i := 0; i < len(lines); {
		line := strings.TrimSpace(lines[i])
		if line == "" {
			i++
			continue
		}
		e, n := traceAt(lines[i:])
		if n == 0 {
			e, n = event{text: line, example: line}, 1
		}
		out = append(out, e)
		i += n
	}
	return out
}

// traceAt returns the trace that begins with the first line and how many lines it has, 0 for none.
func traceAt(lines []string) (event, int) {
	line := strings.TrimSpace(lines[0])
	switch {
	case strings.HasSuffix(line, "Traceback (most recent call last):"):
		return pythonTrace(lines)
	case isGoHead(line), isGoroutine(line), isGoFrame(lines):
		return goTrace(lines)
	case lines[0][0] == '\t': // inside of a trace whose head is cut off
	case len(lines) > 1 && isGoroutine(lines[1]), len(lines) > 2 && strings.TrimSpace(lines[1]) == "" && isGoroutine(lines[2]):
		return goTrace(lines)
	}
	if isFrame(lines[0]) || len(lines) > 1 && isFrame(lines[1]) {
		return frameTrace(lines)
	}
	return event{}, 0
}

// pythonTrace is named by the exception at its end; of a chain, by the last one.
func pythonTrace(lines []string) (event, int) {
	e := event{trace: true, text: strings.TrimSpace(lines[0])}
	end := 1
	for i := 1; i < len(lines); i++ {
		line := lines[i]
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "", strings.HasPrefix(trimmed, "During handling of the above exception"),
			strings.HasPrefix(trimmed, "The above exception was the direct cause"),
			strings.HasSuffix(trimmed, "Traceback (most recent call last):"):
			continue // counted with what follows
		case line[0] == ' ' || line[0] == '\t':
			if at := strings.LastIndex(trimmed, ", in "); at >= 0 && strings.HasPrefix(trimmed, "File ") {
				e.frame = trimmed[at+len(", in "):]
			}
			end = i + 1
		case end == i: // the exception itself
			e.text, end = trimmed, i+1
			if !chainsOn(lines[end:]) {
				return finish(e), end
			}
		default:
			return finish(e), end
		}
	}
	return finish(e), end
}

// chainsOn reports whether the next line that is not empty says that another exception follows.
func chainsOn(lines []string) bool {
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" {
			return strings.HasPrefix(l, "During handling of the above exception") || strings.HasPrefix(l, "The above exception was the direct cause")
		}
	}
	return false
}

func isGoHead(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "SIGQUIT: ")
}

func isGoroutine(line string) bool {
	rest, ok := strings.CutPrefix(line, "goroutine ")
	return ok && rest != "" && isDigit(rest[0]) && strings.Contains(rest, " [")
}

// goTrace is named by its first line, or by the first goroutine where that is cut off; all goroutines of a dump belong to it.
func goTrace(lines []string) (event, int) {
	e := event{trace: true, text: strings.TrimSpace(lines[0])}
	end := 1
	inside := isGoroutine(lines[0])
	if isGoFrame(lines) { // its head is cut off
		e.text, e.frame, inside = cutOff, e.text[:strings.LastIndexByte(e.text, '(')], true
	}
	for i := 1; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case isGoroutine(line), strings.HasPrefix(line, "runtime stack:"):
			inside = true
		case strings.HasPrefix(line, "[signal "), strings.HasPrefix(line, "[recovered]"), strings.HasPrefix(line, "created by "),
			strings.HasPrefix(line, "exit status "), strings.HasPrefix(line, "...additional frames elided"), strings.HasPrefix(line, "panic("),
			line[0] == '\t', isGoHead(line), isRegister(line):
		case inside && isGoCall(line):
			if e.frame == "" && !strings.HasPrefix(line, "runtime.") && !strings.HasPrefix(line, "runtime/") {
				e.frame = line[:strings.LastIndexByte(line, '(')]
			}
		default:
			return finish(e), end
		}
		end = i + 1
	}
	return finish(e), end
}

// isGoFrame reports whether the lines begin with a call and its place: "main.work(0x1)" and "\t/app/main.go:12 +0x1d".
func isGoFrame(lines []string) bool {
	return len(lines) > 1 && lines[0] != "" && isGoCall(lines[0]) && strings.HasPrefix(lines[1], "\t") && strings.Contains(lines[1], ".go:")
}

// isGoCall knows "main.(*Server).handle(0xc000…, {0x1, 0x2})".
func isGoCall(line string) bool {
	return line[len(line)-1] == ')' && strings.IndexByte(line, '.') > 0 && isLetter(line[0]) && strings.LastIndexByte(line, '(') > 0
}

// isRegister knows the lines of a register dump: "rax    0x0", "pc     0x4a".
func isRegister(line string) bool {
	f := strings.Fields(line)
	return len(f) == 2 && len(f[0]) <= 8 && strings.HasPrefix(f[1], "0x")
}

// isFrame knows "\tat com.example.App.main(App.java:12)" and what comes between such lines.
func isFrame(line string) bool {
	trimmed := strings.TrimLeft(line, " \t")
	if strings.HasPrefix(trimmed, "Caused by: ") || strings.HasPrefix(trimmed, "Suppressed: ") {
		return true
	}
	if len(trimmed) == len(line) {
		return false
	}
	return strings.HasPrefix(trimmed, "at ") || strings.HasPrefix(trimmed, "... ") || strings.HasPrefix(trimmed, "--- End of ")
}

// frameTrace is named by its first line and its deepest cause.
func frameTrace(lines []string) (event, int) {
	e := event{trace: true, text: strings.TrimSpace(lines[0])}
	cause := ""
	end := 0
	for i, line := range lines {
		if i > 0 && !isFrame(line) {
			break
		}
		end = i + 1
		trimmed := strings.TrimSpace(line)
		if call, ok := strings.CutPrefix(trimmed, "at "); ok && e.frame == "" {
			if cut := strings.IndexByte(call, '('); cut > 0 {
				call = call[:cut]
			}
			e.frame = strings.TrimSpace(call)
		}
		if i > 0 && strings.HasPrefix(trimmed, "Caused by: ") {
			cause = trimmed
		}
	}
	if call, ok := strings.CutPrefix(e.text, "at "); ok { // its head is cut off
		e.text, e.frame = cutOff, call
	}
	if cause != "" {
		e.text += " " + cause
	}
	return finish(e), end
}

// finish writes the example of a trace.
func finish(e event) event {
	e.example = e.text
	if e.frame != "" {
		e.example += " at " + e.frame
	}
	return e
}
