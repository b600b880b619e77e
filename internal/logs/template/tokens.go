package template

import (
	"net/netip"
	"slices"
	"strings"
)

// wild stands for a part that varies.
const wild = "<*>"

// maxTokens bounds what is looked at of a line.
const maxTokens = 64

// tokens splits a text at white space into at most maxTokens masked tokens. Its output, joined by spaces, gives the same tokens
// again, but for quotes within quotes.
func tokens(text string) []string {
	s := scanner{text: text, access: isAccess(text)}
	for i := 0; i < len(text) && len(s.out) < maxTokens; {
		switch text[i] {
		case ' ', '\t':
			s.flush()
			s.status, s.request = s.request, false
			i++
		case '"', '\'', '`':
			i = s.quote(i)
		default:
			i = s.word(i)
		}
	}
	s.flush()
	return s.out
}

// scanner holds the token that is being made and those that are.
type scanner struct {
	text   string
	access bool
	buf    []byte
	out    []string
	// sentence is where a quoted sentence ends, whose quotes are like any other character.
	sentence int
	// request is true behind a request in quotes, status where the next token is the status of its answer.
	request, status bool
	// open has the kinds of quote of which no further one ends, so that a line of quotes is read once and not for each of them.
	open []byte
}

func (s *scanner) flush() {
	if len(s.buf) > 0 && len(s.out) < maxTokens {
		s.out = append(s.out, string(s.buf))
	}
	s.buf = s.buf[:0]
}

// quote takes the quoted string that begins at i, or the one character, and returns where it ends.
func (s *scanner) quote(i int) int {
	end, words := 0, 0
	if q := s.text[i]; i >= s.sentence && !slices.Contains(s.open, q) {
		if end, words = quoted(s.text, i); end == 0 && !isApostrophe(s.text, i) {
			s.open = append(s.open, q)
		}
	}
	switch {
	case end == 0:
	case words > 3 && !s.access: // its words tell more than that they were quoted
		s.sentence = end
	default:
		s.request = s.access && strings.Contains(s.text[i:end], " HTTP/")
		s.buf = appendWild(s.buf)
		return end
	}
	s.buf = append(s.buf, s.text[i])
	return i + 1
}

// word takes what is up to the next space or quote.
func (s *scanner) word(i int) int {
	end := i
	for end < len(s.text) && strings.IndexByte(" \t\"'`", s.text[end]) < 0 {
		end++
	}
	if w := s.text[i:end]; s.status && isStatus(w) {
		s.buf = append(s.buf, "HTTP"...)
		s.buf = append(s.buf, w[0], 'x', 'x')
	} else {
		s.buf = appendMasked(s.buf, w)
	}
	return end
}

// isAccess reports whether the line is one of a web server's access log: its quoted parts are fields, whatever their length.
func isAccess(text string) bool {
	i := strings.Index(text, ` HTTP/`)
	return i > 0 && strings.IndexByte(text[:i], '"') >= 0 && strings.IndexByte(text[i:], '"') >= 0
}

func isStatus(word string) bool {
	return len(word) == 3 && word[0] >= '1' && word[0] <= '5' && isDigit(word[1]) && isDigit(word[2])
}

// quoted returns where the quoted string that begins at i ends and how many words it has, 0 where none begins there: an
// apostrophe, or a quote without its end.
func quoted(text string, i int) (end, words int) {
	q := text[i]
	if isApostrophe(text, i) {
		return 0, 0
	}
	between := true
	for end := i + 1; end < len(text); end++ {
		c := text[end]
		if c == q && (q != '\'' || end+1 == len(text) || !glued(text[end+1])) {
			return end + 1, words
		}
		if space := c == ' ' || c == '\t'; space {
			between = true
		} else if between {
			between = false
			words++
		}
		if c == '\\' {
			end++
		}
	}
	return 0, 0
}

// isApostrophe reports whether no quoted string can begin at i.
func isApostrophe(text string, i int) bool {
	return text[i] == '\'' && i > 0 && glued(text[i-1])
}

// glued reports whether an apostrophe beside it is one; < and > are those of wild.
func glued(c byte) bool { return isAlnum(c) || c == '<' || c == '>' }

// appendMasked appends a word with its variable pieces as wild.
func appendMasked(dst []byte, word string) []byte {
	if strings.Count(word, ":") > 1 && isAddress(strings.Trim(word, "[](),;=")) {
		return appendWild(dst)
	}
	for i := 0; i < len(word); {
		c := word[i]
		switch {
		case strings.HasPrefix(word[i:], wild):
			dst = appendWild(dst)
			i += len(wild)
		case isUUID(word[i:]):
			dst = appendWild(dst)
			i += 36
		case isAlnum(c):
			end := i
			for end < len(word) && isAlnum(word[end]) {
				end++
			}
			dst = appendPiece(dst, word[i:end])
			if i = end; i < len(word) && word[i] == '%' && endsWild(dst) {
				i++
			}
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

func appendPiece(dst []byte, piece string) []byte {
	if varies(piece) {
		return appendWild(dst)
	}
	head := len(piece)
	for head > 0 && isDigit(piece[head-1]) {
		head--
	}
	if len(piece)-head >= 4 { // E1120, order12345
		return appendWild(append(dst, piece[:head]...))
	}
	return append(dst, piece...)
}

// appendWild appends wild, once where it follows another one at a joint: the parts of an address, a time, a version.
func appendWild(dst []byte) []byte {
	if endsWild(dst) {
		return dst
	}
	if n := len(dst); n > len(wild) && strings.IndexByte(".:-/,_+@xT", dst[n-1]) >= 0 && endsWild(dst[:n-1]) {
		return dst[:n-1]
	}
	return append(dst, wild...)
}

func endsWild(b []byte) bool { return strings.HasSuffix(string(b[max(len(b)-len(wild), 0):]), wild) }

// varies reports whether a run of letters and digits is a number with or without a unit, a duration, hexadecimal, or looks
// like a random identifier.
func varies(p string) bool {
	digits, changes, hex, run, longest := 0, 0, true, 0, 0
	for i := range len(p) {
		d := isDigit(p[i])
		if d {
			digits, run = digits+1, 0
		} else {
			run++
			longest = max(longest, run)
		}
		if i > 0 && d != isDigit(p[i-1]) {
			changes++
		}
		if c := lower(p[i]); !d && c > 'f' {
			hex = false
		}
	}
	switch {
	case digits == 0:
		return len(p) >= 32 // Base64 without a digit
	case isDigit(p[0]) && longest <= 3:
		return true // 12, 12ms, 1h3m2s, 20T12
	case hex && len(p) >= 6, strings.HasPrefix(p, "0x"):
		return true
	default:
		return changes >= 3 && len(p) >= 5 || len(p) >= 20 && digits >= 2
	}
}

func isUUID(s string) bool {
	if len(s) < 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	for i := range 36 {
		if c := lower(s[i]); c != '-' && !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 36 || !isAlnum(s[36])
}

// isAddress knows IPv6, with a zone or a port too; IPv4 is pieces that vary.
func isAddress(s string) bool {
	if strings.Contains(s, "]:") {
		_, err := netip.ParseAddrPort("[" + s)
		return err == nil
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}
