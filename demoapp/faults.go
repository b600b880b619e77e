package demoapp

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/param"
)

func (a *app) faultRoutes() []route {
	return []route{
		{path: "/crash", doc: "log why, answer, and end the process at once", effect: true, serve: a.serveCrash, params: param.Set{
			{Name: "code", Kind: param.Integer, Default: "1", Min: 0, Max: 255, Doc: "exit code"},
		}},
		{path: "/hang", doc: "let probes get no answer for a time", effect: true, serve: a.serveHang, params: param.Set{
			{Name: "probe", Kind: param.Choice, Default: "all", Choices: []string{readiness, liveness, "all"}, Doc: "which probe hangs"},
			{Name: "seconds", Kind: param.Number, Default: "60", Min: 0, Max: 3600, Unit: "s", Doc: "how long; 0 ends it"},
		}},
		{path: "/slow", doc: "answer this request late", serve: a.serveSlow, params: param.Set{
			{Name: "ms", Kind: param.Integer, Default: "1000", Min: 0, Max: 60000, Unit: "ms", Doc: "how late"},
		}},
		{path: "/errors", doc: "from now on answer a share of /hostname requests with 500", effect: true, serve: a.serveErrors, params: param.Set{
			{Name: "rate", Kind: param.Number, Default: "0", Min: 0, Max: 1, Doc: "the share; 0 ends it"},
		}},
		{path: "/log", doc: "write log lines", effect: true, serve: a.serveLog, params: param.Set{
			{Name: "lines", Kind: param.Integer, Default: "10", Min: 1, Max: 10000, Doc: "how many"},
			{Name: "level", Kind: param.Choice, Default: "info", Choices: []string{"debug", "info", "warn", "error"}, Doc: "their level"},
			{Name: "text", Kind: param.Text, Default: "a line that /log asked for", Max: 1024, Doc: "their text"},
		}},
	}
}

func (a *app) serveCrash(w http.ResponseWriter, r *http.Request, v param.Values) error {
	code := v.Int("code")
	writeJSON(w, http.StatusOK, map[string]any{"hostname": a.opts.Hostname, "crashing": true, "exit_code": code})
	// The answer must be with the system before the process is gone. If the client is gone already, that is
	// no reason to live on.
	_ = http.NewResponseController(w).Flush()
	a.log.ErrorContext(r.Context(), "crashing: told to by /crash", "exit_code", code, "remote", r.RemoteAddr)
	select {
	case a.exit <- code:
	default:
	}
	return nil
}

func (a *app) serveHang(w http.ResponseWriter, r *http.Request, v param.Values) error {
	probe := v.Text("probe")
	names := []string{probe}
	if probe == "all" {
		names = []string{readiness, liveness}
	}
	a.probes.hang(names, time.Now().Add(seconds(v)))
	a.log.WarnContext(r.Context(), "probes hang: told to by /hang", "probe", probe, "seconds", v.Float("seconds"))
	writeJSON(w, http.StatusOK, map[string]any{"hostname": a.opts.Hostname, "probe": probe, "seconds": v.Float("seconds")})
	return nil
}

func (a *app) serveSlow(w http.ResponseWriter, r *http.Request, v param.Values) error {
	if wait(r.Context(), time.Duration(v.Int("ms"))*time.Millisecond) {
		writeJSON(w, http.StatusOK, map[string]any{"hostname": a.opts.Hostname, "slept_ms": v.Int("ms")})
	}
	return nil
}

func (a *app) serveErrors(w http.ResponseWriter, r *http.Request, v param.Values) error {
	a.share.set(v.Float("rate"))
	a.log.WarnContext(r.Context(), "error share of /hostname set by /errors", "rate", v.Float("rate"))
	writeJSON(w, http.StatusOK, map[string]any{"hostname": a.opts.Hostname, "rate": v.Float("rate")})
	return nil
}

func (a *app) serveLog(w http.ResponseWriter, r *http.Request, v param.Values) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	a.writeLines(r.Context(), levels[v.Text("level")], v.Text("text"), v.Int("lines"))
	writeJSON(w, http.StatusOK, map[string]any{"hostname": a.opts.Hostname, "lines": v.Int("lines"), "level": v.Text("level")})
	return nil
}

func (a *app) writeLines(ctx context.Context, level slog.Level, text string, lines int) {
	for i := range lines {
		// The message is the caller's: that is what the endpoint is for. A handler only fails where the log
		// itself is broken, and then there is nowhere to say so.
		record := slog.NewRecord(time.Now(), level, text, 0)
		record.AddAttrs(slog.Int("line", i+1), slog.Int("of", lines))
		_ = a.log.Handler().Handle(ctx, record)
	}
}

// errorShare spreads a share of failures evenly instead of drawing them, so that a short test sees
// exactly the share it asked for. The zero value fails nothing.
type errorShare struct {
	mu   sync.Mutex
	rate float64
	debt float64
}

func (s *errorShare) set(rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate, s.debt = rate, 0
}

// fails reports whether the next answer is an error.
func (s *errorShare) fails() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.debt += s.rate
	// A tiny amount is forgiven, as ten times 0.1 is a little below 1.
	if s.debt < 1-1e-9 {
		return false
	}
	s.debt--
	return true
}
