package app

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// A leadFunc runs act while this process may act, as often as that is so, until ctx is done.
type leadFunc func(ctx context.Context, act func(ctx context.Context)) error

// election returns the leadFunc of the configuration: by a Lease, or at once where leader election is off. Nobody leads before
// synced returns: a leader without a full view would see failures that are none.
func (a *App) election(client *rest.Config, o KubeOptions, synced func(context.Context) error) (leadFunc, error) {
	l := a.opts.Config.LeaderElection
	if !l.Enabled {
		return func(ctx context.Context, act func(context.Context)) error {
			if err := synced(ctx); err != nil {
				return err
			}
			act(ctx)
			return nil
		}, nil
	}
	ns := l.Namespace
	if ns == "" {
		ns = o.Namespace
	}
	clients, err := kubernetes.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("configure leader election: %w", err)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: ns, Name: l.Name}, Client: clients.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: o.Identity},
	}
	return func(ctx context.Context, act func(context.Context)) error {
		if err := synced(ctx); err != nil {
			return err
		}
		for ctx.Err() == nil {
			if err := a.campaign(ctx, lock, act); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// term is one stretch of campaigning and, perhaps, acting.
type term struct {
	mu      sync.Mutex
	started bool
	ended   bool
	acted   chan struct{}
}

// start reports whether acting may begin: not once the term has ended.
func (t *term) start() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.started = true
	return true
}

// end ends the term and returns when what was started has ended.
func (t *term) end() {
	t.mu.Lock()
	t.ended = true
	started := t.started
	t.mu.Unlock()
	if started {
		<-t.acted
	}
}

func (t *term) acting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.started
}

// campaign waits for the Lease, acts while it is held, and returns when it is lost or ctx is done. The Lease is given back only
// after act has returned, so that the next leader begins when this one has really ended, and need not wait for the Lease to expire.
func (a *App) campaign(ctx context.Context, lock resourcelock.Interface, act func(context.Context)) error {
	l := a.opts.Config.LeaderElection
	t := &term{acted: make(chan struct{})}
	// The election outlives ctx by the time that act needs to end.
	electionCtx, endElection := context.WithCancel(context.WithoutCancel(ctx))
	defer endElection()
	defer context.AfterFunc(ctx, func() {
		if !t.acting() {
			endElection()
		}
	})()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: l.Name, ReleaseOnCancel: true,
		LeaseDuration: l.LeaseDuration.D(), RenewDeadline: l.RenewDeadline.D(), RetryPeriod: l.RetryPeriod.D(),
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				if !t.start() {
					return
				}
				defer endElection()
				defer close(t.acted)
				acting, stop := context.WithCancel(leading)
				defer stop()
				defer context.AfterFunc(ctx, stop)()
				a.log.InfoContext(ctx, "acting", "identity", a.identity)
				act(acting)
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(id string) {
				a.leading.led(id)
				if id != a.identity {
					a.log.InfoContext(ctx, "standing by", "leader", id)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("configure leader election: %w", err)
	}
	elector.Run(electionCtx)
	t.end()
	return nil
}
