package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fetch scrapes a server once, as the poller does.
func fetch(t *testing.T, url string) (*Scraper, error) {
	t.Helper()
	s, err := New(Config{Period: 10 * time.Second, MaxBodyBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.CloseIdleConnections)
	at := target("a")
	at.URL = url
	s.Want(time.Now(), at)
	s.Value(pod("a"), "queue", nil, time.Now())
	_, err = s.scrape(t.Context(), at)
	return s, err
}

func TestScrapeOfAServer(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "queue 4\n") }
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string // empty: it is read
	}{
		{"a page", page, ""},
		{"that asks what is accepted", func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Header.Get("Accept"), "text/plain;version=0.0.4") || r.Header.Get("Authorization") != "" {
				w.WriteHeader(http.StatusNotAcceptable)
			}
			page(w, r)
		}, ""},
		{"no such page", http.NotFound, "it answers with status 404"},
		{"a redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "it answers with status 302"},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("# x\n", 2000))
		}, "it is larger than maxBodyBytes, 4096 bytes"},
		{"too large, and of a length that is not told", func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				_, _ = io.WriteString(w, strings.Repeat("# x\n", 500))
				_ = http.NewResponseController(w).Flush()
			}
		}, "it is larger than maxBodyBytes, 4096 bytes"},
		{"a header without an end", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaderBytes))
			page(w, r)
		}, "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted"},
		{"another kind of page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
		}, `the content type is "application/json", allowed is text/plain or application/openmetrics-text`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, secure := range []bool{false, true} {
				server := httptest.NewUnstartedServer(tt.answer)
				server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
				if server.Start(); secure {
					server.Close()
					server = httptest.NewTLSServer(tt.answer)
				}
				s, err := fetch(t, server.URL)
				said := ""
				if err != nil {
					said = err.Error()
				}
				if said != tt.want {
					t.Errorf("error is %q, want %q", said, tt.want)
				}
				if v := s.Value(pod("a"), "queue", nil, time.Now()); tt.want == "" && v.Milli != 4000 {
					t.Errorf("value is %+v, want 4", v)
				}
				s.client.CloseIdleConnections()
				server.Close()
			}
		})
	}
}

func TestScrapeOfNoServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if _, err := fetch(t, server.URL); err == nil || !strings.HasPrefix(err.Error(), "dial tcp ") || !strings.HasSuffix(err.Error(), "connection refused") {
		t.Errorf("error is %v", err)
	}
	if _, err := fetch(t, "http://[::1"); err == nil {
		t.Error("an address that cannot be is no error")
	}
}

func TestAClockThatGoesBackStopsTheUsageForTheSpanOnly(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	one := target("a")
	p := s.admit(&one)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	cpu := 0.0
	for second := range 20 {
		if second == 10 {
			at = at.Add(-time.Hour)
		}
		at, cpu = at.Add(time.Second), cpu+0.5
		if err := p.read(fmt.Appendf(make([]byte, 0, 64), "process_cpu_seconds_total %g\n", cpu), "text/plain", at, s.config.RateSpan); err != nil {
			t.Fatal(err)
		}
	}
	if u, ok := s.CPU(pod("a"), one.Container, at); !ok || !u.OK() || u.CPUMilli != 500 {
		t.Errorf("usage is %+v, want half a core", u)
	}
}
