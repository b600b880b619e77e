package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/telemetry"
)

const (
	tableEnd = "<!-- end of table -->\n"
)

// fillPage replaces what stands between the marks of each part with its tables, and leaves the rest.
func fillPage(page []byte, all []telemetry.Metric) ([]byte, error) {
	for _, part := range []telemetry.Part{telemetry.Autoscalers, telemetry.Healing, telemetry.Controller} {
		mark := []byte(fmt.Sprintf("<!-- table: %s -->\n", part))
		before, rest, found := bytes.Cut(page, mark)
		if !found {
			return nil, fmt.Errorf("%q is missing", strings.TrimSpace(string(mark)))
		}
		_, after, found := bytes.Cut(rest, []byte(tableEnd))
		if !found {
			return nil, fmt.Errorf("%q has no %q after it", strings.TrimSpace(string(mark)), strings.TrimSpace(tableEnd))
		}
		of := slices.DeleteFunc(slices.Clone(all), func(m telemetry.Metric) bool { return m.Part != part })
		page = slices.Concat(before, mark, []byte(metricTable(of)+"\n"+labelTable(of)), []byte(tableEnd), after)
	}
	return page, nil
}

func metricTable(of []telemetry.Metric) string {
	var b strings.Builder
	b.WriteString("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n")
	for i := range of {
		m := &of[i]
		labels := make([]string, len(m.Labels))
		for j := range m.Labels {
			labels[j] = "`" + m.Labels[j].Name + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, m.Unit, strings.Join(labels, ", "), m.Help)
	}
	return b.String()
}

// labelTable lists each label with its values. Where a label means something else in some metrics, the meaning that it has in most stands alone,
// and the others name theirs.
func labelTable(of []telemetry.Metric) string {
	type meaning struct {
		telemetry.Label
		in []string
	}
	var all []meaning
	for i := range of {
		for _, l := range of[i].Labels {
			at := slices.IndexFunc(all, func(m meaning) bool { return m.Label == l })
			if at < 0 {
				at = len(all)
				all = append(all, meaning{Label: l})
			}
			all[at].in = append(all[at].in, "`"+of[i].Name+"`")
		}
	}
	var b strings.Builder
	b.WriteString("| label | values |\n|---|---|\n")
	for i := range all {
		where := ""
		if slices.ContainsFunc(all, func(m meaning) bool { return m.Name == all[i].Name && len(m.in) > len(all[i].in) }) {
			where = " of " + strings.Join(all[i].in, ", ")
		}
		fmt.Fprintf(&b, "| `%s`%s | %s |\n", all[i].Name, where, all[i].Bound)
	}
	return b.String()
}
