package detect

import (
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	reasonFailedCreate = "FailedCreate"
	// retryCreate is how old the newest FailedCreate event may be and still say something: the controllers' longest wait
	// between two tries (1000 s, the queue's limit in client-go) and the time in which repeated events are held back.
	retryCreate = 20 * time.Minute
)

// refusal is what says that the API server refuses new replicas.
type refusal struct {
	since   time.Time
	message string
	sign    string
}

// createRefused finds an owner whose new replicas the API server refuses: a quota, an admission webhook, a service account
// that is not there.
func createRefused(l *Look, _ []incident.Finding) (incident.Finding, bool) {
	if !l.owned() {
		return incident.Finding{}, false
	}
	r, refused := l.refusedByCondition()
	if !refused {
		r, refused = l.refusedByEvents()
	}
	if !refused || !r.since.IsZero() && l.Now.Sub(r.since) < l.PendingAfter {
		return incident.Finding{}, false
	}
	why, known := Refusal(r.message)
	f := incident.Finding{
		Since: r.since, Active: true, Confidence: 95, Fingerprint: l.workloadPrint("CreateRefused", stamp(r.since)),
		Message: fmt.Sprintf("the API server refuses new replicas of %s (%d of %d are there): %s", l.Workload.Ref.Name, l.living(),
			l.Workload.Desired, why),
		For: []string{r.sign, phrase.Cut(r.message, quoted)},
	}
	if !known {
		f.Confidence = 70
		f.Against = []string{"the message is none of the usual refusals"}
	}
	return f, true
}

// refusedByCondition reads the condition that Deployments and ReplicaSets have.
func (l *Look) refusedByCondition() (refusal, bool) {
	c := l.Workload.Condition("ReplicaFailure")
	if c == nil || c.Status != "True" || c.Reason != reasonFailedCreate && c.Reason != "" || transient(c.Message) {
		return refusal{}, false
	}
	return refusal{c.Since, c.Message, "its condition ReplicaFailure is True with the reason FailedCreate"}, true
}

// refusedByEvents reads the events of owners that have no such condition (StatefulSet, DaemonSet, Job). Events get lost and
// stay behind, so replicas must be missing too.
func (l *Look) refusedByEvents() (refusal, bool) {
	w := l.Workload
	if l.living() >= w.Desired {
		return refusal{}, false
	}
	var newest *cluster.Event
	var first, created time.Time
	for i := range w.Events {
		ev := &w.Events[i]
		if ev.Reason == "SuccessfulCreate" {
			created = latest(created, ev.Last)
		}
		if ev.Reason != reasonFailedCreate || transient(ev.Message) {
			continue
		}
		if newest == nil || ev.Last.After(newest.Last) {
			newest = ev
		}
		if at := ev.First; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if newest == nil || l.Now.Sub(newest.Last) > retryCreate || created.After(newest.Last) {
		return refusal{}, false
	}
	if first.IsZero() {
		first = newest.Last
	}
	sign := "replicas are missing, and an event FailedCreate was seen " + phrase.Count(int64(max(newest.Count, 1)), "time")
	return refusal{first, newest.Message, sign}, true
}

// transient reports whether the message is one of a race or of a busy API server, and no refusal.
func transient(message string) bool {
	m := lower(message)
	for _, part := range []string{"already exists", "object is being deleted", "request timed out", "etcdserver:", "too many requests"} {
		if strings.Contains(m, part) {
			return true
		}
	}
	return false
}

// Refusal words why the API server refused an object, out of a controller's message, and reports whether it is one of the
// usual refusals: quota, limits, admission webhook, pod security, service account, priority class, a namespace that ends.
func Refusal(message string) (why string, known bool) {
	m := lower(message)
	after := func(lead string) (string, bool) {
		i := strings.Index(m, lead)
		if i < 0 {
			return "", false
		}
		return message[i+len(lead):], true
	}
	if rest, found := after("exceeded quota: "); found {
		return exceededQuota(rest), true
	}
	if rest, found := after("failed quota: "); found {
		name, missing, _ := strings.Cut(rest, ": ")
		return "quota " + phrase.Cut(name, 120) + " wants what the template does not say: " + phrase.Cut(missing, quoted), true
	}
	if rest, found := after("admission webhook "); found {
		name, said, _ := strings.Cut(strings.TrimPrefix(rest, `"`), `"`)
		_, said, _ = strings.Cut(said, "denied the request")
		why = "admission webhook " + phrase.Cut(name, 120) + " denies them"
		if said = strings.TrimLeft(said, ": "); said != "" {
			why += ": " + phrase.Cut(said, quoted)
		}
		return why, true
	}
	if rest, found := after("failed calling webhook "); found {
		name, said, _ := strings.Cut(strings.TrimPrefix(rest, `"`), `"`)
		return "admission webhook " + phrase.Cut(name, 120) + " cannot be called: " + phrase.Cut(innermost(strings.TrimLeft(said, ": ")), quoted), true
	}
	if rest, found := after("error looking up service account "); found {
		name, _, _ := strings.Cut(rest, ": ")
		return "service account " + phrase.Cut(name, 253) + " does not exist", true
	}
	for _, c := range []struct{ part, words string }{
		{"violates podsecurity", "pod security of the namespace forbids them"},
		{"because it is being terminated", "their namespace is being deleted"},
		{"no priorityclass with name", "their priority class does not exist"},
		{"maximum ", "a limit range forbids them"},
		{"minimum ", "a limit range forbids them"},
		{"is invalid: ", "the template is not valid"},
		{"validatingadmissionpolicy", "an admission policy denies them"},
		{"forbidden: ", "admission forbids them"},
	} {
		if strings.Contains(m, c.part) {
			return c.words + ": " + phrase.Cut(reason(message), quoted), true
		}
	}
	if text := phrase.Cut(message, quoted); text != "" {
		return text, false
	}
	return "no reason is given", false
}

// exceededQuota words "compute, requested: cpu=1, used: cpu=4, limited: cpu=4".
func exceededQuota(rest string) string {
	name, numbers, _ := strings.Cut(rest, ", requested: ")
	requested, numbers, _ := strings.Cut(numbers, ", used: ")
	used, limited, _ := strings.Cut(numbers, ", limited: ")
	why := "quota " + phrase.Cut(name, 120) + " is used up"
	if requested == "" || limited == "" {
		return why
	}
	return why + ": each asks for " + phrase.Cut(requested, 80) + ", " + phrase.Cut(used, 80) + " is used of " + phrase.Cut(limited, 80)
}

// reason leaves out what the controllers put before the API server's words: who was creating what.
func reason(message string) string {
	for _, lead := range []string{" failed error: ", "Error creating: "} {
		if _, rest, found := strings.Cut(message, lead); found {
			message = rest
		}
	}
	if _, rest, found := strings.Cut(message, "is forbidden: "); found {
		return rest
	}
	return message
}
