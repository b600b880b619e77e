package healing

import (
	"slices"

	"github.com/homeostat/homeostat/internal/incident"
)

// Attach returns the incident with one more piece of evidence, within the bounds of package incident: the log is cut to
// its newest lines, and where there is no room the first evidence of a kind and the newest stay.
func Attach(in incident.Incident, e incident.Evidence) incident.Incident {
	e.Lines = newestLines(e.Lines)
	list := append(slices.Clone(in.Evidence), e)
	for len(list) > incident.MaxEvidence {
		list = dropMiddle(list, e.Kind)
	}
	in.Evidence = list
	return in
}

// newestLines keeps the last lines that fit into the bounds: what was written right before a death says most.
func newestLines(lines []string) []string {
	if len(lines) > incident.MaxLogLines {
		lines = lines[len(lines)-incident.MaxLogLines:]
	}
	bytes := 0
	for i := len(lines) - 1; i >= 0; i-- {
		bytes += len(lines[i])
		if bytes > incident.MaxLogBytes {
			return lines[i+1:]
		}
	}
	return lines
}

// dropMiddle removes the oldest evidence of the kind that is not the first of it; where there is only one, the oldest
// evidence that is neither the first of all nor the newest.
func dropMiddle(list []incident.Evidence, kind incident.EvidenceKind) []incident.Evidence {
	first := slices.IndexFunc(list, func(e incident.Evidence) bool { return e.Kind == kind })
	for i := first + 1; i < len(list)-1; i++ {
		if list[i].Kind == kind {
			return slices.Delete(list, i, i+1)
		}
	}
	return slices.Delete(list, 1, 2)
}
