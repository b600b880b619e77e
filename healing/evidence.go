package healing

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// maxOccurrences of one pass that are evidenced: the first and the newest.
	maxOccurrences = 2
	// maxEvents of one occurrence.
	maxEvents = 3
	// eventsBefore and eventsAfter are the span around an occurrence whose events are evidence.
	eventsBefore = 5 * time.Minute
	eventsAfter  = time.Minute
	// pointsBefore and pointsAfter are the same for memory and CPU.
	pointsBefore = 5 * time.Minute
	pointsAfter  = 10 * time.Second
)

// gather copies what is known about the fresh findings into the incident and asks for the logs that belong to it.
func (p *pass) gather(t *tracked) {
	chosen := t.fresh
	if len(chosen) > maxOccurrences {
		chosen = append(chosen[:1:1], chosen[len(chosen)-maxOccurrences+1:]...)
	}
	for i := range chosen {
		f := &chosen[i]
		t.inc.Attach(p.occurrence(f)...)
		if i == 0 && t.isNew() {
			t.inc.Attach(p.circumstances(t, f)...)
		}
		if c, wanted := p.captureOf(f); wanted {
			t.capture = append(t.capture, c)
		}
	}
}

// occurrence is the evidence of one finding: how it ended, or what it waits for, and its usage.
func (p *pass) occurrence(f *incident.Finding) []incident.Evidence {
	var out []incident.Evidence
	add := func(e incident.Evidence) {
		e.Replica, e.Container = f.Replica, f.Container
		out = append(out, e)
	}
	if d := f.Death; d != nil {
		add(incident.Evidence{
			Kind: incident.EvidenceTermination, At: f.Since, Termination: d,
			Message: fmt.Sprintf("exit code %d, reason %s: %s", d.ExitCode, orNone(d.Reason), detect.ExitMeaning(d.ExitCode, d.Signal)),
		})
	} else {
		add(incident.Evidence{Kind: incident.EvidenceStatus, At: f.Since, Message: p.status(f)})
	}
	if e, found := p.usage(f); found {
		add(e)
	}
	return out
}

// circumstances is the evidence that is kept once, at opening: events and what was changed before.
func (p *pass) circumstances(t *tracked, f *incident.Finding) []incident.Evidence {
	var out []incident.Evidence
	if r := p.replica(f.ReplicaUID, f.Replica); r != nil {
		for i := range r.Events {
			ev := &r.Events[i]
			if f.Since.Sub(ev.Last) > eventsBefore || ev.First.Sub(f.Since) > eventsAfter && f.Death != nil {
				continue
			}
			message := ev.Reason + ": " + ev.Message
			if ev.Count > 1 {
				message += fmt.Sprintf(" (%d times)", ev.Count)
			}
			out = append(out, incident.Evidence{Kind: incident.EvidenceEvent, At: ev.Last, Replica: r.Name, Message: message})
			if len(out) == maxEvents {
				break
			}
		}
	}
	if c := p.changeBefore(t.inc.StartedAt); c != nil {
		out = append(out, incident.Evidence{Kind: incident.EvidenceChange, At: c.At, Message: c.Message})
	}
	return out
}

// status words the state of the replica or container that a finding without a death is about.
func (p *pass) status(f *incident.Finding) string {
	if f.Replica == "" {
		return f.Message
	}
	r := p.replica(f.ReplicaUID, f.Replica)
	if r == nil {
		return "the replica is gone"
	}
	if c := r.Container(f.Container); c != nil {
		switch c.State {
		case cluster.StateWaiting:
			return "waits: " + orNone(c.WaitingReason) + suffix(c.WaitingMessage)
		case cluster.StateRunning, cluster.StateTerminated, cluster.StateUnknown:
			return fmt.Sprintf("state %s, ready %t, %s", c.State, c.Ready, phrase.Count(int64(c.Restarts), "restart"))
		}
	}
	if r.Unschedulable {
		return "unschedulable" + suffix(r.UnschedulableMessage)
	}
	if n, found := p.in.Nodes[r.Node]; f.Kind == incident.NodeNotReady && found {
		return "node " + n.Name + " Ready " + n.Ready + ": " + orNone(n.Reason) + suffix(n.Message)
	}
	return fmt.Sprintf("phase %s, ready %t: %s%s", r.Phase, r.Ready, orNone(r.ReadyReason), suffix(r.ReadyMessage))
}

