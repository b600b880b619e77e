package record

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// full returns an incident with every list and every text at its limit; fill is what texts are made of.
func full(fill string) incident.Incident {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	text := func(n int) string { return strings.Repeat(fill, n/len(fill)) }
	sentence, name := text(incident.MaxMessage), strings.Repeat("n", 253)
	ref := cluster.Ref{Kind: "StatefulSet", Namespace: strings.Repeat("n", 63), Name: name, UID: strings.Repeat("u", 36)}
	in := incident.Incident{
		Namespace: ref.Namespace, Name: name, Workload: ref, Kind: incident.StuckTerminating, State: incident.Verifying, Policy: name,
		OpenedAt: at, StartedAt: at, LastSeenAt: at, HealthySince: at, ResolvedAt: at, ForgottenUntil: at,
		Root: name, Proposal: text(incident.MaxProposal), MemberCount: 1000,
		Forecast: &incident.Forecast{At: at, OOMAt: at, Earliest: at, Latest: at, Memory: 1 << 40, Limit: 1 << 40, Slope: 1e9 / 3., Fit: 2 / 3., Span: time.Hour / 3},
	}
	phrases := make([]string, incident.MaxPhrases)
	for i := range phrases {
		phrases[i] = fmt.Sprint(i) + sentence[:len(sentence)-1]
	}
	in.Explain(sentence, 100, phrases, phrases)
	in.Say("WouldBreakPDB", sentence)
	for i := range 2 * incident.MaxTimeline {
		in.Note(at, "WouldBreakPDB", sentence)
		in.Count(strings.Repeat("f", 64)+fmt.Sprint(i), at, 1)
		in.Concern(incident.Subject{Replica: name, UID: fmt.Sprint(i) + ref.UID, Node: name, Container: name[:63], At: at, Restarts: 1 << 30, Deaths: 1 << 30})
		in.Intend(incident.Remediation{
			ID: fmt.Sprint(i) + strings.Repeat("i", 64), Remedy: incident.RemedyRestartWorkload, Replica: name, ReplicaUID: ref.UID,
			Change: incident.Change{
				Container: name[:63], FromMemory: 1 << 40, ToMemory: 1 << 40, FromReplicas: 1 << 30, ToReplicas: 1 << 30,
				FromRevision: name, ToRevision: name, Target: ref, Key: name, Template: true,
			},
			Call: sentence, IntendedAt: at, AttemptedAt: at, FinishedAt: at, Attempts: 1 << 30, By: name,
			Outcome: incident.Succeeded, Reason: "WouldBreakPDB", Message: sentence,
		})
		member := ref
		member.Name = fmt.Sprint(i) + name[3:]
		in.Join(incident.Member{Workload: member, Incident: ref.Namespace + "/" + name, Kind: incident.StuckTerminating, Since: at})
		in.Attach(incident.Evidence{
			Kind: incident.EvidenceTermination, At: at, Replica: name, Container: name[:63], Message: sentence, Source: "kubelet",
			Lines:     slices.Repeat([]string{text(incident.MaxLogBytes / incident.MaxLogLines)}, incident.MaxLogLines),
			Templates: slices.Repeat([]incident.LogTemplate{{Template: sentence, Example: sentence, Count: 1 << 30, Before: 1 << 30, Siblings: 1 << 30, Novelty: 100}}, incident.MaxTemplates),
			Termination: &cluster.Termination{
				ContainerID: "containerd://" + strings.Repeat("c", 64), ExitCode: 137, Signal: 9, Reason: sentence, Message: sentence, StartedAt: at, FinishedAt: at,
			},
			Points:      slices.Repeat([]metrics.Point{{At: at, CPUMilli: 1 << 40, MemoryBytes: 1 << 40}}, incident.MaxPoints),
			MemoryLimit: 1 << 40,
		})
	}
	return in
}

func TestAnIncidentAtAllItsLimitsIsASmallObject(t *testing.T) {
	t.Parallel()
	const limit = 256 << 10
	for name, fill := range map[string]string{"plain": "a", "markup": "GET /cart/<*> of user 17 was refused after 30 s, ", "umlauts": "ü"} {
		in := full(fill)
		o := Incident(&in)
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) >= limit {
			t.Errorf("%s: the object has %d bytes, at most %d are allowed", name, len(raw), limit)
		}
		if len(raw) < limit/2 {
			t.Errorf("%s: the object has only %d bytes: more was cut than had to be", name, len(raw))
		}
		got := ReadIncident(o)
		if len(got.Timeline) != incident.MaxTimeline || len(got.Remediations) != incident.MaxRemediations || len(got.Members) != incident.MaxMembers {
			t.Errorf("%s: what the engine needs was cut", name)
		}
		for i := range got.Evidence {
			e := &got.Evidence[i]
			if whole := len(e.Lines) == incident.MaxLogLines && len(e.Templates) == incident.MaxTemplates; whole == strings.HasSuffix(e.Message, shortened) {
				t.Errorf("%s: evidence %d has %d lines and %d templates and says %q", name, i, len(e.Lines), len(e.Templates), e.Message[max(0, len(e.Message)-40):])
			}
		}
		if diff := cmp.Diff(len(in.Evidence[0].Lines), incident.MaxLogLines); diff != "" {
			t.Errorf("%s: the engine's own incident was changed: %s", name, diff)
		}
	}
}

// A log full of control characters takes six bytes of JSON for each.
func TestControlCharactersDoNotMakeALargeObject(t *testing.T) {
	t.Parallel()
	in := incident.Incident{Namespace: "demo", Name: "x"}
	for range incident.MaxEvidence {
		in.Attach(incident.Evidence{
			Kind: incident.EvidenceLog, Message: "the last lines", Lines: slices.Repeat([]string{strings.Repeat("\x1b", incident.MaxLogBytes/incident.MaxLogLines)}, incident.MaxLogLines),
		})
	}
	o := Incident(&in)
	if raw, _ := json.Marshal(o); len(raw) > MaxBytes+1<<10 {
		t.Errorf("the object has %d bytes", len(raw))
	}
	if e := o.Status.Evidence[incident.MaxEvidence-1]; len(e.Lines) == 0 {
		t.Error("a log was cut to nothing")
	}
}

func TestAnOrdinaryLogStaysWhole(t *testing.T) {
	t.Parallel()
	in := incident.Incident{Namespace: "demo", Name: "x"}
	for range incident.MaxEvidence {
		in.Attach(incident.Evidence{
			Kind: incident.EvidenceLog, Message: "the last lines", Lines: slices.Repeat([]string{strings.Repeat("x", incident.MaxLogBytes/incident.MaxLogLines)}, incident.MaxLogLines),
		})
	}
	in.Workload.Namespace = in.Namespace
	if diff := cmp.Diff(in, ReadIncident(Incident(&in))); diff != "" {
		t.Errorf("-want +read:\n%s", diff)
	}
}
