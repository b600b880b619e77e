package check

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/logs/loki"
)

// alloyConfig returns the configuration without its comments.
func alloyConfig(t *testing.T) string {
	t.Helper()
	p := clusterStack(t).programs["alloy"]
	if len(p.args) < 2 || p.files[p.args[1]] == nil {
		t.Fatalf("%q names no file", p.args)
	}
	return regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(string(p.files[p.args[1]]), "")
}

// Alloy's own parser is no module that can be had, so this is no more than: every bracket and quote is closed, and what one component takes
// another one exports.
func TestAlloysComponentsFitEachOther(t *testing.T) {
	t.Parallel()
	text := alloyConfig(t)
	var open []rune
	closes := map[rune]rune{'}': '{', ']': '[', ')': '('}
	for line := range strings.Lines(text) {
		bare := regexp.MustCompile(`"(\\.|[^"\\])*"`).ReplaceAllString(line, "")
		if strings.Contains(bare, `"`) {
			t.Errorf("a quote is not closed: %s", line)
		}
		for _, r := range bare {
			switch r {
			case '{', '[', '(':
				open = append(open, r)
			case '}', ']', ')':
				if len(open) == 0 || open[len(open)-1] != closes[r] {
					t.Fatalf("%c closes nothing: %s", r, line)
				}
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("not closed: %q", open)
	}
	exports := map[string]string{"discovery.kubernetes": "targets", "discovery.relabel": "output", "loki.process": "receiver", "loki.write": "receiver", "loki.source.file": ""}
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z.]+) "([a-z]+)" \{$`).FindAllStringSubmatch(text, -1) {
		export, there := exports[m[1]]
		if !there {
			t.Errorf("an unknown component: %s", m[1])
		}
		known = append(known, m[1]+"."+m[2]+"."+export)
	}
	taken := regexp.MustCompile(`(?m)(?:targets|forward_to)\s+= \[?([a-z.]+)\]?$`).FindAllStringSubmatch(text, -1)
	if len(known) != 5 || len(taken) != 4 {
		t.Errorf("%d components, and %d connections", len(known), len(taken))
	}
	for _, m := range taken {
		if !slices.Contains(known, m[1]) {
			t.Errorf("nothing exports %s; there are %q", m[1], known)
		}
	}
}

func TestAlloyGivesTheLabelsThatHomeostatAsksFor(t *testing.T) {
	t.Parallel()
	text := alloyConfig(t)
	c, err := config.Load(clusterStack(t).homeostat)
	if err != nil {
		t.Fatal(err)
	}
	asked := loki.Presets()[c.Logs.Loki.Preset]
	for _, label := range []struct{ from, name string }{
		{"__meta_kubernetes_namespace", asked.Namespace}, {"__meta_kubernetes_pod_name", asked.Pod}, {"__meta_kubernetes_pod_container_name", asked.Container},
	} {
		rule := regexp.MustCompile(`source_labels = \["` + label.from + `"\]\s+target_label\s+= "` + label.name + `"`)
		if !rule.MatchString(text) {
			t.Errorf("no rule makes %s of %s", label.name, label.from)
		}
	}
	address := regexp.MustCompile(`url = "([^"]+)"`).FindStringSubmatch(text)
	if address == nil {
		t.Fatal("it writes nowhere")
	}
	if u, err := url.Parse(address[1]); err != nil || !clusterStack(t).known(u.Host) || u.Path != "/loki/api/v1/push" {
		t.Errorf("it writes to %s, where no Loki is (%v)", address[1], err)
	}
	if node := `sys.env("NODE_NAME")`; !strings.Contains(text, node) {
		t.Errorf("it does not keep to its node: no %s", node)
	}
}
