package metrics

import "time"

// sweepsPerForget is how often the store sweeps by itself within Config.Forget.
const sweepsPerForget = 10

// NodeStatus is what is known of the scrapes of one node.
type NodeStatus struct {
	// LastSuccess and LastAttempt are zero if there was none.
	LastSuccess, LastAttempt time.Time
	// Err is the error of the last attempt; empty after a success.
	Err string
	// Reachable is true if the last attempt succeeded.
	Reachable bool
}

// NodeScraped keeps the outcome of a scrape of the node that ended at the given time; err is nil if it succeeded.
func (s *Store) NodeScraped(node string, at time.Time, err error) {
	s.noteNode(node, at, err)
	// One caller wins the right to sweep; the others go on.
	last := s.swept.Load()
	if last == 0 {
		s.swept.CompareAndSwap(0, at.UnixNano())
		return
	}
	if at.UnixNano()-last > int64(s.config.Forget/sweepsPerForget) && s.swept.CompareAndSwap(last, at.UnixNano()) {
		s.Sweep(at)
	}
}

func (s *Store) noteNode(node string, at time.Time, err error) {
	s.nodesMu.Lock()
	defer s.nodesMu.Unlock()
	n := s.nodes[node]
	n.LastAttempt = at
	if n.Reachable = err == nil; n.Reachable {
		n.LastSuccess, n.Err = at, ""
	} else {
		n.Err = err.Error()
	}
	s.nodes[node] = n
}

// Node returns what is known of the node; the zero value if it was never scraped.
func (s *Store) Node(node string) NodeStatus {
	s.nodesMu.RLock()
	defer s.nodesMu.RUnlock()
	return s.nodes[node]
}

// Nodes returns how many nodes are known and how many of them are reachable.
func (s *Store) Nodes() (known, reachable int) {
	s.nodesMu.RLock()
	defer s.nodesMu.RUnlock()
	for _, n := range s.nodes {
		if n.Reachable {
			reachable++
		}
	}
	return len(s.nodes), reachable
}

func (s *Store) sweepNodes(oldest time.Time) {
	s.nodesMu.Lock()
	defer s.nodesMu.Unlock()
	for name, n := range s.nodes {
		if n.LastAttempt.Before(oldest) {
			delete(s.nodes, name)
		}
	}
}
