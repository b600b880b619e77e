package differential

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/hpa"
)

// text is the case as JSON.
func text(c *Case) string {
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		panic(fmt.Sprintf("marshal a case: %v", err)) // plain data always can be
	}
	return string(b)
}

// report shrinks a case that differs, keeps it in a file and says what it is.
func report(t *testing.T, c *Case, o *outcome, decide decide) string {
	t.Helper()
	small, m := shrink(t, c, o, decide, "")
	file := filepath.Join(os.TempDir(), fmt.Sprintf("differential-%d.json", c.Seed))
	if err := os.WriteFile(file, []byte(text(small)), 0o600); err != nil {
		file = err.Error()
	}
	return fmt.Sprintf("smallest case found (go test -run TestKeptCases -replay=%s):\n%s\n%s", file, small.describe(), m.describe())
}

// describe tells a case in a few lines.
func (c *Case) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  flags: tolerance %v, downscale stabilization %v, cpu initialization %v, readiness delay %v, sync period %v; gates %+v\n",
		c.Tolerance, c.DownscaleStabilization, c.CPUInitializationPeriod, c.InitialReadinessDelay, c.SyncPeriod, c.Gates)
	for i := range c.Targets {
		t := &c.Targets[i]
		fmt.Fprintf(&b, "  %s: %d replicas, scaled to zero %v, %s\n", t.Name, t.Replicas, t.ScaledToZero, describePolicy(&t.Policy))
	}
	for i := range c.Steps {
		c.Steps[i].describe(&b, c, i)
	}
	return strings.TrimRight(b.String(), "\n")
}

func describePolicy(p *hpa.Policy) string {
	b := fmt.Sprintf("%d to %d on", p.Min, p.Max)
	for i := range p.Metrics {
		m := &p.Metrics[i]
		b += fmt.Sprintf(" [%s %s %s %d]", m.Source.Type, m.Source, m.Type, m.Target)
	}
	for _, d := range []struct {
		name  string
		rules func(*hpa.Behavior) *hpa.Rules
	}{
		{"up", func(b *hpa.Behavior) *hpa.Rules { return b.ScaleUp }},
		{"down", func(b *hpa.Behavior) *hpa.Rules { return b.ScaleDown }},
	} {
		if p.Behavior == nil || d.rules(p.Behavior) == nil {
			continue
		}
		text, err := json.Marshal(d.rules(p.Behavior))
		if err != nil {
			text = []byte(err.Error())
		}
		b += ", " + d.name + " " + string(text)
	}
	if p.Behavior != nil {
		b += ", with a behavior"
	}
	return b
}

func (s *Step) describe(b *strings.Builder, c *Case, i int) {
	fmt.Fprintf(b, "  step %d", i)
	if s.Resources != "" {
		fmt.Fprintf(b, ", resource metrics API: %s", s.Resources)
	}
	for name, v := range s.Values {
		fmt.Fprintf(b, ", %s:", name)
		for k := range v.Items {
			fmt.Fprintf(b, " %s", v.Items[k].String())
		}
		fmt.Fprintf(b, " %s", v.Fault)
	}
	b.WriteString("\n")
	for j := range s.Targets {
		t := &s.Targets[j]
		fmt.Fprintf(b, "    %s: selector %q, %d replicas in the status", c.Targets[j].Name, t.Selector, t.StatusReplicas)
		if t.Replicas != nil {
			fmt.Fprintf(b, ", set to %d", *t.Replicas)
		}
		if t.Fault != "" {
			fmt.Fprintf(b, ", fault %s", t.Fault)
		}
		if t.Policy != nil {
			fmt.Fprintf(b, ", edited: %s", describePolicy(t.Policy))
		}
		b.WriteString("\n")
	}
	for k := range s.Pods {
		s.Pods[k].describe(b)
	}
}

func (p *Pod) describe(b *strings.Builder) {
	fmt.Fprintf(b, "    %s: %s", p.Name, p.Phase)
	for _, word := range []struct {
		on   bool
		text string
	}{{p.Deleting, "deleting"}, {p.Gone, "gone"}, {p.CrashLooping, "crash looping"}, {p.NeverReady, "never ready"}, {p.Started == nil, "not started"}} {
		if word.on {
			b.WriteString(", " + word.text)
		}
	}
	if p.Started != nil {
		fmt.Fprintf(b, ", started %v ago", *p.Started)
	}
	fmt.Fprintf(b, ", ready %q for %v", p.Ready, p.ReadyFor)
	if p.Sample != nil {
		fmt.Fprintf(b, ", sampled %v ago over %v", p.Sample.Age, p.Sample.Window)
	}
	for i := range p.Containers {
		c := &p.Containers[i]
		fmt.Fprintf(b, "; %s requests %s", c.Name, c.Requests.describe())
		if c.Usage != nil {
			fmt.Fprintf(b, " uses %s", c.Usage.describe())
		}
	}
	if p.Requests != nil {
		fmt.Fprintf(b, "; all of it requests %s", p.Requests.describe())
	}
	for name, v := range p.Values {
		fmt.Fprintf(b, "; %s %s, %v ago", name, v.Value.String(), v.Age)
	}
	b.WriteString("\n")
}

func (a *Amounts) describe() string {
	cpu, memory := "none", "none"
	if a.CPU != nil {
		cpu = a.CPU.String()
	}
	if a.Memory != nil {
		memory = a.Memory.String()
	}
	return cpu + "/" + memory
}

// describe tells what differs and how ours came to its number.
func (m *mismatch) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  step %d, %s: %s\n  ours: %d -> %d, %s: %s\n", m.Step, m.Target, m.What, m.Rec.Current, m.Rec.Desired, m.Rec.Reason, m.Rec.Message)
	for i := range m.Rec.Steps {
		s := &m.Rec.Steps[i]
		fmt.Fprintf(&b, "    %s %d -> %d %s: %s\n", s.Name, s.Before, s.After, s.Reason, s.Message)
	}
	for i := range m.Rec.Metrics {
		p := &m.Rec.Metrics[i]
		fmt.Fprintf(&b, "    metric %d: %d replicas, ratio %v, adjusted %v, value %d, %d %%: %s %s\n", i, p.Replicas, p.Ratio, p.AdjustedRatio, p.Value, p.Utilization, p.Message, p.Err)
	}
	b.WriteString("  theirs:")
	for i := range m.Theirs.Conditions {
		c := &m.Theirs.Conditions[i]
		fmt.Fprintf(&b, "\n    %s %s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return b.String()
}
