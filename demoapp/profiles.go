package demoapp

import (
	"fmt"
	"net/http"
	"runtime/pprof"

	"github.com/homeostat/homeostat/demoapp/internal/param"
)

// profileRoutes are those of net/http/pprof that tell what a process holds on to, under the same paths. That package is not used
// because it takes paths in the default mux of whatever program imports it.
func profileRoutes() []route {
	form := param.Set{{Name: "debug", Kind: param.Integer, Default: "0", Min: 0, Max: 2, Doc: "0 for go tool pprof, 1 or 2 for text"}}
	return []route{
		{path: "/debug/pprof/goroutine", doc: "stacks of all goroutines", params: form, serve: serveProfile("goroutine")},
		{path: "/debug/pprof/heap", doc: "profile of the memory in use", params: form, serve: serveProfile("heap")},
	}
}

func serveProfile(name string) func(http.ResponseWriter, *http.Request, param.Values) error {
	return func(w http.ResponseWriter, _ *http.Request, v param.Values) error {
		kind := "text/plain; charset=utf-8"
		if v.Int("debug") == 0 {
			kind = "application/octet-stream"
		}
		w.Header().Set("Content-Type", kind)
		if err := pprof.Lookup(name).WriteTo(w, v.Int("debug")); err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
		return nil
	}
}
