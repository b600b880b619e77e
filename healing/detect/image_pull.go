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
	message := c.WaitingMessage
	class := PullError(c.WaitingReason, withoutImage(message, c.Image))
	if class == noPullClass { // older kubelets say no more than "Back-off pulling image" while they wait
		if m := pullEvent(s); m != "" {
			message, class = m, PullError(c.WaitingReason, withoutImage(m, c.Image))
		}
	}
	f := incident.Finding{
		Since: since, Active: true, Confidence: 95,
		Fingerprint: s.print(c.Name, "ImagePull", strconv.Itoa(int(c.Restarts))),
		Message:     "image " + phrase.Cut(c.Image, quoted) + " of " + s.who() + " cannot be pulled: " + class,
		For:         []string{"it waits with " + c.WaitingReason},
	}
	if !since.IsZero() {
		f.For = append(f.For, "for "+phrase.Span(between(since, s.Now))+" when it was found")
	}
	if message != "" {
		f.For = append(f.For, phrase.Cut(message, quoted))
	}
	if class == noPullClass {
		f.Confidence = 90
		f.Against = []string{"nothing tells why the pull fails"}
	}
	return f, true
}

// firstPull is the reason of a pull that has failed and is tried again at once, before the back-off.
const firstPull = "ErrImagePull"

func isPullReason(reason string) bool {
	switch reason {
	case firstPull, "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable",
		"SignatureValidationFailed":
		return true
	default:
		return false
	}
}

// pullEvent returns the message of the newest event that says why this container's image could not be pulled.
func pullEvent(s *subject) string {
	for i := range s.replica.Events {
		ev := &s.replica.Events[i]
		if ev.Reason == "Failed" && strings.HasPrefix(ev.Message, "Failed to pull image") && strings.Contains(ev.Message, s.container.Image) {
			return ev.Message
		}
	}
	return ""
}

// withoutImage takes the image's own name out of a message, so that no word of it is taken for an error.
func withoutImage(message, image string) string {
	if image == "" {
		return message
	}
	return strings.ReplaceAll(message, image, "")
}

const noPullClass = "the registry's answer gives no class of error"

// PullError names the class of an image pull's error out of the kubelet's reason and message.
func PullError(reason, message string) string {
	switch reason {
	case "InvalidImageName":
		return "the image's name is not valid"
	case "ErrImageNeverPull":
		return "it is not on the node and the pull policy is Never"
	case "ImageInspectError":
		return "the image that is on the node cannot be read"
	case "SignatureValidationFailed":
		return "its signature is not valid"
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
	case hasNumber(m, "429"), has("toomanyrequests", "too many requests", "rate limit"):
		return "the registry limits the rate (429)"
	case has("pull qps exceeded"):
		return "the kubelet's own limit of pulls is exceeded"
	case has("x509", "certificate"):
		return "the registry's certificate is not trusted (x509)"
	case hasNumber(m, "401"), hasNumber(m, "403"), has("unauthorized", "authorization failed", "access denied", "denied:", "forbidden", "no basic auth"):
		return "the registry refuses access (401 or 403)"
	case has("no match for platform", "no matching manifest"):
		return "there is no build of it for the node's platform"
	case hasNumber(m, "404"), has("not found", "manifest unknown", "name unknown", "does not exist"):
		return "the image does not exist (404)"
	case has("no such host", "server misbehaving"):
		return "the registry's name cannot be resolved"
	case has("no space left"):
		return "the node's disk is full"
	case has("no route to host", "network is unreachable"):
		return "the registry cannot be reached (no route)"
	case has("timeout", "timed out", "deadline exceeded", "connection refused", "connection reset", "eof"), reason == "RegistryUnavailable":
		return "the registry cannot be reached"
	default:
		return noPullClass
	}
}

// hasNumber reports whether the text has the number as a word of its own, and not as a part of a digest, an address or a port.
func hasNumber(text, number string) bool {
	for rest := text; ; {
		i := strings.Index(rest, number)
		if i < 0 {
			return false
		}
		before, after := byte(' '), byte(' ')
		if i > 0 {
			before = rest[i-1]
		}
		rest = rest[i+len(number):]
		if rest != "" {
			after = rest[0]
		}
		if strings.IndexByte(" ([\"'=\t\n", before) >= 0 && strings.IndexByte(" )]\"',.;:\t\n", after) >= 0 {
			return true
		}
	}
}
