package detect

import (
	"fmt"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// sandboxFailed finds a replica that gets no container because its node cannot make its sandbox or connect it to the
// network. How many replicas of the workload fail so on the node tells a sick node from one unlucky replica.
func sandboxFailed(s *subject) (incident.Finding, bool) {
	ev := sandboxEvent(s)
	if ev == nil {
		return incident.Finding{}, false
	}
	r := s.replica
	since, _ := s.creating()
	same, all := 0, 0
	for i := range s.Workload.Replicas {
		o := &s.Workload.Replicas[i]
		if o.Node != r.Node || o.Deleting() {
			continue
		}
		all++
		if sandboxEvent(&subject{Look: s.Look, replica: o}) != nil {
			same++
		}
	}
	f := incident.Finding{
		Since: since, Active: true, Confidence: 85, Fingerprint: s.print("SandboxFailed", stamp(since)),
		Message: fmt.Sprintf("node %s cannot make the sandbox of %s: %s", r.Node, r.Name, SandboxError(ev.Message)),
		For: []string{
			"the newest " + ev.Reason + " event: " + phrase.Cut(ev.Message, quoted),
			"no container of it has been made for " + phrase.Span(between(since, s.Now)) + " when it was found",
		},
	}
	if all > 1 {
		f.Message += fmt.Sprintf("; %d of %d replicas on that node show it", same, all)
	}
	if c := r.Condition(conditionSandbox); c != nil && c.Status == "False" {
		f.Confidence = 95
		f.For = append(f.For, "its condition "+conditionSandbox+" is False")
	} else {
		f.Against = []string{"no condition says that the sandbox is missing"}
	}
	return f, true
}

// sandboxEvent returns the event that says why the replica, which has waited for long, has no sandbox, nil for none.
func sandboxEvent(s *subject) *cluster.Event {
	since, long := s.creating()
	if !long {
		return nil
	}
	ev, step := s.failedStep(since)
	if ev == nil || step != stepSandbox {
		return nil
	}
	// Without the condition a slow image pull looks the same; the kubelet repeats the event as long as it fails.
	if s.replica.Condition(conditionSandbox) == nil && s.Now.Sub(ev.Last) > Horizon {
		return nil
	}
	return ev
}

// SandboxError names the class of an error in making a sandbox out of the kubelet's message, one phrase.
func SandboxError(message string) string {
	m := lower(message)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(m, p) {
				return true
			}
		}
		return false
	}
	plugin := ""
	if _, rest, found := strings.Cut(message, `plugin type="`); found {
		if name, _, ends := strings.Cut(rest, `"`); ends {
			plugin = " (plugin " + phrase.Cut(name, 60) + ")"
		}
	}
	switch {
	case has("no ip addresses available", "failed to assign an ip", "no available ip", "ip pool", "no more ips", "range is full"):
		return "no address is left for it" + plugin
	case has("cni plugin not initialized", "network is not ready", "cni config uninitialized", "no networks found in /etc/cni"):
		return "the node's network plugin is not ready"
	case has("runtime handler", "runtimehandler", "no runtime for", "runtime class"):
		return "the node does not know its runtime class: " + phrase.Cut(message, quoted)
	case has("failed to setup network", "failed to set up sandbox container", "networkplugin cni", "cni"):
		return "its network could not be set up" + plugin + ": " + phrase.Cut(innermost(message), quoted)
	case has("sandbox image", "pause image", "failed to pull image"):
		return "the image of the sandbox cannot be pulled"
	case has("no space left", "disk quota"):
		return "the node's disk is full"
	case has("cgroup"):
		return "its cgroup could not be made: " + phrase.Cut(innermost(message), quoted)
	case has("deadline exceeded", "timed out", "timeout"):
		return "the container runtime does not answer in time"
	default:
		if text := phrase.Cut(innermost(message), quoted); text != "" {
			return text
		}
		return "the event does not say why"
	}
}

// innermost returns the end of a chain of errors, which says what really happened; the whole where it is one.
func innermost(message string) string {
	parts := strings.Split(message, ": ")
	if len(parts) < 3 {
		return message
	}
	return strings.Join(parts[len(parts)-2:], ": ")
}
