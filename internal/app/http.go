package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A probe returns nil while all is well, and otherwise an error that says what is not.
type probe func(now time.Time) error

// endpoints serves /metrics, /healthz, /readyz, /version and /decisions.
type endpoints struct {
	server   *http.Server
	listener net.Listener
	log      *slog.Logger
}

// listen opens the configured address; errors name it.
func (a *App) listen(ctx context.Context) (*endpoints, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.opts.Config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", a.opts.Config.Listen, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{Registry: a.registry, EnableOpenMetrics: true}))
	mux.Handle("GET /healthz", answer(a.healthy))
	mux.Handle("GET /readyz", answer(a.ready))
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(a.opts.Version + "\n")) // the client is gone: nobody is left to tell
	})
	a.telemetry.Decisions().Register(mux, time.Now, a.leading.leader)
	return &endpoints{
		server: &http.Server{
			Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute,
			ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		},
		listener: l, log: a.log,
	}, nil
}

// answer turns a probe into the usual endpoint: 200 "ok", or 503 with what is wrong.
func answer(p probe) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := p(time.Now()); err != nil {
			http.Error(w, strings.ReplaceAll(err.Error(), "\n", "; "), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // the client is gone: nobody is left to tell
	})
}

// serve answers until ctx is done, and then lets running requests end.
func (e *endpoints) serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- e.server.Serve(e.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", e.listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := e.server.Shutdown(grace); err != nil {
		e.log.WarnContext(ctx, "requests were cut off", "error", err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", e.listener.Addr(), err)
	}
	return nil
}
