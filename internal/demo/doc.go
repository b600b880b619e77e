// Package demo tells the story of `homeostat demo`: replicas that are killed, leak, hang and get busy, and what the two
// engines do about it, as lines for people while it happens and as a table in the end.
//
// The story is one list of chapters. It is played on a [Stage]: processes of this machine ([NewLocal]) or a Kubernetes cluster
// ([NewKube]). Nothing is shortened or faked for it: the failures are real, the engines are those that run in production, and
// the windows are short because the objects' own fields say so (web.yaml, and hack/demo for Kubernetes). The package
// decides nothing; it asks for failures, watches, and says what it sees.
package demo

import (
	"context"
	"net/http"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// Stage is where the story is played: one workload with its replicas.
type Stage interface {
	// Look returns what there is now. It is called several times a second.
	Look(ctx context.Context) (View, error)
	// Ask sends GET path to the replica of that name; an answer of 400 or more is an error.
	Ask(ctx context.Context, replica, path string) error
	// Kill has the replica's process ended from outside or by itself, without a chance to clean up, and says how.
	Kill(ctx context.Context, replica string) (how string, err error)
	// Traffic says where requests to the workload go.
	Traffic() Traffic
}

// View is what there is at one time.
type View struct {
	// Desired is the number of replicas that is asked for.
	Desired int32
	// Replicas in a stable order, those that are being ended included.
	Replicas []cluster.Replica
	// Incidents of the workload, active and resolved.
	Incidents []incident.Incident
	// Autoscaler of the workload with its last decision.
	Autoscaler report.Autoscaler
}

// Traffic is an address and, where a plain TCP connection is not the way there, the transport to use.
type Traffic struct {
	URL       string
	Transport http.RoundTripper
}

// Reader reads what the controller has stored. An empty namespace means every namespace.
type Reader interface {
	Autoscalers(ctx context.Context, namespace string) ([]report.Autoscaler, error)
	Incidents(ctx context.Context, namespace string) ([]incident.Incident, error)
}

// ready counts the replicas that serve.
func (v *View) ready() int32 {
	var n int32
	for i := range v.Replicas {
		if v.Replicas[i].Ready && !v.Replicas[i].Deleting() {
			n++
		}
	}
	return n
}

// find returns the replica of that name, nil if there is none.
func (v *View) find(name string) *cluster.Replica {
	for i := range v.Replicas {
		if v.Replicas[i].Name == name {
			return &v.Replicas[i]
		}
	}
	return nil
}

// settled reports whether there are exactly n replicas, all of them ready.
func (v *View) settled(n int32) bool {
	return v.Desired == n && len(v.Replicas) == int(n) && v.ready() == n
}

// container returns the one that a replica is there for.
func container(r *cluster.Replica) *cluster.Container {
	for i := range r.Containers {
		if r.Containers[i].Kind == cluster.ContainerMain {
			return &r.Containers[i]
		}
	}
	return &cluster.Container{}
}
