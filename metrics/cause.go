package metrics

import "strings"

// Cause returns what somebody else said about a failure as valid UTF-8 on one line, at most so many bytes of it and then an
// ellipsis: a proxy answers with whole pages, and a parser quotes what it could not read.
func Cause(said string, most int) string {
	said = strings.ToValidUTF8(strings.Join(strings.Fields(said), " "), "?")
	if len(said) <= most {
		return said
	}
	return strings.ToValidUTF8(said[:most], "") + " …"
}
