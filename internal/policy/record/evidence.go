package record

import (
	"encoding/json"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// MaxBytes of a stored incident as JSON: far below what the API server's storage takes of one object (1.5 MiB of a request to
// etcd), so that some hundreds of incidents in a namespace stay a small list.
const MaxBytes = 240 << 10

// shortened is said in evidence that fit has cut.
const shortened = " (shortened: the incident is full)"

func fromEvidence(e *incident.Evidence) v1alpha1.IncidentEvidence {
	out := v1alpha1.IncidentEvidence{
		Kind: string(e.Kind), At: microOrNone(e.At), Replica: e.Replica, Container: e.Container, Message: e.Message,
		Lines: e.Lines, Templates: each(e.Templates, fromTemplate), Source: e.Source,
		Points: each(e.Points, fromPoint), MemoryLimit: e.MemoryLimit,
	}
	if t := e.Termination; t != nil {
		out.Termination = &v1alpha1.Termination{
			ContainerID: t.ContainerID, ExitCode: t.ExitCode, Signal: t.Signal, Reason: t.Reason, Message: t.Message,
			StartedAt: microOrNone(t.StartedAt), FinishedAt: microOrNone(t.FinishedAt),
		}
	}
	return out
}

func toEvidence(e *v1alpha1.IncidentEvidence) incident.Evidence {
	out := incident.Evidence{
		Kind: incident.EvidenceKind(e.Kind), At: timeOf(e.At), Replica: e.Replica, Container: e.Container, Message: e.Message,
		Lines: e.Lines, Templates: each(e.Templates, toTemplate), Source: e.Source,
		Points: each(e.Points, toPoint), MemoryLimit: e.MemoryLimit,
	}
	if t := e.Termination; t != nil {
		out.Termination = &cluster.Termination{
			ContainerID: t.ContainerID, ExitCode: t.ExitCode, Signal: t.Signal, Reason: t.Reason, Message: t.Message,
			StartedAt: timeOf(t.StartedAt), FinishedAt: timeOf(t.FinishedAt),
		}
	}
	return out
}

func fromTemplate(t *incident.LogTemplate) v1alpha1.LogTemplate {
	return v1alpha1.LogTemplate{
		Template: t.Template, Count: t.Count, Before: t.Before, Siblings: t.Siblings, Novelty: t.Novelty, Example: t.Example,
	}
}

func toTemplate(t *v1alpha1.LogTemplate) incident.LogTemplate {
	return incident.LogTemplate{
		Template: t.Template, Count: t.Count, Before: t.Before, Siblings: t.Siblings, Novelty: t.Novelty, Example: t.Example,
	}
}

// fit makes the object small enough. The limits of one incident's parts bound it, but for the way that JSON writes control
// characters, and are wide enough that all of them together would be too much. It cuts in the longest evidence first, so that
// short logs stay whole; the newest lines and the most telling templates stay.
func fit(o *v1alpha1.Incident) {
	total := bytesOf(&o.Status)
	sizes := make([]int, len(o.Status.Evidence))
	for i := range o.Status.Evidence {
		sizes[i] = bytesOf(&o.Status.Evidence[i])
	}
	for total > MaxBytes {
		longest := -1
		for i := range sizes {
			if longest < 0 || sizes[i] >= sizes[longest] { // of two that are equal the newer: how it began is worth more
				longest = i
			}
		}
		if longest < 0 || sizes[longest] == 0 {
			return
		}
		e := &o.Status.Evidence[longest]
		if len(e.Lines)+len(e.Templates) == 0 {
			sizes[longest] = 0
			continue
		}
		if len(e.Lines) >= len(e.Templates) {
			e.Lines = e.Lines[(len(e.Lines)+1)/2:]
		} else {
			e.Templates = e.Templates[:len(e.Templates)/2]
		}
		if len(e.Message) < len(shortened) || e.Message[len(e.Message)-len(shortened):] != shortened {
			e.Message += shortened
		}
		now := bytesOf(e)
		total += now - sizes[longest]
		sizes[longest] = now
	}
}

// bytesOf returns the length of a part as JSON.
func bytesOf(part any) int {
	raw, err := json.Marshal(part)
	if err != nil {
		return 0 // the API's types can always be written
	}
	return len(raw)
}
