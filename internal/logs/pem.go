package logs

import "regexp"

var (
	pemBegin  = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	pemEnd    = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	base64Row = regexp.MustCompile(`^\s*[A-Za-z0-9+/=]{16,}\s*$`)
	// fullRow is a row of PEM (RFC 7468: 64 characters) or of OpenSSH and PGP (up to 76).
	fullRow   = regexp.MustCompile(`^\s*[A-Za-z0-9+/]{60,76}={0,2}\s*$`)
	pemInline = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$)`)
)

// keyRows in a row, of full length, are a key whose beginning and end are not among the lines.
const keyRows = 3

// maskKeys masks the lines of private keys in place, also of one whose beginning or end is not among the lines.
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
	maskRows(lines)
}

// maskRows masks rows of full length of which there are several in a row.
func maskRows(lines []string) {
	for i := 0; i < len(lines); {
		end := i
		for end < len(lines) && fullRow.MatchString(lines[end]) {
			end++
		}
		if end-i >= keyRows {
			if end < len(lines) && base64Row.MatchString(lines[end]) { // the last row is shorter
				end++
			}
			for j := i; j < end; j++ {
				lines[j] = masked
			}
		}
		i = end + 1
	}
}

// firstRow returns where the rows of a key begin that ends in line end.
func firstRow(lines []string, end int) int {
	for end > 0 && base64Row.MatchString(lines[end-1]) {
		end--
	}
	return end
}
