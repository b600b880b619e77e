package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// Why is what is known of why a replica restarted, or is not there any more.
type Why struct {
	Replica cluster.Ref `json:"replica"`
	// Exists is false where there is no such replica now. Pod is the one that is there.
	Exists bool             `json:"exists"`
	Pod    *cluster.Replica `json:"pod,omitempty"`
	// Unseen: whether there is such a replica now could not be read; Notes say why.
	Unseen bool `json:"-"`
	// Findings of the replica as it is now.
	Findings []incident.Finding `json:"findings,omitempty"`
	// Incidents that name it, oldest first.
	Incidents []incident.Incident `json:"incidents,omitempty"`
	// Events about it, oldest first.
	Events []cluster.Event `json:"events,omitempty"`
	// Notes say what could not be read.
	Notes []string `json:"notes,omitempty"`
}

// Names reports whether the incident is about the replica: as a subject, a victim, or in its evidence.
func Names(in *incident.Incident, replica string) bool {
	return slices.ContainsFunc(in.Subjects, func(s incident.Subject) bool { return s.Replica == replica }) ||
		slices.ContainsFunc(in.Remediations, func(r incident.Remediation) bool { return r.Replica == replica }) ||
		slices.ContainsFunc(in.Evidence, func(e incident.Evidence) bool { return e.Replica == replica })
}

// Answer is one sentence: why it restarted or vanished, as far as is known.
func (y *Why) Answer() string {
	name := y.Replica.Name
	if s := y.removed(); s != "" {
		return s
	}
	if y.Unseen {
		return y.remembered()
	}
	if !y.Exists {
		if n := len(y.Incidents); n > 0 {
			return fmt.Sprintf("pod %s is gone; the last that is known of it: %s", name, y.Incidents[n-1].Cause)
		}
		if n := len(y.Events); n > 0 {
			e := y.Events[n-1]
			return fmt.Sprintf("pod %s is gone; its last event was %s: %s", name, e.Reason, e.Message)
		}
		return fmt.Sprintf("pod %s does not exist, and nothing is known of it: no incident names it, and its events are gone (they are kept for an hour)", name)
	}
	if len(y.Findings) > 0 {
		return y.Findings[0].Message
	}
	if c := y.restarted(); c != nil {
		d := c.LatestDeath()
		for _, in := range slices.Backward(y.Incidents) {
			if in.Container() == c.Name {
				return in.Cause
			}
		}
		return fmt.Sprintf("container %s of %s was restarted %s; the last life ended with exit code %d, reason %s", c.Name, name,
			times(c.Restarts), d.ExitCode, orUnknown(d.Reason))
	}
	return y.asItIs()
}

// remembered is the answer where it is not known whether the replica is there: it may run on.
func (y *Why) remembered() string {
	name := y.Replica.Name
	if n := len(y.Incidents); n > 0 {
		return fmt.Sprintf("the last that is known of %s: %s", name, y.Incidents[n-1].Cause)
	}
	if n := len(y.Events); n > 0 {
		e := y.Events[n-1]
		return fmt.Sprintf("no incident names %s; its last event was %s: %s", name, e.Reason, e.Message)
	}
	return fmt.Sprintf("nothing is known of %s: no incident and no event names it", name)
}

// asItIs is the answer where no death is known: it never ran, has ended for good, or runs.
func (y *Why) asItIs() string {
	name := y.Replica.Name
	for i := range y.Pod.Containers {
		if c := &y.Pod.Containers[i]; c.Restarts > 0 && c.LatestDeath() == nil {
			return fmt.Sprintf("container %s of %s was restarted %s; how its last life ended is not known any more", c.Name, name, times(c.Restarts))
		}
	}
	switch y.Pod.Phase {
	case cluster.PhasePending:
		for i := range y.Pod.Containers {
			if c := &y.Pod.Containers[i]; c.WaitingReason != "" {
				return fmt.Sprintf("pod %s has not started yet: container %s waits (%s)", name, c.Name, c.WaitingReason)
			}
		}
		return fmt.Sprintf("pod %s has not started yet", name)
	case cluster.PhaseSucceeded, cluster.PhaseFailed:
		return fmt.Sprintf("pod %s has ended (%s) and is not started again%s", name, y.Pod.Phase, y.ending())
	case cluster.PhaseRunning, cluster.PhaseUnknown:
	}
	return fmt.Sprintf("pod %s has not restarted: it runs since it was created", name)
}

// ending words how a replica that is not started again ended, as far as its status tells.
func (y *Why) ending() string {
	var last *cluster.Container
	for i := range y.Pod.Containers {
		c := &y.Pod.Containers[i]
		if t := c.Terminated; t != nil && (last == nil || t.ExitCode != 0 && t.FinishedAt.After(last.Terminated.FinishedAt)) {
			last = c
		}
	}
	switch {
	case y.Pod.Reason != "" && y.Pod.Message != "":
		return ": " + y.Pod.Reason + ": " + y.Pod.Message
	case y.Pod.Reason != "":
		return ": " + y.Pod.Reason
	case last != nil:
		return fmt.Sprintf(": container %s ended with exit code %d, reason %s", last.Name, last.Terminated.ExitCode, orUnknown(last.Terminated.Reason))
	}
	return ""
}

