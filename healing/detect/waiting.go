package detect

import (
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// quoted is how much of a platform's message goes into a sentence.
const quoted = 240

// pending returns since when the container has been waiting at the earliest, and whether that is longer than the policy
// allows. A waiting state carries no time, so it is the later of the replica's start and the container's last death.
func (s *subject) pending() (since time.Time, long bool) {
	since = latest(s.replica.CreatedAt, s.replica.StartedAt)
	if d := s.container.LatestDeath(); d != nil {
		since = latest(since, d.FinishedAt)
	}
	return since, !since.IsZero() && s.Now.Sub(since) >= s.PendingAfter
}

// imagePull finds a container whose image does not come.
func imagePull(s *subject) (incident.Finding, bool) {
	c := s.container
	if c.State != cluster.StateWaiting || !isPullReason(c.WaitingReason) {
		return incident.Finding{}, false
	}
	since, long := s.pending()
	if !long {
		return incident.Finding{}, false
	}
	class := PullError(c.WaitingReason, c.WaitingMessage)
	f := incident.Finding{
		Since: since, Active: true, Confidence: 95,
		Fingerprint: s.print(c.Name, "ImagePull", strconv.Itoa(int(c.Restarts))),
		Message:     "image " + c.Image + " of " + s.who() + " cannot be pulled: " + class,
		For:         []string{"it waits with " + c.WaitingReason, "for " + phrase.Span(between(since, s.Now)) + " when it was found"},
	}
	if c.WaitingMessage != "" {
		f.For = append(f.For, phrase.Cut(c.WaitingMessage, quoted))
	}
	return f, true
}

func isPullReason(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
		return true
	default:
		return false
	}
}

// PullError names the class of an image pull's error out of the kubelet's message.
func PullError(reason, message string) string {
	switch reason {
	case "InvalidImageName":
		return "the image's name is not valid"
	case "ErrImageNeverPull":
		return "it is not on the node and the pull policy is Never"
	}
	m := strings.ToLower(message)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(m, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("429", "toomanyrequests", "too many requests", "rate limit"):
		return "the registry limits the rate (429)"
	case has("x509", "certificate"):
		return "the registry's certificate is not trusted (x509)"
	case has("401", "403", "unauthorized", "authorization failed", "access denied", "denied:", "forbidden", "no basic auth"):
		return "the registry refuses access (401 or 403)"
	case has("404", "not found", "manifest unknown", "name unknown", "does not exist"):
		return "the image does not exist (404)"
	case has("no such host", "server misbehaving"):
		return "the registry's name cannot be resolved"
	case has("timeout", "timed out", "connection refused", "no route to host", "connection reset", "eof"):
		return "the registry cannot be reached"
	default:
		return "the registry's answer gives no class of error"
	}
}

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
// knows `configmap "app" not found`, `couldn't find key url in ConfigMap demo/app` and `references non-existent secret
// key: url`.
func MissingConfig(message string) string {
	low := lower(message)
	for _, kind := range []struct{ low, name string }{{"configmap", "ConfigMap"}, {"secret", "Secret"}} {
		if i := strings.Index(low, "couldn't find key "); i >= 0 {
			key, rest, cut := strings.Cut(message[i+len("couldn't find key "):], " in ")
			if cut && strings.HasPrefix(lower(rest), kind.low) {
				return "key " + phrase.Cut(key, 80) + " is missing in " + kind.name + " " + firstWord(rest[len(kind.low):])
			}
		}
		if i := strings.Index(low, "references non-existent "+kind.low+" key: "); i >= 0 {
			key := message[i+len("references non-existent "+kind.low+" key: "):]
			return "key " + firstWord(key) + " is missing in a " + kind.name
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

// lower changes ASCII letters only, so that an index into the result is one into the text.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func firstWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return "(not named)"
	}
	return phrase.Cut(strings.Trim(words[0], `",:;`), 253)
}
