package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/platform/local"
)

func (a *App) useLocal() error {
	c := a.opts.Config
	documents, err := local.Load(c.LocalPlatform.File)
	if err != nil {
		return fmt.Errorf("platform local: %w", err)
	}
	dir := c.LocalPlatform.StateDir
	if dir == "" {
		if dir, err = local.DefaultStateDir(documents.Service.Name); err != nil {
			return fmt.Errorf("platform local: %w", err)
		}
	}
	platform, err := local.New(local.Options{
		Config: documents, StateDir: dir, Store: a.store, Logger: a.log, WatchSelected: c.Healing.Watch == config.WatchSelected,
		KeepIncidents: c.Healing.KeepIncidents.D(), MaxIncidents: c.Healing.MaxIncidents,
		OnEvent: func(e local.Event) {
			a.log.Info("event", "replica", e.Replica, "type", e.Type, "reason", e.Reason, "message", e.Message)
		},
	})
	if err != nil {
		return fmt.Errorf("platform local: %w", err)
	}
	a.platform, a.wake = platform, platform.Changed()
	a.identity = fmt.Sprintf("local-%d", os.Getpid())
	started := make(chan struct{})
	a.ready = func(time.Time) error {
		select {
		case <-started:
			return nil
		default:
			return errors.New("the service has not been started yet")
		}
	}
	a.alive = func(time.Time) error { return nil }
	a.collect = func(ctx context.Context) error {
		if err := platform.Start(ctx); err != nil {
			return err
		}
		close(started)
		a.log.InfoContext(ctx, "service started", "address", platform.Addr(), "state", dir)
		<-ctx.Done()
		return nil
	}
	a.lead = func(ctx context.Context, act func(context.Context)) error {
		select {
		case <-started:
			act(ctx) // the state folder's lock is what keeps a second controller away
		case <-ctx.Done():
		}
		return nil
	}
	a.stop = platform.Stop
	return nil
}