// removed says who took the replica away, empty where nobody is known to.
func (y *Why) removed() string {
	for i := range y.Incidents {
		in := &y.Incidents[i]
		for _, r := range in.Remediations {
			carried := r.Outcome == incident.Done || r.Outcome == incident.Succeeded ||
				r.Outcome == incident.Failed && r.Reason == string(healing.ReasonNotHelped)
			another := y.Pod != nil && r.ReplicaUID != y.Pod.UID || r.Remedy == incident.RemedyRestart && y.Pod != nil && !y.Pod.Deleting()
			if r.Replica != y.Replica.Name || !carried || another {
				continue
			}
			switch r.Remedy { //nolint:exhaustive // the others leave the replica where it is
			case incident.RemedyRestart:
				return fmt.Sprintf("Homeostat evicted pod %s for incident %s: %s", r.Replica, in.Name, in.Cause)
			case incident.RemedyQuarantine:
				return fmt.Sprintf("Homeostat quarantined pod %s for incident %s: %s", r.Replica, in.Name, in.Cause)
			}
		}
	}
	if y.Pod == nil || y.Pod.Disruption == "" {
		return ""
	}
	who := map[string]string{
		"EvictionByEvictionAPI":  "evicted through the API (a drain, an autoscaler or a person)",
		"PreemptionByScheduler":  "preempted by the scheduler for a pod of higher priority",
		"DeletionByTaintManager": "removed because its node has a taint that it does not tolerate",
		"DeletionByPodGC":        "removed because its node is gone",
		"TerminationByKubelet":   "ended by its node's kubelet (pressure or shutdown)",
	}[y.Pod.Disruption]
	if who == "" {
		who = "disrupted (" + y.Pod.Disruption + ")"
	}
	return "pod " + y.Replica.Name + " was " + who + y.suffix()
}

func (y *Why) suffix() string {
	if y.Pod.DisruptionMessage == "" {
		return ""
	}
	return ": " + y.Pod.DisruptionMessage
}

// restarted returns the container with a death that its status still shows, the one that died last; nil for none.
func (y *Why) restarted() *cluster.Container {
	var found *cluster.Container
	for i := range y.Pod.Containers {
		c := &y.Pod.Containers[i]
		if d := c.LatestDeath(); d != nil && c.Restarts > 0 && (found == nil || d.FinishedAt.After(found.LatestDeath().FinishedAt)) {
			found = c
		}
	}
	return found
}

func orUnknown(s string) string {
	if s == "" {
		return "not given"
	}
	return s
}

// ExplainPod prints why a replica restarted or vanished: the answer, then what it is drawn from.
func ExplainPod(w io.Writer, y *Why, now time.Time) error {
	p := &printer{w: w, loc: now.Location(), now: now}
	p.line("%s", y.Replica)
	p.line("")
	p.paragraph("  ", y.Answer())
	for _, n := range y.Notes {
		p.paragraph("  note: ", n)
	}
	if y.Pod != nil {
		p.containers(y.Pod, now)
	}
	for i := range y.Findings {
		f := &y.Findings[i]
		p.line("\n%s (%d %% sure)", f.Kind, f.Confidence)
		for _, s := range f.For {
			p.paragraph("  + ", s)
		}
		for _, s := range f.Against {
			p.paragraph("  - ", s)
		}
	}
	p.named(y, now)
	if len(y.Events) > 0 {
		p.line("\nEvents")
		rows := make([][]string, 0, len(y.Events))
		for _, e := range y.Events {
			rows = append(rows, []string{p.clock(e.Last), e.Reason, e.Message})
		}
		p.columns(rows)
	}
	return p.err
}

func (p *printer) containers(r *cluster.Replica, now time.Time) {
	p.line("\nContainers")
	rows := make([][]string, 0, len(r.Containers))
	for i := range r.Containers {
		c := &r.Containers[i]
		s := fmt.Sprintf("%s, restarted %s", strings.ToLower(string(c.State)), times(c.Restarts))
		if c.Restarts == 0 {
			s = strings.ToLower(string(c.State)) + ", never restarted"
		}
		if c.WaitingReason != "" {
			s += ", waits: " + c.WaitingReason
		}
		if d := c.LatestDeath(); d != nil {
			s += fmt.Sprintf("; last death %s ago: exit code %d, reason %s", ago(now, d.FinishedAt), d.ExitCode, orUnknown(d.Reason))
			if d.Message != "" {
				s += ": " + shorten(strings.Join(strings.Fields(d.Message), " "), 200)
			}
		}
		rows = append(rows, []string{c.Name, s})
	}
	p.columns(rows)
}

func (p *printer) named(y *Why, now time.Time) {
	if len(y.Incidents) == 0 {
		return
	}
	p.line("\nIncidents that name it")
	rows := make([][]string, 0, len(y.Incidents))
	for i := range y.Incidents {
		in := &y.Incidents[i]
		rows = append(rows, []string{ago(now, in.OpenedAt) + " ago", in.Name, string(in.State), shorten(in.Cause, 160)})
	}
	p.columns(rows)
}