// usage is CPU and memory around the occurrence, with the limit.
func (p *pass) usage(f *incident.Finding) (incident.Evidence, bool) {
	name := f.Container
	r := p.replica(f.ReplicaUID, f.Replica)
	if r == nil || p.in.Memory == nil {
		return incident.Evidence{}, false
	}
	if name == "" {
		if name = mainContainer(r); name == "" {
			return incident.Evidence{}, false
		}
	}
	e := incident.Evidence{Kind: incident.EvidenceUsage, At: f.Since}
	if c := r.Container(name); c != nil {
		e.MemoryLimit = c.MemoryLimit
	}
	until := f.Since.Add(pointsAfter)
	if f.Active && f.Death == nil {
		until = p.now
	}
	var highest int64 = -1
	for _, pt := range p.in.Memory(f.Replica, name) {
		if pt.At.Before(f.Since.Add(-pointsBefore)) || pt.At.After(until) {
			continue
		}
		e.Points = append(e.Points, pt)
		highest = max(highest, pt.MemoryBytes)
	}
	if len(e.Points) == 0 {
		return incident.Evidence{}, false
	}
	e.Message = phrase.Count(int64(len(e.Points)), "sample") + " of " + name
	if highest >= 0 {
		e.Message += ", memory up to " + phrase.Bytes(highest)
	}
	if e.MemoryLimit > 0 {
		e.Message += " with a limit of " + phrase.Bytes(e.MemoryLimit)
	}
	return e, true
}

// captureOf returns which log belongs to the finding. A container that never ran has none, and a node that does not
// answer gives none.
func (p *pass) captureOf(f *incident.Finding) (c Capture, wanted bool) {
	c = Capture{Replica: f.Replica, ReplicaUID: f.ReplicaUID, Container: f.Container}
	switch {
	case oneOf(f.Kind, incident.OOMKilled, incident.ProbableOOM, incident.NodeOOM, incident.LivenessKill, incident.StartupKill, incident.BadCommand,
		incident.CleanExit, incident.NodeCrashLoop, incident.CrashLoop, incident.JobFailed):
		if f.Replica == "" {
			return Capture{}, false
		}
		c.Previous = true
		if f.Death == nil {
			return c, true
		}
		c.ContainerID = f.Death.ContainerID
		r := p.replica(f.ReplicaUID, f.Replica)
		if r == nil {
			return c, true
		}
		// While the container is still in the state of this death, its log is not yet that of a previous life.
		if now := r.Container(f.Container); now != nil && now.State == cluster.StateTerminated && now.Terminated != nil {
			c.Previous = *now.Terminated != *f.Death
		}
		return c, true
	case f.Kind == incident.ChildOOM:
		return c, true
	case oneOf(f.Kind, incident.NotReady, incident.ReadinessGate):
		if r := p.replica(f.ReplicaUID, f.Replica); r != nil {
			c.Container = mainContainer(r)
		}
		return c, c.Container != ""
	default:
		return Capture{}, false
	}
}

// mainContainer returns the container that a finding about a whole replica is most likely about: the first main one
// that is not ready, else the first main one.
func mainContainer(r *cluster.Replica) string {
	first := ""
	for i := range r.Containers {
		c := &r.Containers[i]
		if c.Kind == cluster.ContainerInit || c.Kind == cluster.ContainerEphemeral || c.Kind == cluster.ContainerSidecar {
			continue
		}
		if !c.Ready {
			return c.Name
		}
		if first == "" {
			first = c.Name
		}
	}
	return first
}

func orNone(s string) string {
	if s == "" {
		return "none given"
	}
	return s
}

func suffix(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}
