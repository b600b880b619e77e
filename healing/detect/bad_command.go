package detect

import (
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// atOnce is the life within which a shell's exit codes 126 and 127 mean the container's own command. A script that ran for
// longer did find its first command; it is a crash loop then.
const atOnce = 10 * time.Second

// Exit codes of a shell (POSIX, Shell Command Language, 2.8.2).
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// badCommand knows a death of a container whose command never ran: the runtime says so, or a shell does with its exit code.
func badCommand(s *subject, d *death) (explanation, bool) {
	command, why := CommandError(d.Message)
	switch {
	case d.Reason == reasonStartError || d.Reason == reasonCannotRun:
		return notRun(s, "the runtime gives the reason "+d.Reason, d.Message), true
	case d.ExitCode != 0 && why == "exec format error":
	case d.ExitCode != exitNotExecutable && d.ExitCode != exitNotFound:
		return explanation{}, false
	}
	life, known := lifeOf(d.Termination)
	if known && life > atOnce {
		return explanation{}, false
	}
	e := explanation{confidence: 85, pro: []string{exitPhrase(d.Termination)}}
	if known {
		e.pro = append(e.pro, "it lived "+phrase.Span(life))
	} else {
		e.confidence = 70
		e.against = []string{"how long it lived is not known"}
	}
	e.message = s.who() + " cannot run its command: " + ExitMeaning(d.ExitCode, d.Signal)
	if command != "" {
		e.confidence = 90
		e.message = s.who() + " cannot run its command " + strconv.Quote(command) + ": " + why
		e.pro = append(e.pro, phrase.Cut(d.Message, quoted))
	}
	return e, true
}

// cannotRun finds a container that waits because the runtime could not make or run it, where no death tells of it. What a
// ConfigMap or a Secret is missing for is told by configMissing.
func cannotRun(s *subject) (incident.Finding, bool) {
	c := s.container
	if c.State != cluster.StateWaiting || s.explained {
		return incident.Finding{}, false
	}
	switch c.WaitingReason {
	case waitingRunError:
	case waitingCreateError:
		if _, long := s.pending(); !long || busy(c.WaitingMessage) || MissingConfig(c.WaitingMessage) != "" {
			return incident.Finding{}, false
		}
	default:
		return incident.Finding{}, false
	}
	e := notRun(s, "it waits with "+c.WaitingReason, c.WaitingMessage)
	return incident.Finding{
		Since: latest(s.replica.CreatedAt, s.replica.StartedAt), Active: true,
		Fingerprint: s.print(c.Name, "BadCommand", strconv.Itoa(int(c.Restarts))),
		Confidence:  e.confidence, Message: e.message, For: e.pro, Against: e.against,
	}, true
}

// notRun words what the runtime says of a process that never ran. Where its message names no command, something else of the
// container may be what could not be set up.
func notRun(s *subject, sign, message string) explanation {
	e := explanation{confidence: 95, pro: []string{sign}}
	if message != "" {
		e.pro = append(e.pro, phrase.Cut(message, quoted))
	}
	command, why := CommandError(message)
	if command == "" {
		e.confidence = 50
		e.against = []string{"the message names no command"}
		e.message = s.who() + " could not be run"
		if message != "" {
			e.message += ": " + phrase.Cut(message, quoted)
		}
		return e
	}
	e.message = s.who() + " cannot run its command " + strconv.Quote(command) + ": " + why
	return e
}

// busy reports whether the message is one of a runtime that is slow, and nothing is wrong with the container: it did not answer in
// time, or still works on the attempt before.
func busy(message string) bool {
	return strings.Contains(message, "deadline exceeded") || strings.Contains(message, "is reserved for") || message == ""
}

// CommandError reads which command a runtime's, a kernel's or a shell's message says cannot be run, and why; both are empty for
// a message that names none. It knows `exec: "/app/web": stat /app/web: no such file or directory` (runc), "executable file
// `web` not found" (crun), "exec /app/web: exec format error" and "sh: 1: web: not found".
func CommandError(message string) (command, why string) {
	if _, rest, found := strings.Cut(message, `exec: "`); found {
		if name, after, closed := strings.Cut(rest, `"`); closed {
			return phrase.Cut(name, 120), commandClass(after)
		}
	}
	if strings.Contains(strings.ToLower(message), "no command specified") {
		return "(none)", "neither the image nor the container names one"
	}
	if _, rest, found := strings.Cut(message, "executable file `"); found {
		if name, after, closed := strings.Cut(rest, "`"); closed {
			return phrase.Cut(name, 120), commandClass(after)
		}
	}
	for line := range strings.Lines(message) {
		line = strings.TrimSpace(line)
		if head, found := strings.CutSuffix(line, ": exec format error"); found {
			return phrase.Cut(lastPart(strings.TrimPrefix(head, "exec ")), 120), "exec format error"
		}
		for _, end := range []string{": command not found", ": not found", ": Permission denied"} {
			if head, found := strings.CutSuffix(line, end); found && strings.Contains(head, ": ") {
				return phrase.Cut(lastPart(head), 120), commandClass(end)
			}
		}
	}
	return "", ""
}

// lastPart returns what follows the last ": ": "web" of "sh: 1: web".
func lastPart(s string) string { return strings.TrimSpace(s[strings.LastIndex(s, ": ")+1:]) }

func commandClass(rest string) string {
	r := strings.ToLower(rest)
	switch {
	case strings.Contains(r, "exec format error"):
		return "exec format error"
	case strings.Contains(r, "permission denied"), strings.Contains(r, "is a directory"):
		return "it may not be executed"
	case strings.Contains(r, "not found"), strings.Contains(r, "no such file"):
		return "it is not there"
	default:
		return "the runtime does not say why"
	}
}
