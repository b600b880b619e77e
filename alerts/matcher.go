package alerts

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Op is how a matcher compares.
type Op string

// The operators, as in Alertmanager. A regular expression (RE2) has to match the whole value.
const (
	Equal    Op = "="
	NotEqual Op = "!="
	Like     Op = "=~"
	Unlike   Op = "!~"
)

// Matcher is a condition on one label. A label that an alert does not have counts as empty. Make one with ParseMatcher.
type Matcher struct {
	Name  string
	Op    Op
	Value string

	like *regexp.Regexp
}

// maxMatcher bounds the text of a matcher, in bytes.
const maxMatcher = 4096

// ParseMatcher reads a matcher such as severity="critical", namespace=~"shop|web" or kind!=Storm. The quotes may be left out where
// the value has no space, comma, quote or brace; within them \", \\ and \n are escapes.
func ParseMatcher(s string) (Matcher, error) {
	bad := func(why string) (Matcher, error) {
		return Matcher{}, fmt.Errorf("%q is no matcher: %s; allowed is a label, one of = != =~ !~, and a value, such as severity=\"critical\"", cut(s, 100), why)
	}
	if len(s) > maxMatcher {
		return bad("it is too long")
	}
	text := strings.TrimSpace(s)
	n := 0
	for n < len(text) && labelByte(text[n], n == 0) {
		n++
	}
	if n == 0 {
		return bad("it has no label")
	}
	m := Matcher{Name: text[:n]}
	rest := strings.TrimLeft(text[n:], " \t")
	for _, op := range []Op{Like, Unlike, NotEqual, Equal} {
		if after, found := strings.CutPrefix(rest, string(op)); found {
			m.Op, rest = op, strings.TrimSpace(after)
			break
		}
	}
	if m.Op == "" {
		return bad("it has no operator")
	}
	var ok bool
	if m.Value, ok = unquote(rest); !ok {
		return bad("its value is not quoted well")
	}
	if m.Op == Like || m.Op == Unlike {
		re, err := regexp.Compile(`^(?s:` + m.Value + `)$`)
		if err != nil {
			return bad("its regular expression cannot be read (" + oneLine(err.Error()) + ")")
		}
		m.like = re
	}
	return m, nil
}

func labelByte(c byte, first bool) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || !first && '0' <= c && c <= '9'
}

func unquote(s string) (value string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, !strings.ContainsAny(s, " \t\n,\"'`{}\\") && strings.ToValidUTF8(s, "") == s
	}
	if len(s) < 2 || !strings.HasSuffix(s, `"`) {
		return "", false
	}
	var b strings.Builder
	body := s[1 : len(s)-1]
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			return "", false
		case c != '\\':
			b.WriteByte(c)
		case i+1 == len(body):
			return "", false
		default:
			i++
			switch body[i] {
			case 'n':
				b.WriteByte('\n')
			case '"', '\\':
				b.WriteByte(body[i])
			default: // as Alertmanager does: a regular expression may have its own escapes
				b.WriteString(body[i-1 : i+1])
			}
		}
	}
	out := b.String()
	return out, strings.ToValidUTF8(out, "") == out
}

// String returns the matcher as it is written.
func (m Matcher) String() string {
	value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(m.Value)
	return m.Name + string(m.Op) + `"` + value + `"`
}

// Matches reports whether the labels meet the condition.
func (m Matcher) Matches(labels map[string]string) bool {
	value := labels[m.Name]
	switch m.Op {
	case Equal:
		return value == m.Value
	case NotEqual:
		return value != m.Value
	case Like:
		return m.like != nil && m.like.MatchString(value)
	case Unlike:
		return m.like != nil && !m.like.MatchString(value)
	default:
		return false
	}
}

func matchersString(list []Matcher) string {
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.String()
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// pathOf names a route among its parent's, in Alertmanager's form.
func pathOf(parent string, index int, r *Route) string {
	if parent == "" {
		return matchersString(r.Matchers)
	}
	return parent + "/" + matchersString(r.Matchers) + "/" + strconv.Itoa(index)
}
