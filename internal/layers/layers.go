package layers

import "strings"

// Module is the path of the module whose packages the table is about.
const Module = "github.com/homeostat/homeostat"

// A Rule says what the packages under Prefix must not import: neither a package under one of Deny nor, where Only is
// set, one of this module that is not under one of Only.
type Rule struct {
	Prefix string
	// Only lists the packages of this module that may be imported; nil means any. The package's own tree always may.
	Only []string
	// Deny lists import paths, with all that lies below them.
	Deny []string
	// Why is what to tell who broke the rule.
	Why string
}

// Rules returns the table. The first rule whose prefix fits a package counts, so longer prefixes come first.
func Rules() []Rule {
	world := []string{"k8s.io", "sigs.k8s.io", "net/http", "net", "os", "os/exec", "github.com/prometheus", "log", "log/slog", "math/rand"}
	nouns := []string{"metrics", "internal/cluster", "internal/incident"}
	adapters := append([]string{"hpa", "healing", "api", "internal/policy", "internal/schedule", "internal/logs", "internal/control"}, nouns...)
	return []Rule{
		{Prefix: "metrics/kubelet", Only: nouns, Why: "a source knows samples and no decision"},
		{Prefix: "metrics/app", Only: nouns, Why: "a source knows samples and no decision"},
		{Prefix: "metrics/promql", Only: nouns, Why: "a source knows samples and no decision"},
		{Prefix: "metrics/custom", Only: nouns, Why: "a source knows samples and no decision"},
		{Prefix: "metrics/poll", Only: []string{}, Why: "polling knows nothing of what is polled"},
		{Prefix: "metrics", Only: []string{"internal/cluster"}, Deny: world, Why: "nouns use the standard library and do no I/O"},
		{Prefix: "internal/cluster", Only: []string{"metrics"}, Deny: world, Why: "nouns use the standard library and do no I/O"},
		{Prefix: "internal/incident", Only: nouns, Deny: world, Why: "nouns use the standard library and do no I/O"},
		{Prefix: "hpa", Only: nouns, Deny: world, Why: "decisions take nouns and do no I/O"},
		{Prefix: "healing", Only: nouns, Deny: world, Why: "decisions take nouns and do no I/O"},
		{Prefix: "alerts", Only: nouns, Deny: world, Why: "decisions take nouns and do no I/O"},
		{Prefix: "internal/schedule", Only: append([]string{"hpa"}, nouns...), Deny: world, Why: "decisions take nouns and do no I/O"},
		{Prefix: "api", Only: []string{}, Why: "the API's types know nobody"},
		{Prefix: "internal/policy", Only: append([]string{"hpa", "healing", "api"}, append(nouns, "internal/control", "internal/schedule")...), Why: "policies are made from the API's types"},
		{Prefix: "internal/control", Only: append([]string{"hpa", "healing"}, nouns...), Deny: []string{"k8s.io", "net/http"}, Why: "the loops know no platform"},
		{Prefix: "internal/replay", Only: append([]string{"hpa", "internal/journal"}, nouns...), Deny: []string{"k8s.io", "net/http", "os"}, Why: "a replay is records in, report out"},
		{Prefix: "internal/logs", Only: []string{"internal/incident"}, Why: "logs are lines, whoever asks for them"},
		{Prefix: "internal/journal", Only: append([]string{"hpa", "healing"}, nouns...), Why: "a record holds nouns and decisions"},
		{Prefix: "internal/lokipush", Only: append([]string{"internal/journal"}, nouns...), Why: "a sink is told records and decides nothing"},
		{Prefix: "internal/annotate", Only: append([]string{"hpa", "healing", "internal/control"}, nouns...), Deny: []string{"k8s.io"}, Why: "a sink is told records and decides nothing"},
		{Prefix: "internal/notify", Only: append([]string{"alerts", "hpa", "healing", "internal/control"}, nouns...), Deny: []string{"k8s.io"}, Why: "a sink is told records and decides nothing"},
		{Prefix: "internal/report", Only: append([]string{"hpa", "healing", "internal/decisions", "internal/replay"}, nouns...), Deny: []string{"k8s.io", "net/http", "os"}, Why: "a report is records in, words out"},
		{Prefix: "dashboards", Only: []string{}, Deny: []string{"k8s.io"}, Why: "a dashboard knows metrics by name"},
		{Prefix: "platform/kube", Only: adapters, Why: "an adapter does not know the wiring nor the other platform"},
		{Prefix: "platform/local", Only: adapters, Why: "an adapter does not know the wiring nor the other platform"},
		{Prefix: "demoapp", Only: []string{}, Why: "the demo app is a stranger to the controller"},
		{Prefix: "cmd/demoapp", Only: []string{"demoapp"}, Why: "the demo app is a stranger to the controller"},
		{Prefix: "cmd/homeostat", Only: []string{"internal/cli"}, Why: "a command is flags and one call"},
	}
}

// Broken returns why pkg must not import path, empty where it may. Both are import paths.
func Broken(pkg, path string) string {
	rel := strings.TrimPrefix(pkg, Module+"/")
	for _, r := range Rules() {
		if !under(rel, r.Prefix) {
			continue
		}
		for _, d := range r.Deny {
			if under(path, d) {
				return r.Why
			}
		}
		if inner, ok := strings.CutPrefix(path, Module+"/"); ok && r.Only != nil && !under(inner, r.Prefix) && !underAny(inner, r.Only) {
			return r.Why
		}
		return ""
	}
	return ""
}

func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func underAny(path string, prefixes []string) bool {
	for _, p := range prefixes {
		if under(path, p) {
			return true
		}
	}
	return false
}
