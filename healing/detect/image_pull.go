package detect

import (
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

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
