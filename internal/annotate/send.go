package annotate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 64 << 10

// annotation is one of Grafana's, as its HTTP API has them: times are milliseconds since 1970.
type annotation struct {
	ID      int64    `json:"id,omitempty"`
	Time    int64    `json:"time"`
	TimeEnd int64    `json:"timeEnd,omitempty"`
	Text    string   `json:"text"`
	Tags    []string `json:"tags"`
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	after  time.Duration // that Grafana asks to wait; 0: it does not say
	says   string
}

// Error says what Grafana answered.
func (r *refusal) Error() string {
	return fmt.Sprintf("grafana answers %d %s: %s", r.status, http.StatusText(r.status), r.says)
}

// sender sends notes in their order. It belongs to one goroutine.
type sender struct {
	*Annotations
	client *http.Client
	// ids of the annotations of incidents that last.
	ids map[string]int64
	// failing is true while Grafana takes nothing.
	failing bool
}

// Run sends until ctx is done, and then what waits, for Options.Grace at most and each once; what is left is dropped and counted. Call it once.
func (a *Annotations) Run(ctx context.Context) {
	s := &sender{Annotations: a, ids: map[string]int64{}, client: &http.Client{
		Transport: a.options.Transport, Timeout: a.options.Timeout,
		// A redirect would turn a POST into a GET, and may lead the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	// What is under way when ctx ends is not cut off: whether Grafana has written it would not be known.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(a.options.Grace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel()
		case <-work.Done():
		}
	})
	defer stop()

	var rest []note
	for ctx.Err() == nil {
		select {
		case n := <-a.queue:
			if !s.send(ctx, work, &n) {
				rest = append(rest, n)
			}
		case <-ctx.Done():
		}
	}
	for len(a.queue) > 0 {
		rest = append(rest, <-a.queue)
	}
	for i := range rest {
		if work.Err() != nil || s.write(work, &rest[i]) != nil {
			a.dropped.Add(1)
		}
	}
}

// send tries a few times, and reports false where ctx ended before the note was written or given up. The requests are made with work.
func (s *sender) send(ctx, work context.Context, n *note) bool {
	pause := s.options.Backoff
	for try := 1; ; try++ {
		err := s.write(work, n)
		if err == nil {
			if s.failing {
				s.options.Log.InfoContext(ctx, "grafana takes annotations again")
			}
			s.failing = false
			return true
		}
		after, again := retry(err)
		if !again || try == tries {
			s.giveUp(ctx, err)
			return true
		}
		wait := time.NewTimer(max(pause, after))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return false
		}
		pause = min(2*pause, maxBackoff)
	}
}

func (s *sender) giveUp(ctx context.Context, err error) {
	s.dropped.Add(1)
	if !s.failing {
		s.options.Log.WarnContext(ctx, "annotation dropped, and so are others until grafana takes them", "error", err)
	}
	s.failing = true
}

// retry reports whether it may go better later, and how long Grafana asks to wait, maxBackoff at most.
func retry(err error) (after time.Duration, again bool) {
	var r *refusal
	if !errors.As(err, &r) {
		return 0, true // no answer
	}
	return min(r.after, maxBackoff), r.status == http.StatusTooManyRequests || r.status >= http.StatusInternalServerError
}

// write makes the annotation of the note, or ends that of its incident.
func (s *sender) write(ctx context.Context, n *note) error {
	body := annotation{Time: n.from.UnixMilli(), Text: text(n.text), Tags: n.tags}
	if !n.to.IsZero() {
		body.TimeEnd = max(n.to.UnixMilli(), body.Time)
	}
	if n.incident == "" {
		return s.call(ctx, http.MethodPost, s.options.URL, body, nil)
	}
	id, err := s.find(ctx, n.incident)
	if err != nil {
		return err
	}
	switch {
	case id == 0:
		var made annotation
		if err := s.call(ctx, http.MethodPost, s.options.URL, body, &made); err != nil {
			return err
		}
		id = made.ID
	case !n.to.IsZero():
		if err := s.call(ctx, http.MethodPatch, s.options.URL+"/"+strconv.FormatInt(id, 10), body, nil); err != nil {
			return s.missing(err, n.incident)
		}
	}
	if !n.to.IsZero() || id == 0 {
		delete(s.ids, n.incident)
		return nil
	}
	if len(s.ids) >= maxRemembered {
		clear(s.ids)
	}
	s.ids[n.incident] = id
	return nil
}

// missing forgets an annotation that somebody has deleted: that is theirs to do, and it is not made again.
func (s *sender) missing(err error, incident string) error {
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusNotFound {
		delete(s.ids, incident)
		return nil
	}
	return err
}

// find returns the id of the incident's annotation, 0 where there is none. One that an earlier process made is asked for, so that an incident
// never has two.
func (s *sender) find(ctx context.Context, incident string) (int64, error) {
	if id, known := s.ids[incident]; known {
		return id, nil
	}
	query := url.Values{"type": {"annotation"}, "limit": {"1"}, "tags": {Tag, ofIncident, tag("id", incident)}}
	var found []annotation
	if err := s.call(ctx, http.MethodGet, s.options.URL+"?"+query.Encode(), nil, &found); err != nil || len(found) == 0 {
		return 0, err
	}
	return found[0].ID, nil
}

// call sends one request; body and out may be nil. No error holds the token.
func (s *sender) call(ctx context.Context, method, address string, body, out any) error {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode annotation: %w", err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, payload)
	if err != nil {
		return fmt.Errorf("request annotation: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if s.options.TokenFile != "" {
		token, err := os.ReadFile(s.options.TokenFile)
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("call grafana: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date is as none
		return &refusal{status: res.StatusCode, after: time.Duration(seconds) * time.Second, says: head(strings.TrimSpace(string(answer)), 200)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// text is what the annotation says. Grafana shows it as HTML, and causes quote logs.
func text(s string) string { return html.EscapeString(head(s, maxText)) }

// tag returns key:value, a value that is too long for Grafana cut and made unique again by a hash.
func tag(key, value string) string {
	if len(value) > maxTag {
		sum := sha256.Sum256([]byte(value))
		value = head(value, maxTag-13) + "-" + hex.EncodeToString(sum[:6])
	}
	return key + ":" + value
}

// head returns at most the first n bytes, whole characters.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
