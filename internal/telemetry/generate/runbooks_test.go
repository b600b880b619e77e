package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/internal/incident"
)

// kindsOf returns the kinds of incident that the alert's label kind can have.
func kindsOf(t *testing.T, r *rule) []string {
	t.Helper()
	var out []string
	for _, s := range selectors(t, r.Expr) {
		for _, k := range incident.Kinds() {
			fits := slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "kind" && m.Matches(string(k)) })
			if fits && !slices.Contains(out, string(k)) {
				out = append(out, string(k))
			}
		}
	}
	return out
}

func TestEveryAlertSaysWhatIsWrongAndHasARunbook(t *testing.T) {
	t.Parallel()
	list, _ := rules(t)
	pages := map[string]bool{"README.md": true}
	for i := range list {
		a := &list[i]
		if !strings.HasPrefix(a.Alert, "Homeostat") || !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
		for _, name := range []string{"summary", "description", "runbook_url"} {
			if a.Annotations[name] == "" {
				t.Errorf("%s has no %s", a.Alert, name)
			}
		}
		if n := len(a.Annotations); n != 3 {
			t.Errorf("%s has %d annotations", a.Alert, n)
		}
		url := a.Annotations["runbook_url"]
		urls := []string{url}
		if strings.Contains(url, kindHole) {
			urls = nil
			for _, k := range kindsOf(t, a) {
				urls = append(urls, strings.ReplaceAll(url, kindHole, k))
			}
		}
		if len(urls) == 0 {
			t.Errorf("%s leads nowhere", a.Alert)
		}
		for _, u := range urls {
			name, ours := strings.CutPrefix(u, runbookURL)
			if !ours {
				t.Errorf("%s leads to %s", a.Alert, u)
			}
			pages[name] = true
		}
	}
	for _, k := range incident.Kinds() { // the alerts that Homeostat sends itself are called so
		pages["Homeostat"+string(k)+".md"] = true
	}
	for _, name := range []string{alerts.NameScaled, alerts.NameMaxedOut, alerts.NameNotScaling} {
		pages[name+".md"] = true
	}
	entries, err := os.ReadDir(filepath.Join(root, "alerts/runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
		if !pages[e.Name()] {
			t.Errorf("no alert leads to alerts/runbooks/%s", e.Name())
		}
	}
	contents := string(read(t, "alerts/runbooks/README.md"))
	for name := range pages {
		if !slices.Contains(there, name) {
			t.Errorf("alerts/runbooks/%s is missing", name)
			continue
		}
		if name != "README.md" {
			checkRunbook(t, name, contents)
		}
	}
}

func checkRunbook(t *testing.T, name, contents string) {
	t.Helper()
	if !strings.Contains(contents, "]("+name+")") {
		t.Errorf("alerts/runbooks/README.md does not list %s", name)
	}
	page := string(read(t, "alerts/runbooks/"+name))
	if !strings.HasPrefix(page, "# "+strings.TrimSuffix(name, ".md")+"\n") {
		t.Errorf("%s begins with another title", name)
	}
	for _, heading := range []string{"## Look first", "## Do", "## Silence", "## When it is a false alarm"} {
		if !strings.Contains(page, "\n"+heading+"\n") {
			t.Errorf("%s has no %q", name, heading)
		}
	}
	if !strings.Contains(page, "\n```\nhomeostat ") && !strings.Contains(page, "\n```\nkubectl ") {
		t.Errorf("%s has no command to begin with", name)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(root, "alerts/runbooks", link[1])); err != nil {
			t.Errorf("%s links to %s: %v", name, link[1], err)
		}
	}
}

// The commands in runbooks are typed at 3 a.m.: what they call is there.
func TestTheCommandsOfTheRunbooksAreThere(t *testing.T) {
	t.Parallel()
	cli := string(read(t, "docs/cli.md"))
	pages, err := filepath.Glob(filepath.Join(root, "alerts/runbooks/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^(?:\$ )?homeostat ([a-z]+)`)
	known := regexp.MustCompile(`(?m)^    homeostat ([a-z]+)`)
	var names []string
	for _, m := range known.FindAllStringSubmatch(cli, -1) {
		names = append(names, m[1])
	}
	for _, p := range pages {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(names, m[1]) {
				t.Errorf("%s: there is no command homeostat %s", filepath.Base(p), m[1])
			}
		}
	}
}

// A silence that silences nothing is found out at the next page: the command of each page that a rule leads to by its kind matches that rule's alert, and
// the one that Homeostat sends itself.
func TestTheSilencesMatchTheAlerts(t *testing.T) {
	t.Parallel()
	list, _ := rules(t)
	for i := range list {
		a := &list[i]
		if !strings.HasSuffix(a.Annotations["runbook_url"], kindHole+".md") {
			continue
		}
		for _, k := range kindsOf(t, a) {
			page := "alerts/runbooks/Homeostat" + k + ".md"
			for _, name := range []string{a.Alert, "Homeostat" + k} {
				of := map[string]string{"alertname": name, "kind": k, "namespace": "NAMESPACE", "workload": "NAME"}
				if !silences(t, string(read(t, page)), of) {
					t.Errorf("the command of %s does not silence %s", page, name)
				}
			}
		}
	}
}

// silences reports whether the command of the page matches an alert with the labels.
func silences(t *testing.T, page string, of map[string]string) bool {
	t.Helper()
	_, command, found := strings.Cut(page, "\namtool silence add ")
	command, _, ends := strings.Cut(command, " --duration")
	if !found || !ends {
		t.Fatal("the page has no command that silences")
	}
	for text := range strings.FieldsSeq(strings.ReplaceAll(command, "'", `"`)) {
		m, err := alerts.ParseMatcher(text)
		if err != nil {
			t.Fatal(err)
		}
		if !m.Matches(of) {
			return false
		}
	}
	return true
}
