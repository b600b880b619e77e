package detect

import (
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// configMissing finds a container that cannot be made because a ConfigMap, a Secret or a key of one is not there.
func configMissing(s *subject) (incident.Finding, bool) {
	c := s.container
	if c.State != cluster.StateWaiting {
		return incident.Finding{}, false
	}
	since, long := s.pending()
	if !long {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: since, Active: true,
		Fingerprint: s.print(c.Name, "ConfigMissing", strconv.Itoa(int(c.Restarts))),
	}
	switch c.WaitingReason {
	case "CreateContainerConfigError", "CreateContainerError":
		what := MissingConfig(c.WaitingMessage)
		if what == "" && c.WaitingReason == "CreateContainerError" {
			return incident.Finding{}, false // most of these have nothing to do with configuration
		}
		f.For = []string{"it waits with " + c.WaitingReason, phrase.Cut(c.WaitingMessage, quoted)}
		if what == "" {
			f.Confidence = 40
			f.Against = []string{"the message names no ConfigMap, Secret or key"}
			f.Message = s.who() + " cannot be made: " + phrase.Cut(c.WaitingMessage, quoted)
			return f, true
		}
		f.Confidence = 95
		f.Message = s.who() + " cannot start: " + what
		return f, true
	case "ContainerCreating", "PodInitializing":
		if c.Kind == cluster.ContainerEphemeral {
			return incident.Finding{}, false // the volumes of its replica were mounted long before
		}
		what, message := missingMount(s)
		if what == "" {
			return incident.Finding{}, false
		}
		f.Confidence = 90
		f.For = []string{"it waits with " + c.WaitingReason, phrase.Cut(message, quoted)}
		f.Message = s.who() + " cannot start: " + what
		return f, true
	default:
		return incident.Finding{}, false
	}
}

// missingMount returns what the newest FailedMount event of the replica says is missing. Every container of the replica
// waits for the mount, so the first one that waits stands for all.
func missingMount(s *subject) (what, message string) {
	for i := range s.replica.Containers {
		c := &s.replica.Containers[i]
		if c.State == cluster.StateWaiting && c.WaitingReason == s.container.WaitingReason {
			if c != s.container {
				return "", ""
			}
			break
		}
	}
	for i := range s.replica.Events {
		ev := &s.replica.Events[i]
		if ev.Reason != "FailedMount" {
			continue
		}
		if what := MissingConfig(ev.Message); what != "" {
			return what, ev.Message
		}
	}
	return "", ""
}

// MissingConfig reads which ConfigMap, Secret or key a kubelet's message says is missing, empty if it names none. It
// knows `configmap "app" not found`, `couldn't find key url in ConfigMap demo/app` and "references non-existent secret key: url".
func MissingConfig(message string) string {
	low := lower(message)
	for _, kind := range [2]struct{ low, name, volume string }{
		{"configmap", "ConfigMap", "references non-existent config key: "},
		{"secret", "Secret", "references non-existent secret key: "},
	} {
		if i := strings.Index(low, "couldn't find key "); i >= 0 {
			key, rest, cut := strings.Cut(message[i+len("couldn't find key "):], " in ")
			if cut && strings.HasPrefix(lower(rest), kind.low) {
				return "key " + phrase.Cut(key, 80) + " is missing in " + kind.name + " " + firstWord(rest[len(kind.low):])
			}
		}
		if i := strings.Index(low, kind.volume); i >= 0 {
			return "key " + firstWord(message[i+len(kind.volume):]) + " is missing in a " + kind.name
		}
		if i := strings.Index(low, kind.low+` "`); i >= 0 {
			name, rest, cut := strings.Cut(message[i+len(kind.low)+2:], `"`)
			if cut && strings.HasPrefix(strings.TrimSpace(rest), "not found") {
				return kind.name + " " + phrase.Cut(name, 253) + " does not exist"
			}
		}
	}
	return ""
}
