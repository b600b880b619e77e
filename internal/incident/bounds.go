package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// How many of the oldest entries survive when a list is full: how it began is worth more than the middle.
const (
	keepTimeline = 8
	keepEvidence = 10
)

// Clone returns a copy whose lists can be changed without changing those of the receiver.
func (i *Incident) Clone() Incident {
	out := *i
	out.For = slices.Clone(i.For)
	out.Against = slices.Clone(i.Against)
	out.Subjects = slices.Clone(i.Subjects)
	out.Fingerprints = slices.Clone(i.Fingerprints)
	out.Evidence = slices.Clone(i.Evidence)
	out.Timeline = slices.Clone(i.Timeline)
	out.Remediations = slices.Clone(i.Remediations)
	out.Members = slices.Clone(i.Members)
	if i.Forecast != nil {
		f := *i.Forecast
		out.Forecast = &f
	}
	return out
}

// Note appends an entry to the timeline. When it is full, the beginning and the newest entries are kept.
func (i *Incident) Note(at time.Time, reason, message string) {
	i.Timeline = append(i.Timeline, Entry{At: at, Reason: reason, Message: cut(message)})
	i.Timeline = dropMiddle(i.Timeline, keepTimeline, MaxTimeline)
}

// Noted reports whether the timeline has an entry with the reason after the newest entry with one of the others.
func (i *Incident) Noted(reason string, others ...string) bool {
	for _, e := range slices.Backward(i.Timeline) {
		if e.Reason == reason {
			return true
		}
		if slices.Contains(others, e.Reason) {
			return false
		}
	}
	return false
}

// Attach appends evidence, cut to its limits. When there is too much, the first and the newest pieces are kept.
func (i *Incident) Attach(pieces ...Evidence) {
	for _, e := range pieces {
		i.Evidence = append(i.Evidence, e.bounded())
	}
	i.Evidence = dropMiddle(i.Evidence, keepEvidence, MaxEvidence)
}

// HasLog reports whether the log of that container of that replica was captured, or why it could not be.
func (i *Incident) HasLog(replica, container string) bool {
	return slices.ContainsFunc(i.Evidence, func(e Evidence) bool {
		return e.Kind == EvidenceLog && e.Replica == replica && e.Container == container
	})
}

// TellingLine returns the line that tells most in the newest log, without line breaks; empty where there is no log.
func (i *Incident) TellingLine() string {
	for _, e := range slices.Backward(i.Evidence) {
		line := ""
		switch {
		case e.Kind != EvidenceLog:
		case len(e.Templates) > 0:
			line = e.Templates[0].Example
		case len(e.Lines) > 0:
			line = e.Lines[len(e.Lines)-1]
		}
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			return line
		}
	}
	return ""
}

// Knows reports whether the occurrence was counted already.
func (i *Incident) Knows(fingerprint string) bool {
	return slices.Contains(i.Fingerprints, fingerprint)
}

// Count adds an occurrence: n deaths, or 1 for a state that lasts. since is when it began.
func (i *Incident) Count(fingerprint string, since time.Time, n int32) {
	i.Occurrences += n
	i.Fingerprints = append(i.Fingerprints, fingerprint)
	if len(i.Fingerprints) > MaxFingerprints {
		i.Fingerprints = slices.Delete(i.Fingerprints, 0, len(i.Fingerprints)-MaxFingerprints)
		// Rounded up, because a store may keep whole microseconds only.
		if until := since.Add(time.Microsecond - 1).Truncate(time.Microsecond); until.After(i.ForgottenUntil) {
			i.ForgottenUntil = until
		}
	}
}

// Concern adds the replica to the subjects, or brings its entry up to date and to the end.
func (i *Incident) Concern(s Subject) {
	for j := range i.Subjects {
		if o := &i.Subjects[j]; o.UID == s.UID && o.Replica == s.Replica && o.Container == s.Container {
			s.Deaths = max(s.Deaths, o.Deaths)
			i.Subjects = slices.Delete(i.Subjects, j, j+1)
			break
		}
	}
	i.Subjects = append(i.Subjects, s)
	if len(i.Subjects) > MaxSubjects {
		i.Subjects = slices.Delete(i.Subjects, 0, len(i.Subjects)-MaxSubjects)
	}
}

// Container returns the name of the container that the incident is about, empty where it is about whole replicas.
func (i *Incident) Container() string {
	if len(i.Subjects) == 0 {
		return ""
	}
	return i.Subjects[len(i.Subjects)-1].Container
}

// Remediation returns the remediation with that ID, nil if there is none. It points into the incident.
func (i *Incident) Remediation(id string) *Remediation {
	for j := range i.Remediations {
		if i.Remediations[j].ID == id {
			return &i.Remediations[j]
		}
	}
	return nil
}

