package detect

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// An ephemeral container is a person's tool in a replica that runs: it has no resources of its own, is never started again, and
// can be taken away only with the replica. So what becomes of it is told once and is no failure of the workload.

// OfTool reports whether the finding is about an ephemeral container.
func OfTool(w *cluster.Workload, f *incident.Finding) bool {
	c := containerOf(w, f.ReplicaUID, f.Replica, f.Container)
	return c != nil && c.Kind == cluster.ContainerEphemeral
}

// AboutTool reports whether the incident is about an ephemeral container, as far as one of its replicas still tells.
func AboutTool(w *cluster.Workload, in *incident.Incident) bool {
	for i := range in.Subjects {
		s := &in.Subjects[i]
		if c := containerOf(w, s.UID, s.Replica, s.Container); c != nil && s.Container == in.Container() {
			return c.Kind == cluster.ContainerEphemeral
		}
	}
	return false
}

// containerOf returns the container of the replica with that UID, or of that name where the platform has no UIDs; nil for none.
func containerOf(w *cluster.Workload, uid, replica, container string) *cluster.Container {
	if w == nil || container == "" {
		return nil
	}
	for i := range w.Replicas {
		if r := &w.Replicas[i]; r.UID == uid && (uid != "" || r.Name == replica) {
			return r.Container(container)
		}
	}
	return nil
}

// ofTool runs the checks of an ephemeral container.
func ofTool(s *subject, out []incident.Finding) []incident.Finding {
	before, checks := len(out), toolChecks()
	s.dead, s.explained = s.deaths(), false
	for i := range s.dead {
		if f, found := explain(s, &s.dead[i], checks[:]); found {
			s.explained = true
			out = append(out, f)
		}
	}
	if !s.replica.Deleting() && !s.over() {
		for _, c := range containerChecks() {
			if f, found := c.check(s); found {
				if f.Active { // since when it waits is not known
					f.Since = time.Time{}
				}
				out = append(out, s.finish(f, c.kind))
			}
		}
	}
	for i := before; i < len(out); i++ {
		out[i].Active = false
		out[i].Message += "; it is a person's tool, and the workload does not depend on it"
	}
	return out
}

// toolOOM words the death of an ephemeral container for memory. What it uses counts to the limit of its pod.
func toolOOM(s *subject, d *death) explanation {
	return explanation{
		confidence: 90, message: s.who() + " was killed by the kernel for memory: it has no limit of its own, and what it uses counts to that of its pod",
		pro: []string{"the runtime gives the reason OOMKilled", exitPhrase(d.Termination)},
	}
}

// toolCommand knows the death of an ephemeral container whose command never ran. The exit code of a shell that somebody typed into
// is that of the last command, which says nothing.
func toolCommand(s *subject, d *death) (explanation, bool) {
	never := d.Reason == reasonStartError || d.Reason == reasonCannotRun
	if s.container.Interactive && !never || d.Reason == cluster.ReasonStatusUnknown {
		return explanation{}, false
	}
	return badCommand(s, d)
}

// toolFailed knows the death of an ephemeral container that ended with an error of its own and will not run again, as a Job that has
// failed for good. One that somebody typed into, or asked to stop, has not failed.
func toolFailed(s *subject, d *death) (explanation, bool) {
	if d.ExitCode == 0 || s.container.Interactive || d.Reason == cluster.ReasonStatusUnknown || s.endedBefore(d) {
		return explanation{}, false
	}
	switch d.ExitCode {
	case exitHangUp, exitInterrupt, exitPipe, exitTerm:
		return explanation{}, false
	}
	e := explanation{
		confidence: 90, message: s.who() + " ended with " + exitPhrase(d.Termination) + " and is never started again",
		pro: []string{exitPhrase(d.Termination), "it has no terminal, so the exit code is its own"},
	}
	if d.ExitCode == exitKill {
		e.confidence = 60
		e.against = []string{"nothing tells who killed it"}
	}
	return e, true
}

// Exit codes of what somebody ended from outside: 128 + SIGHUP, SIGINT, SIGPIPE.
const (
	exitHangUp    = 129
	exitInterrupt = 130
	exitPipe      = 141
)

// beside is the most that is believed of an OOM kill while a person's tool used memory of the same pod: too little to act on.
const beside = 45

// excuse lowers what is believed of an OOM kill in a container that had room below its own limit while an ephemeral container ran
// beside it.
func (s *subject) excuse(e *explanation, at time.Time) {
	name := toolBeside(s.replica, s.container, at)
	if name == "" {
		return
	}
	e.confidence = min(e.confidence, beside)
	e.against = append(e.against, "ephemeral container "+name+" ran beside it, and its memory counts to the same limit of the pod")
	e.message += "; ephemeral container " + name + " ran beside it and may have used up the memory of the pod"
}

// SharedMemory reports whether the finding is of an OOM kill that a person's tool may have brought about: an ephemeral container ran
// beside the container and counts to the same limit, and the container had room below its own.
func SharedMemory(r *cluster.Replica, f *incident.Finding) bool {
	c := r.Container(f.Container)
	if c == nil || f.Confidence > beside {
		return false
	}
	oom := f.Kind == incident.OOMKilled || f.Kind == incident.ProbableOOM || f.Kind == incident.ChildOOM
	return oom && toolBeside(r, c, f.Since) != ""
}

// toolBeside names an ephemeral container that ran at that time and used memory of the same limit as the container, empty for none.
// The kubelet limits a pod as a whole only where all of its containers have a limit, to their sum, in which ephemeral containers do
// not count (ResourceConfigForPod of pkg/kubelet/cm/helpers_linux.go); a container without a limit may have one of its pod too.
func toolBeside(r *cluster.Replica, c *cluster.Container, at time.Time) string {
	if at.IsZero() || c.Kind == cluster.ContainerEphemeral {
		return ""
	}
	name := ""
	for i := range r.Containers {
		o := &r.Containers[i]
		switch {
		case o.Kind == cluster.ContainerEphemeral && ranAt(o, at):
			name = o.Name
		case o.Kind != cluster.ContainerEphemeral && o.Kind != cluster.ContainerInit && o.MemoryLimit <= 0 && c.MemoryLimit > 0:
			return ""
		}
	}
	return name
}

// ranAt reports whether the container ran at that time, as far as its status tells.
func ranAt(c *cluster.Container, at time.Time) bool {
	switch t := c.Terminated; {
	case c.State == cluster.StateRunning:
		return !c.StartedAt.After(at.Add(skew))
	case c.State == cluster.StateTerminated && t != nil && lived(t):
		return !t.StartedAt.After(at.Add(skew)) && !t.FinishedAt.Before(at.Add(-skew))
	default:
		return false
	}
}
