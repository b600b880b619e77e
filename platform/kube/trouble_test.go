package kube

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

func TestWatchesThatFailAreTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContact(time.Now())
		var links []*link
		for _, name := range []string{"pods", "nodes", "services", "jobs"} {
			links = append(links, c.link(name, time.Now()))
		}
		var open []watch.Interface
		reopen := func() {
			for _, l := range links {
				open = append(open, l.follow(watch.NewFake(), metav1.ListOptions{}))
			}
		}
		fail := func(n int, err error) {
			for _, l := range links[:n] {
				l.failed(err)
				l.failed(err) // told twice
			}
		}
		check := func(what, want string) {
			t.Helper()
			if got := c.trouble(time.Now()); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s: trouble is %q, want %q", what, got, want)
			}
		}
		reopen()
		check("all open", "")
		fail(4, errors.New("EOF"))
		check("none is open", "4 of 4 watches on the API server failed in the last 30 s, such as pods: EOF")
		reopen()
		check("each failed once and is open again", "")
		time.Sleep(5 * time.Second)
		fail(2, errors.New("etcdserver: request timed out"))
		check("two fail", "")
		fail(3, errors.New("etcdserver: request timed out"))
		check("three fail", "3 of 4 watches")
		time.Sleep(time.Second)
		reopen()
		check("they are open, and failed twice", "3 of 4 watches")
		time.Sleep(30 * time.Second)
		check("long ago", "")
		for _, err := range []error{
			apierrors.NewResourceExpired("too old resource version"), apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil),
			apierrors.NewBadRequest("sendInitialEvents is not supported"),
		} {
			fail(4, err)
			check(err.Error(), "")
			time.Sleep(time.Second)
		}
		fail(4, apierrors.NewTooManyRequests("slow down", 1))
		check("it has too much to do", "4 of 4 watches")
		for _, w := range open {
			w.Stop()
		}
	})
}

func TestAServerThatIsSilentIsTrouble(t *testing.T) {
	c, now := newContact(time.Now()), time.Now()
	c.answered(now, errors.New("no route to host"))
	if got := c.trouble(now.Add(awayFor - time.Second)); got != "" {
		t.Errorf("after one question without an answer: %q", got)
	}
	c.answered(now.Add(probePeriod), errors.New("no route to host"))
	if got := c.trouble(now.Add(awayFor)); !strings.Contains(got, "has not answered since") || !strings.Contains(got, "no route") {
		t.Errorf("trouble is %q", got)
	}
	c.answered(now.Add(awayFor), nil)
	if got := c.trouble(now.Add(awayFor)); got != "" {
		t.Errorf("it answers again: %q", got)
	}
}

func TestRequestsThatFailAreTrouble(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		good, bad int
		later     time.Duration
		want      string
	}{
		"none":                       {},
		"four":                       {bad: 4},
		"five":                       {bad: 5, want: "5 of 5 requests to the API server failed in the last 30 s, the last with 503"},
		"half of them":               {good: 5, bad: 5, want: "5 of 10 requests"},
		"fewer than half":            {good: 6, bad: 5},
		"of 20 s ago":                {bad: 9, later: 20 * time.Second, want: "9 of 9"},
		"of a while ago":             {bad: 9, later: 31 * time.Second},
		"of exactly one round later": {bad: 9, later: troubleFor},
	} {
		var r requests
		for range tc.good {
			r.note(now, "")
		}
		for range tc.bad {
			r.note(now, "503")
		}
		if got := r.trouble(now.Add(tc.later)); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%s: trouble is %q, want %q", name, got, tc.want)
		}
	}
}

func TestWhichAnswersCount(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("answer") {
		case "403":
			w.WriteHeader(http.StatusForbidden)
		case "409":
			w.WriteHeader(http.StatusConflict)
		case "429":
			w.WriteHeader(http.StatusTooManyRequests)
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "cut":
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	for query, counts := range map[string]bool{
		"/api/v1/pods?answer=500": true, "/api/v1/pods?answer=429": true, "/api/v1/pods?answer=cut": true,
		"/api/v1/pods?answer=200": false, "/api/v1/pods?answer=403": false, "/api/v1/pods?answer=409": false,
		"/api/v1/namespaces/a/pods/b/log?answer=500": false, "/api/v1/namespaces/a/pods/b/eviction?answer=429": false,
		"/api/v1/namespaces/a/pods/b:6060/proxy/debug?answer=500": false, "/apis/custom.metrics.k8s.io/v1beta2/x?answer=500": false,
		"/readyz?answer=500": false,
	} {
		var r requests
		transport := &http.Transport{}
		client := &http.Client{Transport: r.wrap(transport)}
		for range troubledRequests {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		client.CloseIdleConnections()
		if got := r.trouble(time.Now()); (got != "") != counts {
			t.Errorf("%s: trouble is %q, want some: %v", query, got, counts)
		}
	}
	var r requests
	client := &http.Client{Transport: r.wrap(&http.Transport{})}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range troubledRequests {
		req, err := http.NewRequestWithContext(gone, http.MethodGet, server.URL+"/api/v1/pods", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}
	if got := r.trouble(time.Now()); got != "" {
		t.Errorf("requests that nobody waits for: %q", got)
	}
}

func TestTroubleIsToldAndPasses(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	if got := p.Trouble(time.Now()); got != "" {
		t.Fatalf("trouble at the start: %s", got)
	}
	w.SetDown(true)
	until(t, "there is trouble", func() bool { return p.Trouble(time.Now()) != "" })
	w.SetDown(false)
	until(t, "the view is fresh", func() bool { return p.Snapshot(time.Now()).Stale < probePeriod+probeTimeout })
	if got := p.Trouble(time.Now().Add(2 * troubleFor)); got != "" {
		t.Errorf("a minute later: %s", got)
	}
}
