package main

import (
	"bytes"
	"strings"
)

// ruleHead is what a PrometheusRule has around the groups. The label release is what the operator of kube-prometheus-stack selects by, with the
// chart's defaults and its usual name.
const ruleHead = `# Generated from homeostat.yaml by go generate ./internal/telemetry: edit that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: homeostat
  labels:
    app.kubernetes.io/name: homeostat
    app.kubernetes.io/part-of: homeostat
    release: kube-prometheus-stack
spec:
`

// wrapRules returns the groups of a plain rule file as a PrometheusRule. The text stays as it is, two columns to the right, so that comments and
// the layout of expressions are kept; the comments before the groups are about the plain file.
func wrapRules(rules []byte) []byte {
	var b strings.Builder
	b.WriteString(ruleHead)
	at := bytes.Index(rules, []byte("groups:"))
	for line := range strings.Lines(string(rules[max(at, 0):])) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}
