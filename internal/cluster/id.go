package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// IDAnnotation is the annotation of an Event that holds the id of the decision or incident that the Event tells of.
const IDAnnotation = "homeostat.dev/id"

// decisionPrefix begins the id of a decision; that of an incident has a slash.
const decisionPrefix = "d-"

// DecisionID names the decision that changes the number of replicas: "d-" and ten hexadecimal digits, the first of a SHA-256 of
// autoscaler (kind, namespace and name), time and both numbers. Times that differ by less than a microsecond, which is what a
// status keeps, give the same id. It is empty for a decision that changes nothing: there is no chain to follow.
func DecisionID(autoscaler Ref, at time.Time, from, to int32) string {
	if from == to {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s %d %d %d", autoscaler.Kind, autoscaler.Namespace, autoscaler.Name, at.UnixMicro(), from, to))
	return decisionPrefix + hex.EncodeToString(sum[:5])
}

// IncidentID names an incident: namespace/name.
func IncidentID(namespace, name string) string { return namespace + "/" + name }

// IsDecisionID reports whether the id has the form of a decision's, not an incident's.
func IsDecisionID(id string) bool {
	digits, found := strings.CutPrefix(id, decisionPrefix)
	b, err := hex.DecodeString(digits)
	return found && err == nil && len(b) == 5
}
