package app

import (
	"sync"
	"time"
)

// lease remembers since when this process acts, and who leads. The zero value does not act. Safe for concurrent use.
type lease struct {
	mu sync.Mutex
	at time.Time
	id string
}

func (l *lease) begin(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = now
}

func (l *lease) end() { l.begin(time.Time{}) }

// since returns when this process began to act; zero: it does not.
func (l *lease) since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// led remembers who leads.
func (l *lease) led(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = id
}

// leader returns who leads; empty: that is not known.
func (l *lease) leader() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}
