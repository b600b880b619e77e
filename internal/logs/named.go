package logs

import "strings"

// maskNamed masks the values behind the names of secrets.
func maskNamed(line string) string {
	var out strings.Builder
	done := 0 // up to where the line is written
	for i := 0; i < len(line); i++ {
		if line[i] != '=' && line[i] != ':' {
			continue
		}
		name := nameBefore(line[done:i])
		kind := kindOf(name)
		if kind == noSecret {
			continue
		}
		start, end := value(line, i, kind)
		if start == end {
			continue
		}
		out.WriteString(line[done:start])
		out.WriteString(maskValue(line[start:end], kind))
		done = end
		i = end - 1
	}
	if done == 0 {
		return line
	}
	out.WriteString(line[done:])
	return out.String()
}

// secretKind tells how far a value reaches.
type secretKind int

const (
	noSecret   secretKind = iota
	valueOnly             // one word
	authHeader            // a scheme and what belongs to it
	wholeRest             // a header with parts: all up to the end of the line or of the quotes around it
)

// nameBefore returns the name that ends the text, without the quotes and spaces around it.
func nameBefore(text string) string {
	end := len(strings.TrimRight(text, " \t"))
	if len(text)-end > 4 {
		return ""
	}
	for end > 0 && (text[end-1] == '"' || text[end-1] == '\'' || text[end-1] == '`' || text[end-1] == '\\') {
		end--
	}
	start := end
	for start > 0 && end-start < 80 && isNameByte(text[start-1]) {
		start--
	}
	return text[start:end]
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

// kindOf says what the name stands for, whatever its case and its joints: DB_PASSWORD, dbPassword, db-password.
func kindOf(name string) secretKind {
	if len(name) < 3 {
		return noSecret
	}
	low := strings.ToLower(name)
	flat := strings.NewReplacer("_", "", "-", "", ".", "").Replace(low)
	switch flat {
	case "pass", "otp", "sig", "sid":
		return valueOnly
	case "cookie", "setcookie":
		return wholeRest
	}
	for _, joint := range [...]string{"_pass", "-pass", ".pass", ".sid", "_otp", "-otp"} {
		if strings.HasSuffix(low, joint) {
			return valueOnly
		}
	}
	if strings.HasSuffix(name, "Pass") || strings.HasSuffix(name, "PASS") && strings.HasPrefix(name, "DB") {
		return valueOnly
	}
	if strings.HasSuffix(flat, "authorization") {
		return authHeader
	}
	for _, ending := range [...]string{
		"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey", "accesskeyid", "privatekey", "secretkey", "secretaccesskey",
		"encryptionkey", "signingkey", "masterkey", "accountkey", "sharedkey", "authkey", "sessionkey", "credential", "credentials", "cookie",
		"sessionid", "sessid", "amzsignature", "csrf", "xsrf", "passwordhash", "tokenvalue", "secretvalue", "secretstring", "secretid", "connectionstring",
	} {
		if strings.HasSuffix(flat, ending) {
			return valueOnly
		}
	}
	return noSecret
}

// value returns where the value behind the separator at i begins and ends, without its quotes; the same twice for none.
func value(line string, i int, kind secretKind) (start, end int) {
	start = i + 1
	if start < len(line) && (line[start] == '>' || line[start] == '=' && line[i] == ':') { // "=>", ":="
		start++
	}
	if start < len(line) && line[start] == ':' || strings.HasPrefix(line[start:], "//") { // std::token::x, token://x
		return start, start
	}
	glued := start
	for start < len(line) && (line[start] == ' ' || line[start] == '\t') {
		start++
	}
	if start < len(line) && line[start] == '{' { // an object: its fields have names of their own
		return start, start
	}
	if start > glued && line[i] == '=' && strings.Contains(line[start:start+wordOf(line[start:])], "=") { // empty: password= user=x
		return start, start
	}
	if start < len(line) && line[start] == '[' { // a list: []string in JSON and Go
		start++
		return start, start + upTo(line[start:], "]")
	}
	if slashes, quote := openQuote(line[start:]); quote != 0 {
		start += slashes + 1
		return start, start + closeQuote(line[start:], slashes, quote)
	}
	switch kind {
	case wholeRest:
		return start, start + restOf(line[start:])
	case authHeader:
		return start, start + authOf(line[start:])
	case noSecret, valueOnly:
	}
	return start, start + wordOf(line[start:])
}

func upTo(s, stop string) int {
	if end := strings.Index(s, stop); end >= 0 {
		return end
	}
	return len(s)
}

// openQuote returns the quote that the text begins with and how many backslashes are before it; 0 where it begins with none.
func openQuote(s string) (slashes int, quote byte) {
	for slashes < len(s) && s[slashes] == '\\' {
		slashes++
	}
	if slashes < len(s) && (s[slashes] == '"' || s[slashes] == '\'' || s[slashes] == '`') {
		return slashes, s[slashes]
	}
	return 0, 0
}

// closeQuote returns where the value ends that a quote with so many backslashes began: before the next quote with at most as
// many, or at the end of a line that was cut.
func closeQuote(s string, slashes int, quote byte) int {
	run := 0
	for i := range len(s) {
		switch {
		case s[i] == '\\':
			run++
			continue
		case s[i] == quote && run <= slashes:
			return i - run
		}
		run = 0
	}
	return len(s)
}

// wordOf returns where a value without quotes ends.
func wordOf(s string) int {
	for i := range len(s) {
		if strings.IndexByte(" \t\"'`&,;}])", s[i]) >= 0 {
			for i > 0 && s[i-1] == '\\' && s[i] == '"' { // the quote around it is escaped
				i--
			}
			return i
		}
	}
	return len(s)
}

// restOf returns where the text ends that a header takes: at a quote or a closing bracket, or with the line.
func restOf(s string) int {
	for i := range len(s) {
		if s[i] == '"' || s[i] == '`' || s[i] == ']' {
			for i > 0 && s[i-1] == '\\' {
				i--
			}
			return i
		}
	}
	return len(s)
}

// authOf returns where an Authorization header ends: a scheme with one word (Bearer, Basic, Token and such), or one with a list
// of parameters (Digest, AWS4-HMAC-SHA256, …) and then all of it.
func authOf(s string) int {
	scheme := wordOf(s)
	if scheme == len(s) || s[scheme] != ' ' {
		return scheme
	}
	if !oneWordScheme(s[:scheme]) {
		return restOf(s)
	}
	start := scheme
	for start < len(s) && s[start] == ' ' {
		start++
	}
	return start + wordOf(s[start:])
}

func oneWordScheme(s string) bool {
	switch strings.ToLower(s) {
	case "bearer", "basic", "token", "apikey", "negotiate", "ntlm", "splunk", "genie", masked:
		return true
	default:
		return false
	}
}

// maskValue masks a value; of an Authorization header the scheme stays. That there is none is worth knowing, and no secret.
func maskValue(v string, kind secretKind) string {
	switch strings.ToLower(v) {
	case "null", "nil", "<nil>", "none", "true", "false", "undefined":
		return v
	}
	if kind == authHeader {
		if scheme, _, ok := strings.Cut(v, " "); ok && oneWordScheme(scheme) && scheme != masked {
			return scheme + " " + masked
		}
	}
	return masked
}