// Intend appends a remediation and returns it. When there are too many, the newest are kept.
func (i *Incident) Intend(r Remediation) *Remediation {
	r.Message = cut(r.Message)
	i.Remediations = append(i.Remediations, r)
	if len(i.Remediations) > MaxRemediations {
		i.Remediations = slices.Delete(i.Remediations, 0, len(i.Remediations)-MaxRemediations)
	}
	return &i.Remediations[len(i.Remediations)-1]
}

// Explain sets the cause with the observations for and against it, cut to their limits.
func (i *Incident) Explain(cause string, confidence int32, pro, against []string) {
	i.Cause, i.Confidence = cut(cause), min(max(confidence, 1), 100)
	i.For, i.Against = phrases(pro), phrases(against)
}

// Join adds the workload to the members, or brings its entry up to date; true if that changed anything.
func (i *Incident) Join(m Member) bool {
	for j := range i.Members {
		o := &i.Members[j]
		if !o.Workload.Same(m.Workload) {
			continue
		}
		if o.Incident == m.Incident && o.Kind == m.Kind {
			return false
		}
		m.Since = o.Since
		*o = m
		return true
	}
	if len(i.Members) == MaxMembers {
		return false
	}
	i.Members = append(i.Members, m)
	i.MemberCount++
	return true
}

// proposalMark begins each document of a proposal, with the remedy that it is for.
const proposalMark = "--- # "

// Propose adds the patch that would do what the remedy does, a YAML document of its own, or puts it in place of the one for the
// same remedy. True if that changed anything; a patch that finds no room is left out whole.
func (i *Incident) Propose(remedy, patch string) bool {
	if patch == "" {
		return false
	}
	var kept []string
	mine, known := proposalMark+remedy+"\n"+patch, false
	for doc := range strings.SplitSeq(i.Proposal, proposalMark) {
		name, _, _ := strings.Cut(doc, "\n")
		switch {
		case doc == "":
		case name == remedy:
			kept, known = append(kept, mine), true
		default:
			kept = append(kept, proposalMark+doc)
		}
	}
	if !known {
		kept = append(kept, mine)
	}
	next := strings.Join(kept, "")
	if len(next) > MaxProposal || samePatch(i.Proposal, next) {
		return false
	}
	i.Proposal = next
	return true
}

// Proposes reports whether the proposal has a patch that does what the remedy does.
func (i *Incident) Proposes(remedy string) bool {
	return strings.Contains("\n"+i.Proposal, "\n"+proposalMark+remedy+"\n")
}

// samePatch reports whether two proposals differ in their comments only, which tell the cause in its newest words, or in the time
// of a rolling restart.
func samePatch(a, b string) bool { return bare(a) == bare(b) }

func bare(proposal string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(proposal, "\n") {
		if strings.HasPrefix(line, "#") || strings.Contains(line, "restartedAt") {
			continue
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// Say sets the last step's reason and message.
func (i *Incident) Say(reason, message string) {
	i.Reason, i.Message = reason, cut(message)
}

func phrases(in []string) []string {
	var out []string
	for _, p := range in {
		if p = cut(p); p != "" && !slices.Contains(out, p) && len(out) < MaxPhrases {
			out = append(out, p)
		}
	}
	return out
}

// bounded returns the evidence within the limits of one piece: the newest lines and points.
func (e Evidence) bounded() Evidence {
	e.Message = cut(e.Message)
	e.Points = tail(e.Points, MaxPoints)
	if e.Termination != nil {
		t := *e.Termination
		t.Reason, t.Message = cut(t.Reason), cut(t.Message)
		e.Termination = &t
	}
	lines := e.Lines[max(len(e.Lines)-MaxLogLines, 0):]
	size := 0
	for j, l := range slices.Backward(lines) {
		if size += len(l); size > MaxLogBytes {
			lines = lines[j+1:]
			break
		}
	}
	e.Lines = slices.Clone(lines)
	e.Templates = slices.Clone(e.Templates[:min(len(e.Templates), MaxTemplates)])
	for j := range e.Templates {
		t := &e.Templates[j]
		t.Template, t.Example = cut(t.Template), cut(t.Example)
	}
	return e
}

func tail(points []metrics.Point, n int) []metrics.Point {
	return slices.Clone(points[max(len(points)-n, 0):])
}

func dropMiddle[T any](list []T, first, limit int) []T {
	if over := len(list) - limit; over > 0 {
		return slices.Delete(list, first, first+over)
	}
	return list
}

// cut shortens a text to at most MaxMessage bytes at a rune's border; bytes that are no UTF-8 are left out.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= MaxMessage {
		return s
	}
	const ellipsis = "…"
	end := 0
	for j := range s {
		if j > MaxMessage-len(ellipsis) {
			break
		}
		end = j
	}
	return s[:end] + ellipsis
}
