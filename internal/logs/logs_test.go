package logs

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTail(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, tc := range map[string]struct {
		raw             string
		lines, maxBytes int
		want            []string
	}{
		"nothing":                      {"", 10, 100, nil},
		"only newlines":                {"\n\r\n\n", 10, 100, nil},
		"the last lines are kept":      {"a\nb\nc\n", 2, 100, []string{"b", "c"}},
		"empty lines between stay":     {"a\n\nb\n", 5, 100, []string{"a", "", "b"}},
		"carriage returns":             {"a\r\nb\r\n", 5, 100, []string{"a", "b"}},
		"the oldest go first by bytes": {"aaaa\nbbbb\ncccc", 5, 9, []string{"bbbb", "cccc"}},
		"one line that does not fit":   {"abc\n" + long, 5, 8, []string{"xxxxx…"}},
		"a long line is cut":           {long, 5, 8000, []string{strings.Repeat("x", 2045) + "…"}},
		"not UTF-8":                    {"a\xff\xfeb", 5, 100, []string{"a\uFFFDb"}},
		"colours and control":          {"\x1b[31merror\x1b[0m\x00done\ttab", 5, 100, []string{"error done\ttab"}},
		"right-to-left override":       {"a\u202eb", 5, 100, []string{"a b"}},
		"no room":                      {"a", 0, 100, nil},
		"private key": {
			"start\n-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\nend", 9, 100,
			[]string{"start", "***", "***", "***", "end"},
		},
		"private key without its beginning": {
			"MIIEowIBAAKCAQEAabcdef\nMIIEowIBAAKCAQEAabcdef\n-----END PRIVATE KEY-----\nend", 2, 100,
			[]string{"***", "end"},
		},
		"the middle of a private key": {
			strings.Repeat("MIIEowIBAAKCAQEAMIIEowIBAAKCAQEAMIIEowIBAAKCAQEAMIIEowIBAAKCAQEA\n", 3) + "AAKCAQEAMIIEowIBAA==\npanic", 9, 100,
			[]string{"***", "***", "***", "***", "panic"},
		},
		"a PGP key": {"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\nend", 9, 100, []string{"***", "***", "***", "***", "***", "end"}},
		"private key without its end": {
			"x\n-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAabcdef\npanic", 9, 100,
			[]string{"x", "***", "***", "panic"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Tail([]byte(tc.raw), tc.lines, tc.maxBytes)); diff != "" {
				t.Errorf("Tail (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("a\nb\xff\x1b[3"), 3, 10)
	f.Add([]byte("password=\"\ntoken='x"), 1, 1)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"), 5, 2)
	f.Add([]byte(`secret:\"`), 5, 100)
	f.Fuzz(func(t *testing.T, raw []byte, lines, size int) {
		lines, size = lines%100, size%10000
		got := Tail(raw, lines, size)
		total := 0
		for _, l := range got {
			total += len(l)
			if !utf8.ValidString(l) || strings.ContainsAny(l, "\n\r\x1b\x00") {
				t.Fatalf("unsafe line %q", l)
			}
		}
		if len(got) > max(lines, 0) || total > max(size, 0) {
			t.Fatalf("%d lines and %d bytes, allowed %d and %d", len(got), total, lines, size)
		}
	})
}
