package loki

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Trouble says in one word why there is no window.
type Trouble string

// The troubles.
const (
	Absent    Trouble = "Absent"    // nobody listens there, or the name is not known
	Slow      Trouble = "Slow"      // no answer in time
	Throttled Trouble = "Throttled" // 429: it asks for peace
	Broken    Trouble = "Broken"    // 5xx, or an answer that is none of Loki's
	Denied    Trouble = "Denied"    // 401 or 403: credentials or tenant
	Refused   Trouble = "Refused"   // any other 4xx: Loki cannot run the query
	Unlabeled Trouble = "Unlabeled" // Loki has no such label: the configured names are not those of the agent
)

// Error is why there is no window.
type Error struct {
	Trouble Trouble
	// Status of the answer; 0: there was none.
	Status int
	// After is how long Loki wants to be left alone; 0: it did not say.
	After time.Duration
	// Message is a plain sentence of its own, without credentials.
	Message string
	// Err is what lies below; nil for none.
	Err error
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Message }

// Unwrap returns what lies below.
func (e *Error) Unwrap() error { return e.Err }

const (
	// rest is how long a Loki that does not answer, or not well, is left alone: with the usual ten to twenty replicas of a
	// failing workload all but the first capture go without it.
	rest = 5 * time.Second
	// longestRest bounds what a Retry-After may ask for.
	longestRest = 5 * time.Minute
	// maxQuote bounds what is told of an answer's body.
	maxQuote = 200
)

// ofTransport classifies an error of a request that got no answer.
func ofTransport(err error, timeout time.Duration) *Error {
	var lookup *net.DNSError
	var timed interface{ Timeout() bool }
	var dial *net.OpError
	switch {
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return &Error{Trouble: Absent, Message: "Loki is not there: no such host " + lookup.Name, Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timed) && timed.Timeout():
		return &Error{Trouble: Slow, Message: fmt.Sprintf("Loki did not answer within %s", timeout), Err: err}
	case errors.As(err, &dial) && dial.Op == "dial":
		return &Error{Trouble: Absent, Message: "Loki is not there: " + dial.Err.Error(), Err: err}
	default:
		return &Error{Trouble: Broken, Message: "Loki could not be asked: " + quote(err.Error()), Err: err}
	}
}

// ofStatus classifies an answer that is no success.
func ofStatus(res *http.Response, body []byte, now time.Time) *Error {
	said := quote(string(body))
	e := &Error{Status: res.StatusCode}
	switch code := res.StatusCode; {
	case code == http.StatusTooManyRequests:
		e.Trouble, e.After = Throttled, retryAfter(res.Header.Get("Retry-After"), now)
		e.Message = "Loki answers too many requests (429)"
		if e.After > 0 {
			e.Message += fmt.Sprintf(" and asks for %s of peace", e.After)
		}
	case code >= 500:
		e.Trouble, e.Message = Broken, fmt.Sprintf("Loki answers %d: %s", code, said)
		e.After = retryAfter(res.Header.Get("Retry-After"), now)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Trouble, e.Message = Denied, fmt.Sprintf("Loki denies access (%d): %s; see tenant and credentials in logs.loki", code, said)
	case code == http.StatusNotFound:
		e.Trouble, e.Message = Refused, "there is no Loki at logs.loki.url: it answers 404 to /loki/api/v1"
	default:
		e.Trouble, e.Message = Refused, fmt.Sprintf("Loki refuses the query (%d): %s", code, said)
	}
	return e
}

// retryAfter reads the header: seconds or a date; 0 where it says nothing that can be read.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if s, err := strconv.Atoi(v); err == nil && s >= 0 {
		return min(time.Duration(min(s, 3600))*time.Second, longestRest)
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return min(at.Sub(now).Round(time.Second), longestRest)
	}
	return 0
}

// quote makes a foreign text short and one line.
func quote(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if s == "" {
		return "it says nothing"
	}
	if len(s) > maxQuote {
		s = strings.ToValidUTF8(s[:maxQuote], "") + "…"
	}
	return s
}
