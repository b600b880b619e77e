package loki

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// resting returns why Loki is left alone just now, nil where it may be asked.
func (r *Reader) resting() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.until.Sub(r.opts.Now())
	if r.why == nil || left <= 0 {
		return nil
	}
	e := *r.why
	e.After = left
	e.Message = fmt.Sprintf("%s (it is asked again in %s)", e.Message, left.Round(time.Second))
	return &e
}

// remember lets Loki rest after an answer that asks for it, or after none.
func (r *Reader) remember(e *Error) {
	var pause time.Duration
	switch e.Trouble {
	case Throttled, Broken, Absent, Slow:
		pause = max(e.After, rest)
	case Denied, Refused, Unlabeled: // the next query may be a better one
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if until := r.opts.Now().Add(pause); until.After(r.until) {
		r.until, r.why = until, e
	}
}

// pageSize is how many lines to ask for where so many are wanted.
func (r *Reader) pageSize(wanted int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(max(wanted, 1), r.page)
}

// shrink reports whether the error is Loki's limit of lines at once and a smaller page may be tried, which is kept for later.
func (r *Reader) shrink(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != 400 || !strings.Contains(e.Message, "max entries limit") {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.page <= smallPage {
		return false
	}
	r.page = smallPage
	return true
}
