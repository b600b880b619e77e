package detect

import (
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// conditionSandbox is the condition by which the kubelet tells that sandbox and network of a replica are ready; its
// volumes are mounted before.
const conditionSandbox = "PodReadyToStartContainers"

// The steps of making a replica on its node, in their order, as far as events tell them.
const (
	stepAttach = iota + 1
	stepMount
	stepSandbox
	stepContainer
)

// stepOf returns which step an event is about, 0 for none, and whether the step failed.
func stepOf(reason string) (step int, failed bool) {
	switch reason {
	case "FailedAttachVolume":
		return stepAttach, true
	case "SuccessfulAttachVolume":
		return stepAttach, false
	case "FailedMount", "FailedMapVolume":
		return stepMount, true
	case "SuccessfulMountVolume":
		return stepMount, false
	case "FailedCreatePodSandBox", "NetworkNotReady":
		return stepSandbox, true
	case "Pulling", "Pulled", "Created", "Started":
		return stepContainer, false
	default:
		return 0, false
	}
}

// creating returns since when the replica has been on its node without a sandbox that has a container in it, and whether
// that is longer than the policy allows.
func (s *subject) creating() (since time.Time, long bool) {
	r := s.replica
	if r.Node == "" || s.over() {
		return time.Time{}, false
	}
	sandbox := r.Condition(conditionSandbox)
	down := sandbox != nil && sandbox.Status == "False"
	waits := false
	for i := range r.Containers {
		c := &r.Containers[i]
		creating := c.WaitingReason == "ContainerCreating" || c.WaitingReason == "PodInitializing"
		switch {
		case c.Kind == cluster.ContainerEphemeral:
		case c.State == cluster.StateRunning, c.State == cluster.StateWaiting && !creating:
			return time.Time{}, false // it has come further than that
		case c.State == cluster.StateTerminated && !down:
			return time.Time{}, false
		case c.State == cluster.StateWaiting:
			waits = true
		}
	}
	switch {
	case sandbox != nil && sandbox.Status == "True", sandbox == nil && !waits:
		return time.Time{}, false
	case down:
		since = sandbox.Since
	}
	since = latest(since, r.CreatedAt, r.StartedAt)
	return since, !since.IsZero() && s.Now.Sub(since) >= s.PendingAfter
}

// failedStep returns the newest event that says that a step of making the replica failed and that no later event has
// overtaken, nil for none. Of volumes it returns the event that says most.
func (s *subject) failedStep(since time.Time) (ev *cluster.Event, step int) {
	// The attach controller works as soon as there is a node, a little before the kubelet accepts the replica, and says
	// once only that another node has the volume.
	oldest := since.Add(-near)
	missing := false
	for i := range s.replica.Events {
		missing = missing || MissingConfig(s.replica.Events[i].Message) != ""
	}
	var newest, telling *cluster.Event
	for i := range s.replica.Events {
		e := &s.replica.Events[i]
		n, failed := stepOf(e.Reason)
		switch {
		case !failed, e.Last.Before(oldest), s.overtaken(e, n):
			continue
		case missing && (MissingConfig(e.Message) != "" || generic(e.Message)):
			continue // what is missing is a ConfigMap or a Secret
		}
		if newest == nil || e.Last.After(newest.Last) {
			newest, step = e, n
		}
		if n < stepSandbox && (telling == nil || weight(e.Message) > weight(telling.Message)) {
			telling = e
		}
	}
	if step == stepAttach || step == stepMount {
		return telling, step
	}
	return newest, step
}

// overtaken reports whether an event after the failed one shows that its step, or a later one, was done.
func (s *subject) overtaken(failed *cluster.Event, step int) bool {
	volume, _ := VolumeError(failed.Message)
	for i := range s.replica.Events {
		e := &s.replica.Events[i]
		n, alsoFailed := stepOf(e.Reason)
		if !e.Last.After(failed.Last) {
			continue
		}
		switch {
		case alsoFailed && e.Reason == "FailedCreatePodSandBox" && step < n, !alsoFailed && n > stepMount:
			return true
		case !alsoFailed && n >= step:
			if other, _ := VolumeError(e.Message); other == volume {
				return true
			}
		}
	}
	return false
}

// generic reports whether the kubelet's message only sums up that some volumes did not come in time.
func generic(message string) bool {
	return strings.HasPrefix(message, "Unable to attach or mount volumes")
}

func weight(message string) int {
	switch {
	case strings.HasPrefix(message, "Multi-Attach error"):
		return 2
	case generic(message):
		return 0
	default:
		return 1
	}
}

// volumeStuck finds a replica that gets no container because one of its volumes cannot be attached or mounted. A
// ConfigMap or Secret that is not there is told by configMissing.
func volumeStuck(s *subject) (incident.Finding, bool) {
	since, long := s.creating()
	if !long {
		return incident.Finding{}, false
	}
	ev, step := s.failedStep(since)
	if ev == nil || step >= stepSandbox {
		return incident.Finding{}, false
	}
	r := s.replica
	volume, why := VolumeError(ev.Message)
	f := incident.Finding{
		Since: since, Active: true, Confidence: 90, Fingerprint: s.print("VolumeStuck", stamp(since)),
		Message: r.Name + " has waited on node " + r.Node + " since its start for ",
		For: []string{
			"no container of it has been made for " + phrase.Span(between(since, s.Now)) + " when it was found",
			"the newest " + ev.Reason + " event: " + phrase.Cut(ev.Message, quoted),
		},
	}
	if volume == "" {
		f.Message += "a volume: "
		f.Confidence = 80
	} else {
		f.Message += "volume " + volume + ": "
	}
	f.Message += why
	if pods := volumeUsers(ev.Message); pods != "" {
		f.Message += ", used by " + s.located(pods)
	}
	if c := r.Condition(conditionSandbox); c != nil && c.Status == "False" {
		f.Confidence += 5
		f.For = append(f.For, "its condition "+conditionSandbox+" is False")
	}
	return f, true
}

// located adds to each replica of the workload that is named the node that it is on.
func (s *subject) located(pods string) string {
	names := strings.Split(pods, ", ")
	for i, name := range names {
		for j := range s.Workload.Replicas {
			if r := &s.Workload.Replicas[j]; r.Name == name && r.Node != "" {
				names[i] = name + " on node " + r.Node
			}
		}
	}
	return strings.Join(names, ", ")
}

// HeldByLostNode names the node that holds a volume for which the replica waits, as far as its events tell, and that is not ready or
// does not exist any more; empty for none.
func HeldByLostNode(w *cluster.Workload, nodes map[string]cluster.Node, r *cluster.Replica) string {
	lost := func(name string) bool {
		n, exists := nodes[name]
		return name != "" && name != r.Node && len(nodes) > 0 && (!exists || n.Ready != "True")
	}
	for i := range r.Events {
		ev := &r.Events[i]
		if step, failed := stepOf(ev.Reason); !failed || step > stepMount {
			continue
		}
		if node := attachedTo(ev.Message); lost(node) {
			return node
		}
		users := strings.Split(volumeUsers(ev.Message), ", ")
		for j := range w.Replicas {
			if o := &w.Replicas[j]; o.UID != r.UID && slices.Contains(users, o.Name) && lost(o.Node) {
				return o.Node
			}
		}
	}
	return ""
}

// volumeUsers reads the names out of "Volume is already used by pod(s) db-0, db-1 and 2 pod(s) in different namespaces".
func volumeUsers(message string) string {
	_, rest, found := strings.Cut(message, "already used by ")
	if !found {
		return ""
	}
	return phrase.Cut(strings.TrimPrefix(rest, "pod(s) "), 120)
}

// VolumeError reads out of an event's message about a volume which volume it is, empty where it names none, and why it
// does not come, one phrase. It knows the messages of the kubelet and of the attach controller of Kubernetes 1.36.
func VolumeError(message string) (volume, why string) {
	rest := message
	if _, after, found := strings.Cut(message, `for volume "`); found {
		if name, tail, ends := strings.Cut(after, `"`); ends {
			volume, rest = phrase.Cut(name, 120), strings.TrimLeft(tail, " :")
		}
	} else if _, after, found := strings.Cut(message, "unmounted volumes=["); found {
		names, _, _ := strings.Cut(after, "]")
		volume = phrase.Cut(names, 120)
	}
	m := lower(message)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(m, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("multi-attach error", "already attached to", "already being used by", "attached to another"):
		why = "it is attached to another node, and its access mode allows one (ReadWriteOnce)"
		if node := attachedTo(message); node != "" {
			why = "it is attached to node " + node + ", and its access mode allows one (ReadWriteOnce)"
		}
	case has("not found in the list of registered csi drivers"):
		why = "its CSI driver does not run on this node"
	case has("hostpath type check failed"):
		why = "the path on the node is not there or of another type"
	case has("wrong fs type", "bad superblock"):
		why = "its file system cannot be mounted"
	case has("access denied", "permission denied"):
		why = "the storage refuses access"
	case has("volume not found", "does not exist", "could not find", "not found"):
		why = "something that it needs does not exist: " + phrase.Cut(rest, quoted)
	case has("timed out", "deadline exceeded", "timeout"):
		why = "the storage does not answer in time"
	default:
		why = phrase.Cut(rest, quoted)
	}
	if why == "" {
		why = "the event does not say why"
	}
	return volume, why
}

// attachedTo reads the node out of a storage driver's "already attached to node n2", empty where none is named.
func attachedTo(message string) string {
	for _, lead := range []string{"already attached to node ", "attached to another node ", "already attached to instance "} {
		if _, rest, found := strings.Cut(message, lead); found {
			if node := strings.Trim(firstWord(rest), `"'.()`); node != "" {
				return node
			}
		}
	}
	return ""
}
