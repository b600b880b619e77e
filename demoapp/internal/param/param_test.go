package param

import (
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func testSet() Set {
	return Set{
		{Name: "rate", Kind: Number, Default: "8", Min: 0.5, Max: 1024, Unit: "MiB/s"},
		{Name: "size", Kind: Integer, Min: 1, Max: 100},
		{Name: "stop", Kind: Flag},
		{Name: "level", Kind: Choice, Default: "info", Choices: []string{"info", "warn"}},
		{Name: "text", Kind: Text, Max: 8},
	}
}

func TestParseGivesValuesAndDefaults(t *testing.T) {
	v, err := testSet().Parse("rate=1.5&size=7&stop=TRUE&level=WARN&text=a%20b")
	if err != nil {
		t.Fatal(err)
	}
	if v.Float("rate") != 1.5 || v.Int("size") != 7 || !v.Flag("stop") || v.Text("level") != "warn" || v.Text("text") != "a b" {
		t.Errorf("values are %+v", v)
	}
	v, err = testSet().Parse("")
	if err != nil {
		t.Fatal(err)
	}
	if v.Float("rate") != 8 || v.Given("rate") || v.Int("size") != 0 || v.Flag("stop") || v.Text("level") != "info" {
		t.Errorf("defaults are %+v", v)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ query, parameter, value, allowed string }{
		{"rate=0.4", "rate", "0.4", "a number from 0.5 to 1024 (MiB/s)"},
		{"rate=1025", "rate", "1025", "a number from 0.5 to 1024 (MiB/s)"},
		{"rate=NaN", "rate", "NaN", "a number from 0.5 to 1024 (MiB/s)"},
		{"rate=Inf", "rate", "Inf", "a number from 0.5 to 1024 (MiB/s)"},
		{"rate=", "rate", "", "a number from 0.5 to 1024 (MiB/s)"},
		{"size=0", "size", "0", "an integer from 1 to 100"},
		{"size=101", "size", "101", "an integer from 1 to 100"},
		{"size=1.5", "size", "1.5", "an integer from 1 to 100"},
		{"size=99999999999999999999", "size", "99999999999999999999", "an integer from 1 to 100"},
		{"stop=yes", "stop", "yes", "1, true, 0 or false"},
		{"level=loud", "level", "loud", "one of info, warn"},
		{"text=123456789", "text", "123456789", "text of at most 8 bytes"},
		{"text=%ff", "text", "\xff", "text of at most 8 bytes"},
		{"speed=1", "speed", "1", "rate, size, stop, level, text"},
		{"size=1&size=2", "size", "1,2", "one value"},
		{"size=%zz", "(query)", "size=%zz", "name=value pairs joined by &, percent-encoded"},
		{"size=1;stop=1", "(query)", "size=1;stop=1", "name=value pairs joined by &, percent-encoded"},
	} {
		_, err := testSet().Parse(c.query)
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: error is %v, want an *Error", c.query, err)
			continue
		}
		if refused.Parameter != c.parameter || refused.Value != c.value || refused.Allowed != c.allowed {
			t.Errorf("%s: refused as %+v, want %+v", c.query, *refused, c)
		}
	}
}

func TestRefuseCutsLongValues(t *testing.T) {
	got := Refuse("text", strings.Repeat("x", 1000), "", "").Value
	if len(got) > 70 || !strings.HasSuffix(got, "...") {
		t.Errorf("value is %d bytes: %q", len(got), got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "rate=1", "rate=NaN", "size=-1&stop=1", "size=1&size=2", "text=%ff", "a;b", "level=INFO&text=%F0%9F%98%80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		set := testSet()
		v, err := set.Parse(query)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("%q: error is not an *Error: %v", query, err)
			}
			if refused.Parameter == "" && !strings.Contains(query, "=") || refused.Allowed == "" {
				t.Fatalf("%q: the error says too little: %+v", query, *refused)
			}
			return
		}
		if r := v.Float("rate"); math.IsNaN(r) || r < 0.5 || r > 1024 {
			t.Fatalf("%q: rate %v got through", query, r)
		}
		if n := v.Int("size"); v.Given("size") && (n < 1 || n > 100) {
			t.Fatalf("%q: size %d got through", query, n)
		}
		if s := v.Text("text"); len(s) > 8 || !utf8.ValidString(s) {
			t.Fatalf("%q: text %q got through", query, s)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	set := testSet()
	for b.Loop() {
		if _, err := set.Parse("rate=1.5&size=7"); err != nil {
			b.Fatal(err)
		}
	}
}
