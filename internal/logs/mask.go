package logs

import (
	"regexp"
	"strings"
)

// masked stands where something was taken out.
const masked = "***"

var (
	// mysqlDSN is the form of Go's MySQL driver: user:password@tcp(host:port)/db.
	mysqlDSN   = regexp.MustCompile(`([\w.%-]+):[^\s"'` + "`" + `/]+@(tcp|udp|unix|cloudsql)\(`)
	authScheme = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{8,})`)
	jwt        = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)+`)
	// spoken is a secret behind its name without a separator, in quotes: IDENTIFIED BY 'x', with password "x".
	spoken = regexp.MustCompile(`(?i)\b((?:password|passwd|passphrase|identified by|secret|token)\s+(?:is\s+)?)("[^"]*"|'[^']*'|` + "`[^`]*`)")
	// option is a secret behind its command line option: --password x.
	option = regexp.MustCompile(`(?i)(--?(?:[a-z0-9]+-)*(?:password|passwd|passphrase|secret|token|api-?key|access-key|secret-key|private-key)\s+)([^\s"'-][^\s"']*)`)
)

// tokenShapes are keys that show by their form what they are, with how they begin.
//
// The forms are those that the providers document: AWS (unique identifiers of IAM), GitHub, GitLab, Slack, Stripe, Google, OpenAI
// and alike, SendGrid, npm, PyPI, Docker, Vault, DigitalOcean, Shopify, Databricks, Telegram, age, password hashes.
var tokenShapes = regexp.MustCompile(
	`\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_.-]{16,}|` +
		`\bx(?:ox[abeprs]|app)-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/_-]{10,}|\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}|\bwhsec_[A-Za-z0-9+/=]{16,}|` +
		`\bsk-[A-Za-z0-9_-]{20,}|\bAIza[0-9A-Za-z_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{20,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|` +
		`\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bdckr_pat_[A-Za-z0-9_-]{20,}|\bhv[sbr]\.[A-Za-z0-9_-]{20,}|\bdo[opr]_v1_[a-f0-9]{32,}|\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|` +
		`\bdapi[a-f0-9]{32}|\bbot[0-9]{8,10}:[A-Za-z0-9_-]{35}\b|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}|\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{50,}|\$argon2[id]{1,2}\$[A-Za-z0-9$=,+/.-]{20,}`)

// Mask replaces what looks like a secret in one line of text by "***" and leaves the rest as it is. Masking what is masked
// changes nothing.
//
// It knows secrets by their name (password=, "api_key":, Authorization and Cookie headers, in JSON, in JSON within JSON, in
// logfmt, YAML, query strings and Go's %+v), credentials in URLs and data source names, tokens by their form, and private
// keys on one line. A value without quotes ends at a space, a quote, a comma, a semicolon, an ampersand or a closing bracket:
// what stands behind that is not known to belong to it.
func Mask(line string) string {
	if strings.Contains(line, "PRIVATE KEY") {
		line = pemInline.ReplaceAllString(line, masked)
	}
	if strings.Contains(line, "://") {
		line = maskURLs(line)
	}
	if strings.Contains(line, "@tcp(") || strings.Contains(line, "@udp(") || strings.Contains(line, "@unix(") || strings.Contains(line, "@cloudsql(") {
		line = mysqlDSN.ReplaceAllString(line, "${1}:"+masked+"@${2}(")
	}
	low := strings.ToLower(line)
	if strings.Contains(low, "bearer") || strings.Contains(low, "basic") {
		line = authScheme.ReplaceAllStringFunc(line, maskScheme)
	}
	if strings.Contains(line, "eyJ") {
		line = jwt.ReplaceAllString(line, masked)
	}
	if hasShape(line) {
		line = tokenShapes.ReplaceAllString(line, masked)
	}
	if !hasName(low) {
		return line
	}
	line = maskNamed(line)
	if strings.ContainsAny(line, "\"'`") {
		line = spoken.ReplaceAllStringFunc(line, func(m string) string {
			quote := m[len(m)-1:]
			return m[:strings.Index(m, quote)+1] + masked + quote
		})
	}
	if strings.Contains(line, "-") {
		line = option.ReplaceAllString(line, "${1}"+masked)
	}
	return line
}

// hasShape reports whether the line has how one of tokenShapes begins: looking for that first is ten times as fast.
func hasShape(line string) bool {
	for _, p := range [...]string{
		"AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-",
		"xox", "xapp-", "hooks.slack.com", "_live_", "_test_", "whsec_", "sk-", "AIza", "ya29.", "GOCSPX-", "SG.", "npm_", "pypi-", "dckr_pat_",
		"hvs.", "hvb.", "hvr.", "_v1_", "shpat_", "shpca_", "shppa_", "shpss_", "dapi", "bot", "AGE-SECRET-KEY-1", "$2", "$argon2",
	} {
		if strings.Contains(line, p) {
			return true
		}
	}
	return false
}

// hasName reports whether a lower-case line has anything that a name of a secret has.
func hasName(low string) bool {
	for _, h := range [...]string{"pass", "pwd", "secret", "token", "key", "auth", "credential", "cookie", "sess", "sid", "signature", "sig", "csrf", "otp", "identified", "connection"} {
		if strings.Contains(low, h) {
			return true
		}
	}
	return false
}

// maskScheme masks the credentials of a scheme, unless they are a word: "basic authentication failed".
func maskScheme(match string) string {
	part := authScheme.FindStringSubmatch(match)
	value := strings.TrimRight(part[3], ".")
	if strings.Trim(value, "abcdefghijklmnopqrstuvwxyz-") == "" && len(value) < 16 {
		return match
	}
	return part[1] + part[2] + masked
}

// maskURLs masks passwords in URLs: all between the first colon and the last @ of what stands before the path.
func maskURLs(line string) string {
	var out strings.Builder
	for {
		i := strings.Index(line, "://")
		if i < 0 {
			out.WriteString(line)
			return out.String()
		}
		i += len("://")
		out.WriteString(line[:i])
		line = line[i:]
		end := strings.IndexAny(line, " \t\"'`<>\\")
		if end < 0 {
			end = len(line)
		}
		out.WriteString(maskUserInfo(line[:end]))
		line = line[end:]
	}
}

// maskUserInfo takes what stands behind "://". A password that was not escaped may hold a slash or an @, so a colon is only
// taken for that of a port where digits and then the path follow.
func maskUserInfo(s string) string {
	slash := strings.IndexAny(s, "/?#")
	if slash < 0 {
		slash = len(s)
	}
	at := strings.LastIndexByte(s[:slash], '@')
	colon := strings.IndexByte(s[:slash], ':')
	if at < 0 && colon >= 0 && strings.Trim(s[colon+1:slash], "0123456789") != "" {
		at = strings.LastIndexByte(s, '@')
	}
	switch {
	case at < 0:
		return s
	case colon >= 0 && colon < at:
		return s[:colon+1] + masked + s[at:]
	case at >= 16: // no password, and longer than names of users are: a token
		return masked + s[at:]
	default:
		return s
	}
}
