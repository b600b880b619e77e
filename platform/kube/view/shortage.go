package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

const (
	// overQuota is what the API server's quota admission says.
	overQuota = "exceeded quota"
	// refusedFor is how long a StatefulSet's refused creation counts, which only an event tells: its controller tries again
	// after 1000 s at the latest (the greatest back-off of client-go's work queues).
	refusedFor = 1000 * time.Second
)

// Refusal returns the API server's answer where a quota refuses the target more pods; empty: as far as is known it does
// not. sets are a Deployment's ReplicaSets. A StatefulSet has no condition for it, so that its events are read, and only
// while it has fewer replicas than it asks for.
func Refusal(top *Owner, sets []*Owner, events *Events, now time.Time) string {
	if top.Kind == cluster.KindStatefulSet {
		if top.Existing >= top.Desired {
			return ""
		}
		for _, e := range events.About(top.Kind, top.Namespace, top.Name, top.UID, now) {
			if e.Reason == "FailedCreate" && now.Sub(e.Last) < refusedFor {
				return quotaOnly(e.Message)
			}
		}
		return ""
	}
	if m := quotaOnly(top.Refused); m != "" {
		return m
	}
	for _, s := range sets {
		if m := quotaOnly(s.Refused); m != "" && s.Desired > s.Existing {
			return m
		}
	}
	return ""
}

func quotaOnly(message string) string {
	if strings.Contains(message, overQuota) {
		return message
	}
	return ""
}

// Shortage says why replicas cannot be placed; nil: as far as is known they can. refusal is what Refusal returned.
func Shortage(pods []*Pod, refusal string) *hpa.Fault {
	if refusal != "" {
		return &hpa.Fault{Reason: hpa.FaultQuotaExceeded, Message: "a quota refuses more replicas: " + shorten(refusal, maxQuoted)}
	}
	count, first := 0, (*Pod)(nil)
	for _, p := range pods {
		if p.Replica.Unschedulable && !p.Replica.Deleting() && p.Replica.Phase == cluster.PhasePending {
			count++
			if first == nil {
				first = p
			}
		}
	}
	if first == nil {
		return nil
	}
	return &hpa.Fault{
		Reason: hpa.FaultUnschedulable,
		Message: fmt.Sprintf("%d of %d replicas cannot be placed, %s: %s", count, len(pods), first.Name,
			shorten(first.Replica.UnschedulableMessage, maxQuoted)),
	}
}

// maxQuoted bounds what is quoted of a message of somebody else.
const maxQuoted = 300
