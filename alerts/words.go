package alerts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// Bounds of what an alert says, in bytes and entries: a page is read on a telephone, and Alertmanager keeps all of it in memory.
const (
	maxSummary     = 300
	maxDescription = 2000
	maxLog         = 1500
	maxDone        = 1200
	maxMembers     = 800
	maxLines       = 5
	maxSteps       = 5
	maxNames       = 3
)

// summary is one line: whom it is about and why.
func summary(in *incident.Incident) string {
	cause := in.Cause
	if cause == "" {
		cause = string(in.Kind)
	}
	return cut(oneLine(in.Workload.String()+": "+cause), maxSummary)
}

// description is the whole story but for the log and what was done.
func description(in *incident.Incident) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if in.Cause != "" {
		line("Cause (%d %% sure): %s", in.Confidence, oneLine(in.Cause))
	} else {
		line("Kind: %s; its cause is not known", in.Kind)
	}
	if len(in.For) > 0 {
		line("For it: %s", oneLine(strings.Join(in.For, "; ")))
	}
	if len(in.Against) > 0 {
		line("Against it: %s", oneLine(strings.Join(in.Against, "; ")))
	}
	if f := in.Forecast; f != nil {
		line("Reaches its memory limit at %s", clock(f.OOMAt))
	}
	line("Since %s, last seen %s, %s%s", clock(in.StartedAt), clock(in.LastSeenAt), times(in.Occurrences), on(in))
	if in.MemberCount > 0 {
		line("Workloads that fail because of it: %d", in.MemberCount)
	}
	if in.Root != "" {
		line("It follows from %s, whose alert stands for it", in.Root)
	}
	if in.Message != "" {
		line("%s: %s", in.State, oneLine(in.Message))
	}
	return cut(strings.TrimSpace(b.String()), maxDescription)
}

func times(n int32) string {
	switch n {
	case 0, 1:
		return "seen once"
	default:
		return fmt.Sprintf("seen %d times", n)
	}
}

// on names the newest replicas.
func on(in *incident.Incident) string {
	var names []string
	for _, s := range slices.Backward(in.Subjects) {
		if s.Replica != "" && !slices.Contains(names, s.Replica) {
			names = append(names, s.Replica)
		}
	}
	if len(names) == 0 {
		return ""
	}
	out := " on " + strings.Join(names[:min(len(names), maxNames)], ", ")
	if over := len(names) - maxNames; over > 0 {
		out += fmt.Sprintf(" and %d more", over)
	}
	return out
}

// members lists the workloads that the incident is the root of.
func members(in *incident.Incident) string {
	names := make([]string, 0, len(in.Members))
	for i := range in.Members {
		m := &in.Members[i]
		name := m.Workload.String()
		if m.Kind != "" {
			name += " (" + string(m.Kind) + ")"
		}
		names = append(names, name)
	}
	out := strings.Join(names, ", ")
	if over := int(in.MemberCount) - len(names); over > 0 && len(names) > 0 {
		out += fmt.Sprintf(" and %d more", over)
	}
	return cut(out, maxMembers)
}

// logLines are the most telling lines of the newest log that has any; where none were told apart, the last ones. They were
// masked when they were captured.
func logLines(in *incident.Incident) string {
	for _, e := range slices.Backward(in.Evidence) {
		if e.Kind != incident.EvidenceLog {
			continue
		}
		var lines []string
		for _, t := range e.Templates[:min(len(e.Templates), maxLines)] {
			line := oneLine(t.Example)
			if t.Count > 1 {
				line = fmt.Sprintf("%s (%d like it)", line, t.Count)
			}
			lines = append(lines, line)
		}
		if len(lines) == 0 {
			lines = e.Lines[max(len(e.Lines)-maxLines, 0):]
		}
		if len(lines) > 0 {
			return cut(strings.Join(lines, "\n"), maxLog)
		}
	}
	return ""
}

// done says what was done, the newest first, and what forbade more since then.
func done(in *incident.Incident) string {
	var lines []string
	for _, r := range slices.Backward(in.Remediations) {
		if len(lines) == maxSteps {
			break
		}
		what := string(r.Remedy)
		if r.Replica != "" {
			what += " of " + r.Replica
		}
		lines = append(lines, clock(r.IntendedAt)+" "+oneLine(what+": "+string(r.Outcome)+", "+r.Message))
	}
	refused := refusals(in)
	if len(lines) == 0 && len(refused) == 0 {
		return "Nothing was done."
	}
	return cut(strings.Join(append(lines, refused...), "\n"), maxDone)
}

// refusals are the newest reasons for which nothing was done since the last remediation, each once.
func refusals(in *incident.Incident) []string {
	var last time.Time
	for i := range in.Remediations {
		if at := in.Remediations[i].IntendedAt; at.After(last) {
			last = at
		}
	}
	var lines, seen []string
	for _, e := range slices.Backward(in.Timeline) {
		if e.At.Before(last) || len(lines) == maxSteps {
			break
		}
		if !isRefusal(e.Reason) || slices.Contains(seen, e.Reason) {
			continue
		}
		seen = append(seen, e.Reason)
		lines = append(lines, clock(e.At)+" not done ("+e.Reason+"): "+oneLine(e.Message))
	}
	return lines
}

// isRefusal reports whether a step's reason says why nothing was done. The reasons are those of package healing.
func isRefusal(reason string) bool {
	switch reason {
	case "ObserveOnly", "NoRemedy", "NotOwned", "ProtectedWorkload", "StaleSnapshot", "NoEvidence", "MinHealthy", "RollingOut",
		"Cooldown", "BudgetExhausted", "AlreadyTried", "BlockedByPDB", "NodeNotReady", "BreakerOpen", "ClusterBudgetExhausted",
		"DependencyDown", "ManagedElsewhere", "ScaledElsewhere", "SizedElsewhere", "NotApplicable", "LowConfidence",
		"LadderExhausted", "WouldBreakPDB", "NotSupported", "Forbidden":
		return true
	default:
		return false
	}
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// cut shortens a text to at most size bytes at a rune's border.
func cut(s string, size int) string {
	s = strings.ToValidUTF8(s, "")
	const ellipsis = "…"
	if len(s) <= size {
		return s
	}
	return strings.ToValidUTF8(s[:size-len(ellipsis)], "") + ellipsis
}
