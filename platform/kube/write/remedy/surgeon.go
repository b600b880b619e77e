package remedy

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/kubernetes"

	"github.com/homeostat/homeostat/api/client"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// FieldManager is the name under which remedies write, so that metadata.managedFields tells these writes from those of others.
const FieldManager = "homeostat"

// attempts bounds how often an object is read and patched anew after somebody else was faster.
const attempts = 4

// errNoIdentity says that a write would not be guarded.
var errNoIdentity = errors.New("its UID is not known, so that another object of its name could be hit")

// Surgeon carries out remedies. Make it with New. Its methods are safe for concurrent use.
type Surgeon struct {
	core kubernetes.Interface
	own  *client.Client
}

// New returns a Surgeon; both clients are required.
func New(core kubernetes.Interface, own *client.Client) *Surgeon {
	return &Surgeon{core: core, own: own}
}

// Carry carries out the action, or with DryRun asks the API server whether it would. It is safe to call again.
func (s *Surgeon) Carry(ctx context.Context, a healing.Action) healing.Result {
	res := s.carry(ctx, a)
	if !a.DryRun || res.Outcome == incident.DryRun {
		return res
	}
	// Nothing was done: what would be refused is a failure, whatever the refusal is called.
	if res.Outcome == incident.Done && res.Reason == healing.ReasonCarriedOut {
		res.Outcome, res.Reason = incident.DryRun, healing.ReasonObserveOnly
		return res
	}
	res.Outcome = incident.Failed
	return res
}

func (s *Surgeon) carry(ctx context.Context, a healing.Action) healing.Result {
	if a.Remedy.OnReplica() && a.ReplicaUID == "" {
		return failed(fmt.Sprintf("pod %s: %v", a.Replica, errNoIdentity))
	}
	if !a.Remedy.OnReplica() && a.Workload.UID == "" {
		return failed(fmt.Sprintf("%s: %v", a.Workload, errNoIdentity))
	}
	switch a.Remedy {
	case incident.RemedyCapture:
		return s.capture(ctx, &a)
	case incident.RemedyRestart:
		return s.evict(ctx, &a)
	case incident.RemedyQuarantine:
		return s.quarantine(ctx, &a)
	case incident.RemedyResizeMemory:
		return s.resize(ctx, &a)
	case incident.RemedyRestartWorkload:
		return s.restartWorkload(ctx, &a)
	case incident.RemedyScaleOut:
		return s.scaleOut(ctx, &a)
	case incident.RemedyRollback:
		return s.rollback(ctx, &a)
	case incident.RemedyAbortCanary:
		return s.abortCanary(ctx, &a)
	case incident.RemedyNone:
	}
	return unsupported(fmt.Sprintf("remedy %q cannot be carried out", a.Remedy))
}
