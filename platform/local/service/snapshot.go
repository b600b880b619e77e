package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// ErrNoLog is returned where the output that is asked for is not kept.
var ErrNoLog = errors.New("output is not kept")

// Ref names the service as a workload.
func (s *Service) Ref() cluster.Ref {
	return cluster.Ref{Kind: cluster.KindService, Namespace: s.opts.Namespace, Name: s.spec.Name}
}

// Workload returns the present state; the value is the caller's.
func (s *Service) Workload() *cluster.Workload {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &cluster.Workload{
		Ref: s.Ref(), Labels: maps.Clone(s.spec.Labels), Desired: s.desired,
		Changes: slices.Clone(s.changes), Events: slices.Clone(s.events),
		Replicas: make([]cluster.Replica, len(s.replicas)),
	}
	for i, r := range s.replicas {
		w.Replicas[i] = r.snapshot()
	}
	return w
}

// snapshot must be called with the lock held.
func (r *replica) snapshot() cluster.Replica {
	c := r.container
	c.Terminated, c.Last = clone(c.Terminated), clone(c.Last)
	out := cluster.Replica{
		Name: r.name, UID: r.uid, Phase: cluster.PhaseRunning, CreatedAt: r.createdAt, StartedAt: r.createdAt, DeletedAt: r.deletedAt,
		Ready: r.ready, ReadySince: r.readySince, ReadyReason: r.readyReason, ReadyMessage: r.readyMessage,
		Disruption: r.disruption, Containers: []cluster.Container{c}, Events: slices.Clone(r.events),
	}
	if len(r.lives) == 0 {
		out.Phase = cluster.PhasePending
	}
	return out
}

func clone(t *cluster.Termination) *cluster.Termination {
	if t == nil {
		return nil
	}
	c := *t
	return &c
}

// Output is what one life of a replica printed.
type Output struct {
	// Lines are the last ones, oldest first; Total is how many there were.
	Lines []string
	Total int64
	// StartedAt and EndedAt of the life; EndedAt is zero while it runs.
	StartedAt, EndedAt time.Time
}

// Output returns what a life of the replica printed, also after the replica is gone: the life with that ContainerID, or
// where that is empty the newest one that has ended (previous) or the newest one. ErrGone where no such replica is
// remembered, ErrNoLog where no such life is.
func (s *Service) Output(uid, containerID string, previous bool) (Output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.replicas, func(r *replica) bool { return r.uid == uid })
	from := s.replicas
	if at < 0 {
		at, from = slices.IndexFunc(s.ended, func(r *replica) bool { return r.uid == uid }), s.ended
	}
	if at < 0 {
		return Output{}, fmt.Errorf("find replica with UID %s: %w", uid, ErrGone)
	}
	for _, l := range slices.Backward(from[at].lives) {
		if containerID != "" && l.id != containerID || containerID == "" && previous && l.ended == nil {
			continue
		}
		o := Output{Lines: l.log.Lines(), Total: l.log.Total(), StartedAt: l.startedAt}
		if l.ended != nil {
			o.EndedAt = l.ended.FinishedAt
		}
		return o, nil
	}
	return Output{}, fmt.Errorf("find a life of replica %s: %w", from[at].name, ErrNoLog)
}
