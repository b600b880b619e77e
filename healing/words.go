package healing

import (
	"fmt"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// wording is one remediation in the forms that sentences need: "restart web-1", "restarting web-1", "restarted web-1",
// "a restart of web-1".
type wording struct {
	do, doing, done, noun string
}

// words returns the remediation in words.
func words(r *incident.Remediation) wording {
	c := &r.Change
	switch r.Remedy {
	case incident.RemedyRestart:
		return forms("restart", "restarting", "restarted", "a restart of", " "+r.Replica)
	case incident.RemedyQuarantine:
		return forms("quarantine", "quarantining", "quarantined", "a quarantine of", " "+r.Replica)
	case incident.RemedyCapture:
		return forms("capture", "capturing", "captured", "a capture of", " a profile of "+r.Replica)
	case incident.RemedyResizeMemory:
		what := fmt.Sprintf(" the memory limit of container %s of %s from %s to %s", c.Container, r.Replica,
			phrase.Bytes(c.FromMemory), phrase.Bytes(c.ToMemory))
		return forms("raise", "raising", "raised", "a raise of", what)
	case incident.RemedyRestartWorkload:
		all := forms("restart", "restarting", "restarted", "", " all replicas one after the other")
		all.noun = "a rolling restart"
		return all
	case incident.RemedyScaleOut:
		return forms("scale", "scaling", "scaled", "a scaling", fmt.Sprintf(" from %d to %d replicas", c.FromReplicas, c.ToReplicas))
	case incident.RemedyRollback:
		return forms("roll back", "rolling back", "rolled back", "a rollback", " from revision "+c.FromRevision+" to "+c.ToRevision)
	case incident.RemedyAbortCanary:
		if c.Target.Kind == cluster.KindService {
			return forms("switch", "switching", "switched", "a switch of", fmt.Sprintf(" Service %s back from %s=%s to %s",
				c.Target.Name, c.Key, c.FromRevision, c.ToRevision))
		}
		return forms("scale", "scaling", "scaled", "a scaling of", fmt.Sprintf(" the canary from %d to %d replicas", c.FromReplicas, c.ToReplicas))
	case incident.RemedyNone:
		return wording{"do nothing", "doing nothing", "did nothing", "nothing"}
	default:
		return forms("carry out", "carrying out", "carried out", "the remedy", " "+string(r.Remedy))
	}
}

func forms(do, doing, done, noun, what string) wording {
	return wording{do + what, doing + what, done + what, noun + what}
}

// wouldDo words a remediation as the call that observe mode does not make.
func (p *pass) wouldDo(r *incident.Remediation) string {
	s := words(r).do
	if r.Remedy == incident.RemedyResizeMemory {
		return s + " in " + p.in.Workload.Ref.String() + ", on condition that its UID is " + orNone(r.ReplicaUID)
	}
	if r.Remedy.OnReplica() {
		return s + " of " + p.in.Workload.Ref.String() + ", on condition that its UID is " + orNone(r.ReplicaUID)
	}
	return s + ": " + p.in.Workload.Ref.String()
}

// skips words the rungs that were passed over.
func skips(list []skip) string {
	parts := make([]string, 0, len(list))
	for _, s := range list {
		parts = append(parts, string(s.remedy)+" ("+s.message+")")
	}
	return strings.Join(parts, ", ")
}
