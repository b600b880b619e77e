package kubelet

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTokenIsReadAgainAsItRotates(t *testing.T) {
	valid := "token-1"
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer "+valid {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		servePage(w, req)
	})
	visit := r.visits(t)
	if err := visit(); err != nil {
		t.Fatal(err)
	}
	valid = "token-2"
	writeFile(t, r.tokenFile, valid)
	if err := visit(); err != nil {
		t.Errorf("after the rotation the error is %v", err)
	}
	if n := r.viaAPI.Load(); n != 0 {
		t.Errorf("%d requests went through the API server: the new token was not used", n)
	}
	// A file that is gone for a moment does not matter while the token at hand is good.
	if err := os.Remove(r.tokenFile); err != nil {
		t.Fatal(err)
	}
	if err := visit(); err != nil || r.viaAPI.Load() != 0 {
		t.Errorf("without the file the error is %v, with %d requests through the API server", err, r.viaAPI.Load())
	}
}

func TestTokenIsReadAgainAfterAMinute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path, "one")
	tf := &tokenFile{path: path}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	steps := []struct {
		after time.Duration
		file  string
		want  string
	}{{0, "one", "one"}, {30 * time.Second, "two", "one"}, {61 * time.Second, "two", "two"}, {200 * time.Second, "", "two"}}
	for _, s := range steps {
		writeFile(t, path, s.file)
		if got, err := tf.get(now.Add(s.after)); err != nil || got != s.want {
			t.Errorf("after %v the token is %q with error %v, want %q", s.after, got, err, s.want)
		}
	}
}

func TestFallbackToTheAPIServer(t *testing.T) {
	refused := func(_ *testing.T, r *rig) { r.kubelet.Close() }
	tests := []struct {
		name    string
		prepare func(t *testing.T, r *rig)
		status  int // of the kubelet
		class   Class
	}{
		{name: "refused", prepare: refused, class: ClassRefused},
		{name: "certificate of another CA", class: ClassTLS, prepare: func(t *testing.T, r *rig) {
			t.Helper()
			writeFile(t, r.config.CAFile, string(readFile(t, "other-ca.pem")))
		}},
		{name: "certificate of another address", class: ClassTLS, prepare: func(t *testing.T, r *rig) {
			t.Helper()
			r.node.Address = "localhost" // the same server, but not in its certificate
		}},
		{name: "not accepted", status: http.StatusUnauthorized, class: ClassUnauthorized},
		{name: "not allowed", status: http.StatusForbidden, class: ClassForbidden},
		{name: "redirected", status: http.StatusFound, class: ClassStatus},
		{name: "broken", status: http.StatusInternalServerError, class: ClassStatus},
		{name: "no address", prepare: func(_ *testing.T, r *rig) { r.node.Address = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				asked++
				if tt.status != 0 {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(tt.status)
					return
				}
				servePage(w, req)
			})
			if tt.prepare != nil {
				tt.prepare(t, r)
			}
			r.config.OOMEvents = false
			visit := r.visits(t)
			for range 3 {
				if err := visit(); err != nil {
					t.Fatalf("error is %v, want the proxy's page", err)
				}
			}
			if n := r.viaAPI.Load(); n != 3 || asked > 1 {
				t.Errorf("%d pages came through the API server, want 3; the kubelet was asked %d times, want once", n, asked)
			}
			if _, ok := r.rec.samples[appKey]; !ok {
				t.Error("no sample came through the API server")
			}
			if tt.class == "" {
				return
			}
			r.api.Close() // now both ways fail, and the error has both
			r.rec.scraped = map[string][]error{}
			err := visit()
			if ClassOf(err) != tt.class {
				t.Errorf("class is %q, want %q: %v", ClassOf(err), tt.class, err)
			}
			if err == nil || !strings.HasPrefix(err.Error(), "scrape node n1: proxy: Refused: ") || !strings.Contains(err.Error(), "; direct: "+string(tt.class)) {
				t.Errorf("error is %v, want one that names the node and both ways", err)
			}
		})
	}
}

func TestTheDirectWayIsTriedAgainAfterAWhile(t *testing.T) {
	healthy := false
	asked := 0
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		asked++
		if !healthy {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		servePage(w, req)
	})
	r.config.OOMEvents = false
	s := r.scraper(t)
	tg := &target{node: r.node, parser: NewParser()}
	var b buffers
	visit := func() { s.visit(t.Context(), tg, &b) }
	visit()
	visit()
	if asked != 1 || r.viaAPI.Load() != 2 {
		t.Fatalf("asked the kubelet %d and the API server %d times, want 1 and 2", asked, r.viaAPI.Load())
	}
	if ways := s.ways(tg, time.Now().Add(s.config.PathMemory-time.Second)); ways[0] != PathProxy {
		t.Errorf("the way is forgotten too early: %v", ways)
	}
	if ways := s.ways(tg, time.Now().Add(s.config.PathMemory+time.Second)); ways[0] != PathDirect {
		t.Errorf("the direct way is never tried again: %v", ways)
	}
	healthy, tg.viaProxy = true, time.Now() // the while is over
	visit()
	visit()
	if asked != 3 || r.viaAPI.Load() != 2 {
		t.Errorf("asked the kubelet %d and the API server %d times, want 3 and 2", asked, r.viaAPI.Load())
	}
}
