//go:build e2e

package beside

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// until asks a pod again and again, until it has answered. It returns false if the pod or the time is gone.
func (s *side) until(ctx context.Context, pod, request string) bool {
	for {
		err := s.ask(ctx, pod, request)
		if err == nil {
			return true
		}
		if apierrors.IsNotFound(err) || !pause(ctx, poll) {
			return false
		}
	}
}

// crashLoop makes a pod do, until the context ends, what a process does that cannot reach what it needs: start, never get
// ready, give up after its patience, and again.
func (s *side) crashLoop(ctx context.Context, pod string, patience time.Duration) {
	for s.until(ctx, pod, "/crash?code=1") && pause(ctx, poll) {
		// The next life is not ready yet (START_DELAY) when it is told never to be.
		if !s.until(ctx, pod, "/hang?probe=readiness&seconds=3600") || !pause(ctx, patience) {
			break
		}
	}
	// It is mended: the present life gets well, or the next one is.
	_ = s.ask(context.WithoutCancel(ctx), pod, "/hang?probe=readiness&seconds=0")
}

// crashAtOnce ends every life of the pod's main container as soon as it answers, until the context ends.
func (s *side) crashAtOnce(ctx context.Context, pod string) {
	for s.until(ctx, pod, "/crash?code=1") && pause(ctx, poll) {
	}
}

// caches fills the memory of each life of each replica until it is stopped, as a cache does: at once for those that are
// there when it starts, slowly for every later life.
type caches struct {
	side *side
	size int // MiB of each

	mu   sync.Mutex
	slow bool
	full map[string]bool // by pod and life
}

// refill makes every life from now on fill slowly.
func (c *caches) refill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = true
}

// filled returns how many lives were told to fill.
func (c *caches) filled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.full)
}

func (c *caches) run(ctx context.Context) {
	for pause(ctx, poll) {
		pods, err := c.side.pods(ctx)
		if err != nil {
			continue
		}
		for i := range pods {
			if st := pods[i].Status.ContainerStatuses; len(st) > 0 && st[0].State.Running != nil {
				c.fill(ctx, pods[i].Name, st[0].ContainerID)
			}
		}
	}
}

// fill tells one life to fill, once.
func (c *caches) fill(ctx context.Context, pod, life string) {
	c.mu.Lock()
	rate, known := 40.0, c.full[life] // MiB/s
	if c.slow {
		rate = 0.4
	}
	c.mu.Unlock()
	if known || c.side.ask(ctx, pod, fmt.Sprintf("/memory-leak?rate=%g&size=%d", rate, c.size)) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full == nil {
		c.full = map[string]bool{}
	}
	c.full[life] = true
}
