package alerts

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMatchers(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"severity": "critical", "namespace": "shop", "odd": "a \"b\"\nc\\"}
	for text, want := range map[string]bool{
		`severity="critical"`:      true,
		`severity=critical`:        true,
		`  severity = "critical" `: true,
		`severity="crit"`:          false,
		`severity!="critical"`:     false,
		`severity!=warning`:        true,
		`severity=~"crit"`:         false, // the whole value
		`severity=~"crit.*|info"`:  true,
		`severity=~crit.*`:         true,
		`severity!~"warning|info"`: true,
		`severity!~"c.*"`:          false,
		`team=""`:                  true, // a label that is not there is empty
		`team=`:                    true,
		`team!="x"`:                true,
		`team=~".+"`:               false,
		`odd="a \"b\"\nc\\"`:       true,
		`odd=~"a.*c."`:             true, // the dot matches the end of a line
		`namespace=~"s\w+"`:        true, // what is no escape of strings is one of the expression
		`namespace=~"a|shop|b"`:    true,
	} {
		m, err := ParseMatcher(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := m.Matches(labels); got != want {
			t.Errorf("%s matches: %t", text, got)
		}
	}
	for _, text := range []string{
		`namespace=~"sho(p"`,
		strings.Repeat("a", 5000) + `="b"`,
		`severity`,
		`="critical"`,
		`9a="critical"`,
		`severity=="critical"`,
		`severity="crit"ical"`,
		`severity="critical`,
		`severity="critical\"`,
		`severity=a b`,
		`severity=a,b`,
		"severity=\"\xff\"",
		`{severity="critical"}`,
		`severity="critical", namespace="a`,
	} {
		m, err := ParseMatcher(text)
		if err == nil {
			t.Errorf("%s is a matcher: %s", text, m)
		} else if !strings.Contains(err.Error(), `severity="critical"`) || len(err.Error()) > 500 {
			t.Errorf("the error does not say what is allowed: %v", err)
		}
	}
	if (Matcher{Name: "severity", Op: "?"}).Matches(labels) || (Matcher{Name: "severity", Op: Like, Value: ".*"}).Matches(labels) {
		t.Error("a matcher that was not parsed matches")
	}
}

// FuzzParseMatcher verifies that any text is a matcher or an error, and that a matcher is read again as it is written.
func FuzzParseMatcher(f *testing.F) {
	for _, s := range []string{`severity="critical"`, `a=~"b|c\\."`, `a!~b`, `a != "\"\n\x"`, `a=`, `=`, "a=\"\xff\"", `a=~"("`} {
		f.Add(s, "critical")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		m, err := ParseMatcher(text)
		if err != nil {
			return
		}
		again, err := ParseMatcher(m.String())
		if err != nil {
			t.Fatalf("%q is written as %s, which is none: %v", text, m, err)
		}
		labels := map[string]string{m.Name: value}
		if again.Name != m.Name || again.Op != m.Op || again.Value != m.Value || again.Matches(labels) != m.Matches(labels) {
			t.Fatalf("%q is written as %s and read as %s", text, m, again)
		}
		not := m
		not.Op = map[Op]Op{Equal: NotEqual, NotEqual: Equal, Like: Unlike, Unlike: Like}[m.Op]
		if not.Matches(labels) == m.Matches(labels) {
			t.Fatalf("%s and its opposite agree on %q", m, value)
		}
	})
}

func matcher(t *testing.T, text string) []Matcher {
	t.Helper()
	m, err := ParseMatcher(text)
	if err != nil {
		t.Fatal(err)
	}
	return []Matcher{m}
}

func TestARouteTreeChoosesReceivers(t *testing.T) {
	t.Parallel()
	tree := Route{Receiver: "rest", Routes: []Route{
		{Receiver: "all", Continue: true},
		{Receiver: "shop", Matchers: matcher(t, "namespace=shop"), Routes: []Route{
			{Receiver: "shop-critical", Matchers: matcher(t, "severity=critical"), Continue: true},
			{Receiver: "shop-oom", Matchers: matcher(t, "kind=OOMKilled")},
		}},
		{Receiver: "never", Matchers: matcher(t, "namespace=shop")},
	}}
	for _, tc := range []struct{ ns, severity, kind, want string }{
		{"a", "critical", "OOMKilled", "all"},
		{"shop", "info", "Evicted", "all shop"},
		{"shop", "critical", "OOMKilled", "all shop-critical shop-oom"},
		{"shop", "critical", "Evicted", "all shop-critical"},
	} {
		var got []string
		for _, r := range tree.Match(map[string]string{"namespace": tc.ns, "severity": tc.severity, "kind": tc.kind}) {
			got = append(got, r.Receiver)
		}
		if d := cmp.Diff(tc.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%+v (-want +got):\n%s", tc, d)
		}
	}
	tree.Routes = tree.Routes[1:]
	if got := tree.Match(map[string]string{"namespace": "a"}); len(got) != 1 || got[0].Receiver != "rest" {
		t.Errorf("what no child takes goes to %v", got)
	}
}

func TestErrorsOfARouteNameFieldAndValue(t *testing.T) {
	t.Parallel()
	good := Route{Receiver: "chat", GroupWait: time.Second, GroupInterval: time.Minute, RepeatInterval: time.Hour, GroupBy: []string{"a"}}
	for name, tc := range map[string]struct {
		change func(*Route)
		want   string
	}{
		"receiver": {func(r *Route) { r.Receiver = "hcat" }, `route.receiver: "hcat" is not allowed: allowed is one of receivers: ["chat"]`},
		"matchers": {func(r *Route) { r.Matchers = matcher(t, "a=b") }, `route.matchers: [a="b"] is not allowed`},
		"wait":     {func(r *Route) { r.GroupWait = -1 }, "route.groupWait: -1ns is not allowed: allowed is 0s to 1h"},
		"interval": {func(r *Route) { r.GroupInterval = 0 }, "route.groupInterval: 0s is not allowed"},
		"repeat":   {func(r *Route) { r.RepeatInterval = time.Second }, "route.repeatInterval: 1s is not allowed: allowed is groupInterval to 720h"},
		"label":    {func(r *Route) { r.GroupBy = []string{"a", "b.c"} }, `route.groupBy[1]: "b.c" is not allowed`},
		"all":      {func(r *Route) { r.GroupBy = []string{"...", "a"} }, `route.groupBy[0]: "..." is not allowed`},
		"twice":    {func(r *Route) { r.GroupBy = []string{"a", "a"} }, `route.groupBy[1]: "a" is not allowed`},
		"child": {func(r *Route) {
			child := *r
			child.Receiver = ""
			r.Routes = []Route{child}
		}, `route.routes[0].receiver: "" is not allowed`},
	} {
		r := good
		tc.change(&r)
		_, err := NewDispatcher(Options{Route: r, Receivers: map[string]Receiver{"chat": {}}})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, want %q", name, err, tc.want)
		}
	}
	good.GroupBy = []string{"..."}
	if _, err := NewDispatcher(Options{Route: good, Receivers: map[string]Receiver{"chat": {}}}); err != nil {
		t.Error(err)
	}
	if _, err := NewDispatcher(Options{Route: good, Receivers: map[string]Receiver{"chat": {}}, MaxAlerts: -1}); err == nil {
		t.Error("a negative number of alerts is allowed")
	}
}
