package score

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Write writes the report as Markdown.
func (t *Table) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(preamble)
	t.summary(&b)
	t.corpus(&b)
	t.matrix(&b)
	t.kinds(&b)
	t.hard(&b)
	t.actions(&b)
	t.faults(&b)
	b.WriteString(limits)
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // the caller knows what it writes to
}

const preamble = `# How well failures are told, measured

Written by ` + "`make healing-report`" + ` from the recordings in internal/corpus/testdata/recordings: real failures, made on a two-node lab by
the scripts in internal/corpus/testdata/variants and recorded as the objects, events, usage and logs that a watcher of the API
server saw. Each is replayed in its recorded time through the product's own view and healing loop, in the mode Act with the default
policy (forecasts over 3 minutes instead of 30), and held against its label.

`

const limits = `
## What this does not show

- An action changes nothing in a recording, so an action is judged by whether it may be taken, not by what it would have brought.
  Whether remedies help is what the end-to-end tests show.
- A recording is one namespace of one small cluster (Kubernetes 1.36, containerd 1.6, cgroup v1). On cgroup v2 the kernel kills a
  whole container where version 1 kills a child.
- The lab's waits are shorter than a cluster's: a crash loop's back-off ends at 20 s, a node counts as lost after 16 s.
- These figures are from the recordings that the checks were mended with: several faults of theirs were found here and are gone. They say
  that what was recorded is told apart, not how well failures are told that nobody has recorded.
- The labels and the engine were written by the same project. Some labels were corrected after a first replay, where the recording showed
  something else than was planned or a consequence that is right too, and some failures that had not come about as planned were
  recorded again. What is right beside a label (also: in its variant) counts neither for nor against precision.
- Failures are set off by force, such as a stopped kubelet, a frozen process or a container that is taken from the runtime. What the
  platform then says of them is its own.
- The first sign can be the warning of a readiness probe while a container starts, so the times to the incident are upper bounds.
`

func percent(v float64, ok bool) string {
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*v)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }

func (t *Table) summary(b *strings.Builder) {
	harms := 0
	for _, r := range t.Results {
		harms += len(r.Harms())
	}
	mp, mr := t.Micro()
	ap, ar := t.Macro()
	all := t.Delays()
	fmt.Fprintf(b, "| what | measured |\n|---|---|\n")
	fmt.Fprintf(b, "| recordings | %d failures, %d controls |\n", t.Failures, t.Controls)
	fmt.Fprintf(b, "| precision, recall over all recordings | %s, %s |\n", percent(mp, true), percent(mr, true))
	fmt.Fprintf(b, "| mean precision, recall of the kinds | %s, %s |\n", percent(ap, true), percent(ar, true))
	fmt.Fprintf(b, "| controls that opened an incident | %d of %d |\n", t.FalseAlarms, t.Controls)
	fmt.Fprintf(b, "| harmful actions | %d of %d actions (%d more were refused by a PodDisruptionBudget) |\n", harms, t.Actions-t.Blocked, t.Blocked)
	if t.Failures > 0 && t.Incidents > 0 {
		fmt.Fprintf(b, "| incidents for a failure | %.2f |\n", float64(t.Incidents)/float64(t.Failures))
		fmt.Fprintf(b, "| warning events for an incident | %.1f |\n", float64(t.Warnings)/float64(t.Incidents))
	}
	fmt.Fprintf(b, "| first sign to incident, median, p90, longest | %s, %s, %s |\n\n",
		seconds(quantile(all, 0.5)), seconds(quantile(all, 0.9)), seconds(quantile(all, 1)))
	b.WriteString("The first sign is the first object or event that names the failure, also where a policy waits on purpose before it\n" +
		"calls that a failure: 30 s for what is pending, 3 minutes for a replica that is not ready.\n")
}

func (t *Table) corpus(b *strings.Builder) {
	happened, derived := 0, 0
	for _, k := range t.Kinds {
		happened, derived = happened+k.Real, derived+k.Derived
	}
	fmt.Fprintf(b, "\n## Corpus\n\n%d failures happened as recorded. In %d a part was written by a script through the API server, or done from "+
		"outside,\nbecause the machine cannot make it happen:\n\n", happened, derived)
	for _, r := range t.Results {
		if d := r.Recording.Label.Derived; d != "" {
			fmt.Fprintf(b, "- %s: %s.\n", r.Name(), d)
		}
	}
}

