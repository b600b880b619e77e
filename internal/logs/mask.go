package logs

import (
	"regexp"
	"strings"
)

// masked stands where something was taken out.
const masked = "***"

var (
	urlCredentials = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*):[^\s@"']+@`)
	authScheme     = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}`)
	// namedSecret is a name that ends like a secret's, a separator and its value: bare, or in quotes (escaped or not).
	namedSecret = regexp.MustCompile(
		`(?i)([a-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|` +
			`client[_-]?secret|authorization|credentials?)(?:\\?["'])?\s*[=:]\s*)` +
			`(\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'&,;}\])]+)`)
	jwt       = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?`)
	knownKeys = regexp.MustCompile(
		`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|` +
			`\bxox[abeprs]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}|\bAIza[0-9A-Za-z_-]{35}`)
	pemBegin  = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)
	pemEnd    = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY-----`)
	base64Row = regexp.MustCompile(`^\s*[A-Za-z0-9+/=]{16,}\s*$`)
	pemInline = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`)
)

// Mask replaces what looks like a secret in one line of text by "***" and leaves the rest as it is.
func Mask(line string) string {
	if strings.Contains(line, "PRIVATE KEY-----") {
		line = pemInline.ReplaceAllString(line, masked)
	}
	if strings.Contains(line, "://") {
		line = urlCredentials.ReplaceAllString(line, "${1}:"+masked+"@")
	}
	// Before the named ones: "Authorization: Bearer x" must lose x, not the word Bearer.
	line = authScheme.ReplaceAllString(line, "${1}${2}"+masked)
	line = jwt.ReplaceAllString(line, masked)
	line = knownKeys.ReplaceAllString(line, masked)
	return namedSecret.ReplaceAllStringFunc(line, maskValue)
}

// maskValue keeps the name, the separator and the quotes of a match of namedSecret.
func maskValue(match string) string {
	part := namedSecret.FindStringSubmatch(match)
	name, value := part[1], part[2]
	switch {
	case strings.EqualFold(value, "bearer"), strings.EqualFold(value, "basic"):
		return match // the scheme; what follows it is masked already
	case strings.HasPrefix(value, `\"`):
		return name + `\"` + masked + `\"`
	case value[0] == '"' || value[0] == '\'':
		if scheme, _, ok := strings.Cut(value[1:len(value)-1], " "); ok && strings.HasSuffix(value[:len(value)-1], masked) {
			return name + value[:1] + scheme + " " + masked + value[:1]
		}
		return name + value[:1] + masked + value[:1]
	default:
		return name + masked
	}
}

// maskKeys masks the lines of private keys in place, also of one whose beginning is not among the lines any more.
func maskKeys(lines []string) {
	begin := -1
	for i, l := range lines {
		if pemBegin.MatchString(l) {
			begin = i
		}
		if pemEnd.MatchString(l) {
			if begin < 0 {
				begin = firstRow(lines, i)
			}
			for j := begin; j <= i; j++ {
				lines[j] = masked
			}
			begin = -1
		}
	}
	if begin >= 0 { // cut off before its end
		for j := begin; j < len(lines) && (j == begin || base64Row.MatchString(lines[j])); j++ {
			lines[j] = masked
		}
	}
}

// firstRow returns where the rows of a key begin that ends in line end.
func firstRow(lines []string, end int) int {
	for end > 0 && base64Row.MatchString(lines[end-1]) {
		end--
	}
	return end
}
