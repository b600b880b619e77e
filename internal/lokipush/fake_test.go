package lokipush

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
)

// store is a Loki that takes pushes and has them in the order in which they came. While answer is not 0 it takes nothing and answers that.
type store struct {
	t *testing.T

	mu       sync.Mutex
	answer   int
	refused  int // requests that were answered with answer
	tenant   string
	labels   map[string]int
	entries  []push.Entry
	requests int
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path != "/loki/api/v1/push" {
		http.NotFound(w, r)
		return
	}
	s.requests++
	if s.answer != 0 {
		s.refused++
		http.Error(w, "not now", s.answer)
		return
	}
	compressed, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("read push: %v", err)
	}
	raw, err := snappy.Decode(nil, compressed)
	if err != nil {
		s.t.Errorf("decode push: %v", err)
	}
	var req push.PushRequest
	if err := req.Unmarshal(raw); err != nil {
		s.t.Errorf("decode push: %v", err)
	}
	if s.labels == nil {
		s.labels = map[string]int{}
	}
	s.tenant = r.Header.Get("X-Scope-OrgID")
	for _, one := range req.Streams {
		s.labels[one.Labels] += len(one.Entries)
		s.entries = append(s.entries, one.Entries...)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *store) set(answer int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.refused = answer, 0
}

func (s *store) refusals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

func (s *store) got() []push.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

func (s *store) streams() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.labels)
}
