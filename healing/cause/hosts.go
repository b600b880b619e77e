package cause

import (
	"slices"
	"strings"
)

const (
	// maxLine bytes of a line are looked at, and maxHosts are taken of it.
	maxLine  = 4 << 10
	maxHosts = 16
	// maxHost and maxLabel are the bounds of a DNS name (RFC 1035, 2.3.4).
	maxHost  = 253
	maxLabel = 63
	// longestCue in words.
	longestCue = 4
)

// troubles are the words of a line that tells that something was not reached; cheers are those of one that tells of success.
func troubles() []string {
	return []string{
		"error", "err=", "fail", "refused", "timeout", "timed out", "timedout", "deadline exceeded", "no such host", "unreachable", "reset by peer",
		"broken pipe", "unavailable", "cannot", "can't", "could not", "couldn't", "can not", "unable", "enotfound", "econn", "eai_again",
		"getaddrinfo", "exception", "fatal", "panic", "dial ", "lookup ", "no route", "unknown host", "unknownhost", "name resolution",
		"not resolve", "no healthy upstream", "retry", "waiting for", "giving up", "gave up", "eof", "lost", "closed", "connect to",
		"connecting to", "not known",
	}
}

func cheers() []string {
	return []string{
		" connected to", "connection established", "established connection", "succeeded", "successfully", "recovered", "reconnected",
		"listening on", "serving on",
	}
}

// cues are the words after which a bare name is a host.
func cues() []string {
	return []string{
		"lookup", "dial", "connect to", "connecting to", "connection to", "connection to server at", "server at", "host", "hostname",
		"host name", "resolve", "resolve host", "resolving", "enotfound", "eai_again", "unknownhostexception", "unknown host", "reach",
		"upstream", "service", "waiting for", "dependency", "backend", "ping",
	}
}

// fillers are what stands between a cue and its host, or in its place: no bare name, though a URL or host:port may have them.
func fillers() []string {
	return []string{
		"tcp", "tcp4", "tcp6", "udp", "unix", "a", "an", "the", "any", "its", "this", "to", "at", "on", "in", "of", "for", "from", "with", "is",
		"was", "are", "not", "no", "and", "or", "by", "as", "name", "names", "host", "hostname", "server", "service", "address", "error", "failed",
		"failure", "timeout", "unavailable", "connect", "request", "response", "unreachable", "refused",
	}
}

// Hosts returns the host names that a log line names as what it tried to reach, in the order of the line and each once; none for a
// line that tells of no trouble. It knows URLs, host:port, and names after words such as lookup, connect to or host. Addresses are no
// names.
func Hosts(line string) []string {
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	lower := " " + strings.ToLower(line)
	within := func(word string) bool { return strings.Contains(lower, word) }
	if !slices.ContainsFunc(troubles(), within) || slices.ContainsFunc(cheers(), within) {
		return nil
	}
	var out []string
	add := func(host string) {
		if host = strings.TrimSuffix(host, "."); isName(host) && len(out) < maxHosts && !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	words := split(lower)
	for i, word := range words {
		if host, ok := ofURL(word); ok {
			add(host)
		} else if host, ok := withPort(word); ok {
			add(host)
		} else if cued(words[:i]) && !slices.Contains(fillers(), word) {
			add(word)
		}
	}
	return out
}

// split cuts a line where a byte can neither be part of a host nor of a URL. A colon or a full stop at the end of a word is no
// part of it.
func split(line string) []string {
	words := strings.FieldsFunc(line, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"'`()<>{}|,;=", r)
	})
	kept := words[:0]
	for _, word := range words {
		if word = strings.TrimLeft(strings.TrimRight(word, ":.!?]"), "["); word != "" {
			kept = append(kept, word)
		}
	}
	return kept
}

// cued reports whether the words end with a cue.
func cued(before []string) bool {
	n := len(before)
	for words := 1; words <= min(n, longestCue); words++ {
		if slices.Contains(cues(), strings.Join(before[n-words:], " ")) {
			return true
		}
	}
	return n > 0 && strings.HasSuffix(before[n-1], ".unknownhostexception") // with its package's name
}

// ofURL returns the host of scheme://user:password@host:port/path.
func ofURL(s string) (host string, ok bool) {
	at := strings.Index(s, "://")
	if at <= 0 {
		return "", false
	}
	s = s[at+3:]
	if end := strings.IndexAny(s, "/?#"); end >= 0 {
		s = s[:end]
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	if host, ok := withPort(s); ok {
		return host, true
	}
	return s, s != ""
}

// withPort returns the host of host:port.
func withPort(s string) (host string, ok bool) {
	s, _, _ = strings.Cut(s, "/")
	s = s[strings.LastIndexByte(s, '@')+1:]
	host, port, ok := strings.Cut(s, ":")
	if !ok || host == "" || port == "" || len(port) > 5 {
		return "", false
	}
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return host, true
}

// isName reports whether s is a DNS name and no address: labels of letters, digits and dashes, with a letter somewhere.
func isName(s string) bool {
	if s == "" || len(s) > maxHost {
		return false
	}
	letters := false
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			switch {
			case c >= 'a' && c <= 'z':
				letters = true
			case c >= '0' && c <= '9', c == '-':
			default:
				return false
			}
		}
	}
	return letters
}
