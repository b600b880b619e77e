package template

import (
	"encoding/json"
	"strings"
)

// message returns what an event says, and how bad it is. Of a structured line (JSON, logfmt) only message, error and level
// count: its other fields are data.
func message(e event) (string, severity) {
	if e.trace {
		return e.example, max(severityOf(e.text), failure)
	}
	if fields, ok := structured(e.text); ok {
		return fields.text(), fields.severity()
	}
	s := severityOf(e.text)
	if s < failure && isAccess(e.text) && serverError(e.text) {
		s = failure
	}
	return e.text, s
}

// serverError reports whether an access log's line has a status of 500 and above behind its request.
func serverError(text string) bool {
	i := strings.Index(text, " HTTP/")
	j := strings.IndexByte(text[i:], '"')
	rest := strings.TrimLeft(text[i+j+1:], " ")
	return len(rest) > 3 && rest[0] == '5' && isStatus(rest[:3])
}

// fields are what matters of a structured line.
type fields struct {
	message, level, err string
}

func (f fields) text() string {
	if f.err == "" || strings.Contains(f.message, f.err) {
		return f.message
	}
	if f.message == "" {
		return f.err
	}
	return f.message + ": " + f.err
}

// severity takes the level's word for it; below a warning, words of the message raise it to one.
func (f fields) severity() severity {
	words := severityOf(f.text())
	if f.level == "" {
		return words
	}
	s := levelSeverity(f.level)
	if s < warning {
		return min(words, warning)
	}
	return max(s, min(words, s+1))
}

func structured(line string) (fields, bool) {
	if line[0] == '{' && line[len(line)-1] == '}' {
		return ofJSON(line)
	}
	return ofLogfmt(line)
}

// ofJSON reads the fields of zap, zerolog, logrus, slog, logback, bunyan, structlog and the Elastic Common Schema.
func ofJSON(line string) (fields, bool) {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(line), &all) != nil {
		return fields{}, false
	}
	f := fields{
		message: first(all, "msg", "message", "@message", "log", "text", "event", "body"),
		level:   first(all, "level", "severity", "lvl", "log.level", "@level", "levelname", "loglevel"),
		err:     first(all, "error", "err", "error.message", "exception", "exc_info", "stack_trace", "stack", "stacktrace"),
	}
	if f.level == "" {
		f.level = inner(all["log"], "level")
	}
	if f.message == "" && f.err == "" {
		return fields{}, false
	}
	if strings.Contains(f.err, "\n") {
		if list := events(strings.Split(f.err, "\n")); len(list) > 0 {
			f.err = list[0].example
		}
	}
	f.message = strings.Join(strings.Fields(f.message), " ")
	f.err = strings.Join(strings.Fields(f.err), " ")
	return f, true
}

// first returns the first of the fields that holds a text or number, or an object with a message.
func first(all map[string]json.RawMessage, names ...string) string {
	for _, name := range names {
		if s := scalar(all[name]); s != "" {
			return s
		}
		if s := inner(all[name], "message"); s != "" {
			return s
		}
	}
	return ""
}

func inner(raw json.RawMessage, name string) string {
	var object map[string]json.RawMessage
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &object) != nil {
		return ""
	}
	return scalar(object[name])
}

func scalar(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	}
	if isDigit(raw[0]) {
		return string(raw)
	}
	return ""
}

// ofLogfmt reads key=value pairs where one of them is the message.
func ofLogfmt(line string) (fields, bool) {
	if !strings.Contains(line, "msg=") && !strings.Contains(line, "message=") {
		return fields{}, false
	}
	var f fields
	for i := 0; i < len(line); {
		start := i
		for i < len(line) && line[i] != '=' && line[i] != ' ' {
			i++
		}
		key := line[start:i]
		if i == len(line) || line[i] == ' ' {
			i++
			continue
		}
		var value string
		value, i = logfmtValue(line, i+1)
		switch key {
		case "msg", "message":
			f.message = value
		case "level", "lvl", "severity":
			f.level = value
		case "err", "error":
			if !zero("=" + value) {
				f.err = value
			}
		}
	}
	return f, f.message != ""
}

// logfmtValue returns the value that begins at i and where it ends.
func logfmtValue(line string, i int) (string, int) {
	if i < len(line) && line[i] == '"' {
		for end := i + 1; end < len(line); end++ {
			switch line[end] {
			case '\\':
				end++
			case '"':
				return strings.NewReplacer(`\"`, `"`, `\n`, " ", `\t`, " ", `\\`, `\`).Replace(line[i+1 : end]), end + 1
			}
		}
		return line[i+1:], len(line)
	}
	end := strings.IndexByte(line[i:], ' ')
	if end < 0 {
		return line[i:], len(line)
	}
	return line[i : i+end], i + end
}
