//go:build !linux

package reap

import "context"

// Run waits until the context is done: only Linux containers hand orphans to this process.
func (*Reaper) Run(ctx context.Context, _ func(pid int)) {
	<-ctx.Done()
}
