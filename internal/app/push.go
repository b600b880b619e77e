package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/lokipush"
)

// usePush sends each record of the journal to Loki too, where logs.push says which. Call it before anything is recorded.
func (a *App) usePush() error {
	c := a.opts.Config.Logs.Push
	if c.URL == "" {
		return nil
	}
	client := c.HTTPClient()
	p, err := lokipush.New(lokipush.Options{
		URL: c.URL, Tenant: c.Tenant, Labels: c.Labels, Timeout: c.Timeout.D(), Backlog: c.BacklogMiB << 20, HTTP: &client, Log: a.log, Now: time.Now,
	})
	if err != nil {
		return fmt.Errorf("configure logs.push: %w", err)
	}
	a.journal.Also(p.Write)
	a.telemetry.Queue("loki", func() float64 { return float64(p.Length()) }, func() float64 { return float64(p.Dropped()) })
	a.push = p.Run
	return nil
}

// record writes the journal, pushes records and writes annotations until ctx is done and what waits is written. It outlives the loops, so that their
// last lines are.
func (a *App) record(ctx context.Context) {
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := a.push(ctx); err != nil {
			a.log.ErrorContext(ctx, "records are not pushed", "error", err)
		}
	})
	if a.annotations != nil {
		beside.Go(func() { a.annotations.Run(ctx) })
	}
	a.journal.Run(ctx, a.out, a.log)
	beside.Wait()
}
