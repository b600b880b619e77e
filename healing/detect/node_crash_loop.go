package detect

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// readyFor is how long a sibling must have been ready to be a proof that the revision itself is well: a Deployment's
// minReadySeconds and the first minute in which most crashes at the start show.
const readyFor = time.Minute

// siblings are the other replicas of the same revision, by what they show of the same container.
type siblings struct {
	loopHere, loopElsewhere, wellHere, wellElsewhere int
}

// nodeCrashLoop makes the finding of a crash loop one of its node, where every replica of the revision that crashes is on that
// node, and only on others there are some that are well.
func nodeCrashLoop(s *subject, f incident.Finding) incident.Finding {
	r := s.replica
	if r.Node == "" || r.Revision == "" {
		return f
	}
	n := s.siblings()
	if n.wellElsewhere == 0 || n.wellHere > 0 || n.loopElsewhere > 0 {
		return f
	}
	f.Kind = incident.NodeCrashLoop
	f.Message += "; on other nodes " + countReplicas(n.wellElsewhere) + " of the same revision run well"
	f.For = append(f.For, "all that crash are on node "+r.Node, "ready on other nodes: "+countReplicas(n.wellElsewhere)+" of the same revision")
	switch {
	case s.Workload.Ref.Kind == cluster.KindStatefulSet:
		f.Confidence = 40
		f.Against = append(f.Against, "a replica of a StatefulSet has a volume and a name of its own")
	case n.loopHere == 0:
		f.Confidence = 60
		f.Against = append(f.Against, "only one replica crashes")
	default:
		f.Confidence = 80
	}
	return f
}

func (s *subject) siblings() siblings {
	var n siblings
	for i := range s.Workload.Replicas {
		r := &s.Workload.Replicas[i]
		c := r.Container(s.container.Name)
		if r == s.replica || r.Revision != s.replica.Revision || r.Deleting() || r.Node == "" || c == nil {
			continue
		}
		here := r.Node == s.replica.Node
		again := loops(c) || c.Restarts > 0 && s.Now.Sub(c.StartedAt) <= Horizon
		switch {
		case again && here:
			n.loopHere++
		case again:
			n.loopElsewhere++
		case !r.Ready || s.Now.Sub(r.ReadySince) < readyFor:
		case here:
			n.wellHere++
		default:
			n.wellElsewhere++
		}
	}
	return n
}
