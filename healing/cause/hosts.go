package cause

import (
	"slices"
	"strings"
	"unicode/utf8"
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

// troubles are the words of a line that tells that something was not reached; cheers are those of one that tells of success. They
// are arrays, which cost no allocation for each line.
func troubles() [44]string {
	return [...]string{
		"error", "err=", "fail", "refused", "timeout", "timed out", "timedout", "deadline exceeded", "no such host", "unreachable", "reset by peer",
		"broken pipe", "unavailable", "cannot", "can't", "could not", "couldn't", "can not", "unable", "enotfound", "econn", "eai_again",
		"getaddrinfo", "exception", "fatal", "panic", "dial ", "lookup ", "no route", "unknown host", "unknownhost", "name resolution",
		"not resolve", "no healthy upstream", "retry", "waiting for", "giving up", "gave up", "eof", "lost", "closed", "connect to",
		"connecting to", "not known",
	}
}

func cheers() [9]string {
	return [...]string{
		" connected to", "connection established", "established connection", "succeeded", "successfully", "recovered", "reconnected",
		"listening on", "serving on",
	}
}

// isCue reports whether a bare name after these words is a host.
func isCue(words string) bool {
	switch words {
	case "lookup", "dial", "connect to", "connecting to", "connection to", "connection to server at", "server at", "host", "hostname",
		"host name", "resolve", "resolve host", "resolving", "enotfound", "eai_again", "unknownhostexception", "unknown host", "reach",
		"upstream", "service", "waiting for", "dependency", "backend", "ping":
		return true
	default:
		return false
	}
}

// endsCue reports whether the word ends a cue of several words and is none by itself.
func endsCue(word string) bool {
	return word == "to" || word == "at" || word == "name" || word == "for"
}

// isFiller reports whether the word is what stands between a cue and its host, or in its place: no bare name, though a URL or
// host:port may have it.
func isFiller(word string) bool {
	switch word {
	case "tcp", "tcp4", "tcp6", "udp", "unix", "a", "an", "the", "any", "its", "this", "to", "at", "on", "in", "of", "for", "from", "with", "is",
		"was", "are", "not", "no", "and", "or", "by", "as", "name", "names", "host", "hostname", "server", "service", "address", "error", "failed",
		"failure", "timeout", "unavailable", "connect", "request", "response", "unreachable", "refused":
		return true
	default:
		return false
	}
}

// names are labels of DNS names, in small letters, that a line is looked through for before it is taken apart: of the many lines of
// an incident hardly any has one.
type names struct {
	// known has how many services have the name, and lengths the bit of each length that a name has.
	known   map[string]int
	lengths uint64
	// seen are those that some line had.
	seen map[string]bool
}

func (n *names) add(label string) {
	if len(label) > maxLabel {
		return
	}
	if n.known == nil {
		n.known, n.seen = map[string]int{}, map[string]bool{}
	}
	n.known[label]++
	n.lengths |= 1 << len(label)
}

// in reports whether whole labels of the line are names, and marks them as seen. It finds every name that is a label of a host that
// Hosts gives: what bounds a host there is no part of a label.
func (n *names) in(line string) bool {
	line = bounded(line)
	var label [maxLabel]byte
	size, found := 0, false
	for i := range len(line) {
		c := line[i]
		switch {
		case c >= utf8.RuneSelf: // some letters beyond ASCII are small ones of it: K, the kelvin sign
			return n.inLower(strings.ToLower(line))
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
		default:
			found = n.mark(label[:min(size, maxLabel)], size) || found
			size = 0
			continue
		}
		if size < maxLabel {
			label[size] = c
		}
		size++
	}
	return n.mark(label[:min(size, maxLabel)], size) || found
}

// inLower is in for a line of small letters.
func (n *names) inLower(line string) bool {
	found := false
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) {
		found = n.mark([]byte(word), len(word)) || found
	}
	return found
}

// mark reports whether the label, of that many bytes, is a name.
func (n *names) mark(label []byte, size int) bool {
	if size > maxLabel || n.lengths&(1<<size) == 0 || n.known[string(label)] == 0 {
		return false
	}
	if !n.seen[string(label)] {
		n.seen[string(label)] = true
	}
	return true
}

// services counts those whose name was seen.
func (n *names) services() int {
	sum := 0
	for name := range n.seen {
		sum += n.known[name]
	}
	return sum
}

// bounded returns as much of a line as is looked at.
func bounded(line string) string { return line[:min(len(line), maxLine)] }

// Hosts returns the host names that a log line names as what it tried to reach, in the order of the line and each once; none for a
// line that tells of no trouble. It knows URLs, host:port, and names after words such as lookup, connect to or host. Addresses are no
// names.
func Hosts(line string) []string {
	lower := " " + strings.ToLower(bounded(line))
	within := func(word string) bool { return strings.Contains(lower, word) }
	bad, good := troubles(), cheers()
	if !slices.ContainsFunc(bad[:], within) || slices.ContainsFunc(good[:], within) {
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
		} else if !isFiller(word) && cued(words[:i]) {
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
	if n == 0 {
		return false
	}
	last := before[n-1]
	if isCue(last) || strings.HasSuffix(last, ".unknownhostexception") { // with its package's name
		return true
	}
	for words := 2; words <= min(n, longestCue) && endsCue(last); words++ {
		if isCue(strings.Join(before[n-words:], " ")) {
			return true
		}
	}
	return false
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