// matrix writes one row for each labelled kind; the columns are numbered as the rows are.
func (t *Table) matrix(b *strings.Builder) {
	names := make([]string, 0, len(t.Kinds)+1)
	width := 0
	for _, k := range t.Kinds {
		names = append(names, k.Kind)
		width = max(width, len(k.Kind))
	}
	names = append(names, None)
	b.WriteString("\n## Confusion matrix\n\nRows are labels, columns are what was found, in recordings. A recording counts in every column of which it has an" +
		" incident:\nwhat is right beside the label (pods that crash keep a rollout stuck) is in its row too. The columns have the numbers of the rows.\n\n```\n")
	fmt.Fprintf(b, "%*s", width+4, "")
	for i := range names {
		fmt.Fprintf(b, "%3d", i+1)
	}
	b.WriteString("\n")
	for i, row := range names {
		cells := t.Matrix[row]
		if len(cells) == 0 {
			continue
		}
		fmt.Fprintf(b, "%3d %-*s", i+1, width, row)
		for _, column := range names {
			if n := cells[column]; n > 0 {
				fmt.Fprintf(b, "%3d", n)
			} else {
				b.WriteString("  .")
			}
		}
		b.WriteString("\n")
	}
	for i, name := range names {
		if len(t.Matrix[name]) == 0 {
			fmt.Fprintf(b, "%3d %-*s  (no recording has this label)\n", i+1, width, name)
		}
	}
	b.WriteString("```\n")
}

func (t *Table) kinds(b *strings.Builder) {
	b.WriteString("\n## By kind\n\n| kind | recordings (derived) | found | also found elsewhere | precision | recall | sign to incident, median |\n" +
		"|---|---|---|---|---|---|---|\n")
	for _, k := range t.Kinds {
		delay := "–"
		if sorted := slices.Sorted(slices.Values(k.Delays)); len(sorted) > 0 {
			delay = seconds(quantile(sorted, 0.5))
		}
		p, pok := k.Precision()
		r, rok := k.Recall()
		fmt.Fprintf(b, "| %s | %d (%d) | %d of %d | %d | %s | %s | %s |\n", k.Kind, k.Real+k.Derived, k.Derived, k.Found, k.Wanted, k.Extra,
			percent(p, pok), percent(r, rok), delay)
	}
	b.WriteString("\n\"Also found elsewhere\" counts recordings in which the kind was found and is neither the label nor right beside it.\n")
}

func (t *Table) hard(b *strings.Builder) {
	b.WriteString("\n## Hard cases\n\n| recording | what makes it hard | wanted | found |\n|---|---|---|---|\n")
	for _, r := range t.Results {
		if h := r.Recording.Label.Hard; h != "" {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", r.Name(), h, r.Row(), orNone(r.Kinds()))
		}
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return None
	}
	return strings.Join(list, ", ")
}

func (t *Table) actions(b *strings.Builder) {
	counts := map[string]int{}
	for _, r := range t.Results {
		for _, a := range r.Acts {
			key := fmt.Sprintf("| %s | %s | ", r.Row(), a.Action.Remedy)
			switch {
			case a.Blocked:
				key += "refused by a PodDisruptionBudget |"
			case a.Harm != "":
				key += "HARM: " + a.Harm + " |"
			default:
				key += "allowed |"
			}
			counts[key]++
		}
	}
	b.WriteString("\n## Actions\n\n| label | remedy | judgement | times |\n|---|---|---|---|\n")
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(b, "%s %d |\n", k, counts[k])
	}
	b.WriteString("\nAn action does harm if it is on a workload that is well, if it cannot help against the labelled kind, if it takes a ready replica and " +
		"leaves\nless than 51 % of the desired ones ready, or if it goes back to a revision that was never healthy. What helps against which kind " +
		"is written\ndown in internal/corpus/score/allowed.go, apart from the engine's own tables.\n")
}

// faults lists what was missed and what was found too much.
func (t *Table) faults(b *strings.Builder) {
	b.WriteString("\n## Misses and false findings\n\n")
	none := true
	known := KnownFaults()
	for _, r := range t.Results {
		if len(r.Missed) == 0 && len(r.Extra) == 0 {
			continue
		}
		none = false
		fmt.Fprintf(b, "- %s:", r.Name())
		for _, want := range r.Missed {
			fmt.Fprintf(b, " %s missed.", want.Kind)
		}
		if len(r.Extra) > 0 {
			fmt.Fprintf(b, " %s found too.", strings.Join(r.Extra, ", "))
		}
		if why := known[r.Name()]; why != "" {
			b.WriteString(" Known: " + why + ".")
		}
		b.WriteString("\n")
	}
	if none {
		b.WriteString("None.\n")
	}
}
