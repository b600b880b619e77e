package demoapp

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/param"
)

// identity says which replica this is.
type identity struct {
	Hostname string `json:"hostname"`
	PID      int    `json:"pid"`
	Port     int    `json:"port"`
	Version  string `json:"version"`
	started  time.Time
}

func (a *app) identityRoutes() []route {
	format := param.Set{{
		Name: "format", Kind: param.Choice, Choices: []string{"text", "json"},
		Doc: "form of the answer; without it the Accept header decides, and text is the default",
	}}
	return []route{
		{path: "/", doc: "this list", serve: a.serveIndex},
		{path: "/hostname", doc: "which replica answered: name, process id, port, version, seconds since start", params: format, serve: a.serveHostname},
		{path: "/version", doc: "version, Go version and commit", params: format, serve: a.serveVersion},
	}
}

func (a *app) serveHostname(w http.ResponseWriter, r *http.Request, v param.Values) error {
	if a.share.fails() {
		return &statusError{http.StatusInternalServerError, "failing on purpose: /errors asked for a share of such answers"}
	}
	uptime := int(time.Since(a.identity.started).Seconds())
	if wantsJSON(r, v) {
		writeJSON(w, http.StatusOK, struct {
			identity
			Uptime int `json:"uptime_seconds"`
		}{a.identity, uptime})
		return nil
	}
	writeText(w, http.StatusOK, fmt.Sprintf("%s pid=%d port=%d version=%s uptime=%ds\n",
		a.identity.Hostname, a.identity.PID, a.identity.Port, a.identity.Version, uptime))
	return nil
}

func (a *app) serveVersion(w http.ResponseWriter, r *http.Request, v param.Values) error {
	commit := "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				commit = setting.Value
			}
		}
	}
	if wantsJSON(r, v) {
		writeJSON(w, http.StatusOK, map[string]string{"version": a.opts.Version, "go": runtime.Version(), "commit": commit})
		return nil
	}
	writeText(w, http.StatusOK, fmt.Sprintf("demoapp %s %s commit=%s\n", a.opts.Version, runtime.Version(), commit))
	return nil
}

func wantsJSON(r *http.Request, v param.Values) bool {
	if v.Given("format") {
		return v.Text("format") == "json"
	}
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

func (a *app) serveIndex(w http.ResponseWriter, _ *http.Request, _ param.Values) error {
	var text strings.Builder
	for _, endpoint := range a.routes {
		fmt.Fprintf(&text, "%-13s %s\n", endpoint.path, endpoint.doc)
		for _, spec := range endpoint.params {
			fmt.Fprintf(&text, "  %-11s %s: %s", spec.Name, spec.Doc, spec.Allowed())
			if spec.Default != "" {
				fmt.Fprintf(&text, "; default %s", spec.Default)
			}
			text.WriteByte('\n')
		}
	}
	writeText(w, http.StatusOK, text.String())
	return nil
}
