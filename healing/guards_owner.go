package healing

import (
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// owner returns the first owner of one of the kinds, nil for none.
func (q *proposal) owner(kinds ...cluster.OwnerKind) *cluster.Owner {
	for i := range q.in.Workload.Owners {
		for _, k := range kinds {
			if o := &q.in.Workload.Owners[i]; o.Kind == k {
				return o
			}
		}
	}
	return nil
}

func (q *proposal) ownedElsewhere() bool {
	return q.owner(cluster.OwnerArgoCD, cluster.OwnerFlux, cluster.OwnerHelm, cluster.OwnerOperator) != nil
}

// managedElsewhere refuses what writes a spec that somebody else writes too. A replica's own spec is nobody's but its owner's in
// the cluster, and an Autoscaler is Homeostat's.
func managedElsewhere(q *proposal) (string, bool) {
	o := q.owner(cluster.OwnerArgoCD, cluster.OwnerFlux, cluster.OwnerHelm, cluster.OwnerOperator)
	if o == nil || q.remedy.OnReplica() || q.change.Target.Kind == kindAutoscaler {
		return "", false
	}
	return "its spec belongs to " + string(o.Kind) + " " + o.Name, true
}

func scaledElsewhere(q *proposal) (string, bool) {
	s := q.in.Workload.Scaler
	if q.remedy != incident.RemedyScaleOut || s == nil || s.Ref.Kind == kindAutoscaler {
		return "", false
	}
	return "its number of replicas belongs to " + s.Ref.Kind + " " + s.Ref.Name, true
}

// sizedElsewhere takes a VerticalPodAutoscaler without a name for what a platform says that may not read them: nobody knows whether
// one owns the resources, and two that size a replica undo each other's work.
func sizedElsewhere(q *proposal) (string, bool) {
	o := q.owner(cluster.OwnerVPA)
	if q.remedy != incident.RemedyResizeMemory || o == nil {
		return "", false
	}
	if o.Name == "" {
		return "the VerticalPodAutoscalers of its namespace cannot be read, and one may own its resources", true
	}
	return "its resources belong to VerticalPodAutoscaler " + o.Name, true
}

// rollingOut lets through what goes back from the very rollout, and what changes nothing.
func rollingOut(q *proposal) (string, bool) {
	switch {
	case oneOf(q.remedy, incident.RemedyRollback, incident.RemedyAbortCanary, incident.RemedyCapture):
		return "", false
	default:
		return "waits: a rollout is under way", q.in.Workload.RollingOut
	}
}
