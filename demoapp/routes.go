package demoapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/correlation"
	"github.com/homeostat/homeostat/demoapp/internal/jobs"
	"github.com/homeostat/homeostat/demoapp/internal/param"
)

// HostnameHeader is the response header that says which replica answered.
const HostnameHeader = "X-Hostname"

// route is one endpoint: what it is for, what it takes and what it does.
type route struct {
	path   string
	doc    string
	params param.Set
	// effect marks endpoints that change the app; they may be called by POST too, and not by HEAD.
	effect bool
	serve  func(w http.ResponseWriter, r *http.Request, v param.Values) error
}

// table lists all endpoints, in the order the index and the documentation show them.
func (a *app) table() []route {
	routes := slices.Concat(a.identityRoutes(), a.probeRoutes(), a.loadRoutes(), a.faultRoutes(), profileRoutes())
	return append(routes, route{path: "/metrics", doc: "metrics of this process for Prometheus", serve: a.telemetry.serve})
}

// statusError is an answer other than success whose cause is not a parameter.
type statusError struct {
	status  int
	message string
}

// Error implements the error interface.
func (e *statusError) Error() string { return e.message }

// refusal is the body of every answer other than success. Only a bad parameter fills the last three.
type refusal struct {
	Error     string  `json:"error"`
	Parameter string  `json:"parameter,omitempty"`
	Value     *string `json:"value,omitempty"`
	Allowed   string  `json:"allowed,omitempty"`
}

// entrance is what every request passes: it gets its correlation id, is counted, and is answered by the
// route of its path.
func (a *app) entrance() http.Handler {
	byPath := make(map[string]route, len(a.routes))
	for _, endpoint := range a.routes {
		byPath[endpoint.path] = endpoint
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := correlation.FromRequest(r.Header)
		r = r.WithContext(correlation.With(r.Context(), id))
		w.Header().Set(correlation.Header, id)
		w.Header().Set(HostnameHeader, a.opts.Hostname)
		if a.probes.draining() {
			// The client opens its next connection elsewhere. Idle connections stay open for now: closing
			// them would race with requests on their way.
			w.Header().Set("Connection", "close")
		}
		endpoint, known := byPath[r.URL.Path]
		if !known {
			endpoint = route{path: "other", serve: func(http.ResponseWriter, *http.Request, param.Values) error {
				return &statusError{http.StatusNotFound, "no such endpoint; GET / lists them"}
			}}
		}
		a.answer(w, r, endpoint)
	})
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, endpoint route) {
	begin := time.Now()
	a.telemetry.begin()
	recorded := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		a.telemetry.end(endpoint.path, recorded.status, time.Since(begin))
		a.logRequest(r, endpoint.path, recorded.status, time.Since(begin))
	}()
	if err := check(endpoint, r); err != nil {
		if endpoint.path != "other" {
			w.Header().Set("Allow", strings.Join(endpoint.methods(), ", "))
		}
		refuse(recorded, err)
		return
	}
	values := param.Values{}
	if endpoint.path != "other" {
		var err error
		if values, err = endpoint.params.Parse(r.URL.RawQuery); err != nil {
			refuse(recorded, err)
			return
		}
	}
	if err := endpoint.serve(recorded, r, values); err != nil {
		refuse(recorded, err)
	}
}

func (endpoint route) methods() []string {
	if endpoint.effect {
		return []string{http.MethodGet, http.MethodPost}
	}
	return []string{http.MethodGet, http.MethodHead}
}

func check(endpoint route, r *http.Request) error {
	if endpoint.path == "other" || slices.Contains(endpoint.methods(), r.Method) {
		return nil
	}
	return &statusError{http.StatusMethodNotAllowed, fmt.Sprintf("method %s is not allowed here; allowed: %s", r.Method, strings.Join(endpoint.methods(), ", "))}
}

// refuse answers with the status and the JSON body that belong to an error.
func refuse(w http.ResponseWriter, err error) {
	var badParameter *param.Error
	var status *statusError
	var full *jobs.FullError
	switch {
	case errors.As(err, &badParameter):
		writeJSON(w, http.StatusBadRequest, refusal{
			Error:     fmt.Sprintf("parameter %s: %s", badParameter.Parameter, badParameter.Reason),
			Parameter: badParameter.Parameter, Value: &badParameter.Value, Allowed: badParameter.Allowed,
		})
	case errors.As(err, &status):
		writeJSON(w, status.status, refusal{Error: status.message})
	case errors.As(err, &full):
		w.Header().Set("Retry-After", "10")
		writeJSON(w, http.StatusTooManyRequests, refusal{Error: full.Kind + ": " + full.Error()})
	default:
		writeJSON(w, http.StatusInternalServerError, refusal{Error: err.Error()})
	}
}

// writeJSON states the length, so that the answer is complete as soon as it is flushed: without it the end
// of the body follows only after the endpoint has returned, which is too late for one that ends the process.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	// The only error is that the client went away: nobody is left to be told.
	_, _ = w.Write(append(text, '\n'))
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// statusRecorder remembers the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (a *app) logRequest(r *http.Request, path string, status int, took time.Duration) {
	level := slog.LevelInfo
	// An app that is starting or draining is not ready by design.
	if status >= http.StatusInternalServerError && path != "/readyz" {
		level = slog.LevelError
	}
	if a.opts.LogRequests == LogNone || a.opts.LogRequests == LogErrors && level != slog.LevelError {
		return
	}
	a.log.LogAttrs(r.Context(), level, "request answered", slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("query", r.URL.RawQuery), slog.Int("status", status), slog.Float64("seconds", rounded(took)),
		slog.String("remote", r.RemoteAddr))
}
