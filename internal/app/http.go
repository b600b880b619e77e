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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A probe returns nil while all is well, and otherwise an error that says what is not.
type probe func(now time.Time) error

// endpoints serves /metrics, /healthz, /readyz and /version.
type endpoints struct {
	server   *http.Server
	listener net.Listener
	log      *slog.Logger
}

// listen opens the address; errors name it.
func listen(ctx context.Context, addr string, reg *prometheus.Registry, version string, healthy, ready probe, log *slog.Logger) (*endpoints, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg, EnableOpenMetrics: true}))
	mux.Handle("GET /healthz", answer(healthy))
	mux.Handle("GET /readyz", answer(ready))
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(version + "\n")) // the client is gone: nobody is left to tell
	})
	return &endpoints{
		server: &http.Server{
			Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		listener: l, log: log,
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
