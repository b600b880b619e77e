package detect

import (
	"strings"

	"github.com/homeostat/homeostat/internal/cluster"
)

// owned reports whether the workload is an owner of replicas. A bare pod is its own workload, and nothing that is said
// about owners holds for it.
func (l *Look) owned() bool { return l.Workload.Ref.Kind != cluster.KindPod }

// workloadPrint makes a fingerprint out of the workload's identity and parts.
func (l *Look) workloadPrint(parts ...string) string {
	id := l.Workload.Ref.UID
	if id == "" {
		id = l.Workload.Ref.String()
	}
	return id + "/" + strings.Join(parts, "/")
}

// living counts the replicas that have neither ended nor are being deleted.
func (l *Look) living() int32 {
	var n int32
	for i := range l.Workload.Replicas {
		s := subject{Look: l, replica: &l.Workload.Replicas[i]}
		if !s.replica.Deleting() && !s.over() {
			n++
		}
	}
	return n
}
