package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/demoapp/load"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	lookEvery = 200 * time.Millisecond
	// lookTimeout is below the patience of any chapter, so that one answer that is lost does not end the story.
	lookTimeout    = 5 * time.Second
	requestTimeout = 5 * time.Second
)

// Options of a story. Stage and Out are required.
type Options struct {
	Stage  Stage
	Script Script
	Out    io.Writer
	// Colour paints the lines with terminal codes.
	Colour bool
	// Keep goes on watching after the story until ctx is done.
	Keep bool
	// Intro is said first, and Look, commands to go on with, in the end.
	Intro, Look []string
}

// play is a story that is being told.
type play struct {
	stage  Stage
	script Script
	out    *printer
	watch  *watcher
	start  time.Time

	view View  // the last one
	err  error // of the last look, nil where it worked

	began, ended time.Time // of what the chapter measures; ended is zero until it has
	sending      *sending  // nil while no requests are sent
	sent         load.Summary
	rows         []row
}

// Run tells the story and returns nil if all of it happened. The error says which chapter did not happen in time and
// what was seen last, or that ctx ended it. Nothing of the story goes on when it returns.
func Run(ctx context.Context, o Options) error {
	p := &play{
		stage: o.Stage, script: o.Script, out: &printer{w: o.Out, colour: o.Colour}, watch: newWatcher(), start: time.Now(),
	}
	for _, s := range o.Intro {
		p.out.printf("%s\n", s)
	}
	var failed error
	for i, c := range chapters(o.Script) {
		if failed = p.tell(ctx, i+1, c); failed != nil {
			break
		}
	}
	p.out.table(p.rows)
	if ctx.Err() == nil && len(o.Look) > 0 {
		p.out.printf("\n%s\n", p.out.paint("1", "Where to look next"))
		for _, s := range o.Look {
			p.out.printf("  %s\n", s)
		}
	}
	if o.Keep && ctx.Err() == nil {
		p.out.printf("\nLeft running at %s; Ctrl-C ends it.\n\n", o.Stage.Traffic().URL)
		for p.pause(ctx) == nil {
			p.look(ctx)
		}
	}
	return errors.Join(failed, p.out.err)
}

// tell plays one chapter and adds its row to the table.
func (p *play) tell(ctx context.Context, n int, c chapter) error {
	p.out.title(n, c.title, c.about)
	within, cancel := context.WithTimeout(ctx, p.script.Patience)
	defer cancel()
	p.began, p.ended, p.sent = time.Now(), time.Time{}, load.Summary{}
	err := c.play(within, p)
	if p.ended.IsZero() {
		p.ended = time.Now()
	}
	p.quiet()
	if p.sent.Sent > 0 {
		p.say(line{subject: "traffic", text: traffic(p.sent)})
	}
	r := row{what: c.what, seconds: p.ended.Sub(p.began).Seconds(), sent: p.sent.Sent, failed: p.sent.Failed}
	var late *unseenError
	switch {
	case err == nil:
		p.out.outcome(p.since(), true, fmt.Sprintf("%s: %.1f s, %d requests, %d failed", c.what, r.seconds, r.sent, r.failed))
	case ctx.Err() != nil:
		r.failure, err = "interrupted", fmt.Errorf("interrupted in chapter %d (%s)", n, c.title)
	case errors.As(err, &late):
		r.failure = "did not happen"
		err = fmt.Errorf("chapter %d (%s) did not happen within %s: waited for %w", n, c.title, p.script.Patience, late)
		p.out.outcome(p.since(), false, fmt.Sprintf("%s: waited for %v", c.what, late))
	default:
		r.failure = "failed"
		err = fmt.Errorf("chapter %d (%s): %w", n, c.title, err)
		p.out.outcome(p.since(), false, err.Error())
	}
	p.rows = append(p.rows, r)
	return err
}

func (p *play) since() time.Duration { return time.Since(p.start) }

func (p *play) say(l line) { p.out.event(p.since(), l) }

// look takes a view and tells what is new in it.
func (p *play) look(ctx context.Context) {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	v, err := p.stage.Look(looking)
	if err != nil {
		if ctx.Err() == nil {
			p.err = err
		}
		return
	}
	p.view, p.err = v, nil
	for _, l := range p.watch.see(v) {
		p.say(l)
	}
}

// pause waits until the next look is due.
func (p *play) pause(ctx context.Context) error {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
}

// until looks until done is true; what it waits for is named in the error where ctx ends first.
func (p *play) until(ctx context.Context, what string, done func(v *View) bool) error {
	for {
		p.look(ctx)
		if p.err == nil && done(&p.view) {
			return nil
		}
		if p.pause(ctx) != nil {
			return &unseenError{what: what, seen: p.seen()}
		}
	}
}

// linger goes on looking for that long.
func (p *play) linger(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	return p.until(ctx, "the end of a pause", func(*View) bool { return !time.Now().Before(end) })
}

// from and to bound what the chapter measures.
func (p *play) from() { p.began = time.Now() }
func (p *play) to()   { p.ended = time.Now() }

// seen words the last view for somebody who has to find out why something did not happen.
func (p *play) seen() string {
	v := &p.view
	parts := []string{fmt.Sprintf("%d of %d replicas ready", v.ready(), v.Desired)}
	for i := range v.Replicas {
		r := &v.Replicas[i]
		c := container(r)
		s := fmt.Sprintf("%s %s", r.Name, strings.ToLower(string(c.State)))
		switch {
		case r.Deleting():
			s += ", ending"
		case !r.Ready:
			s += ", not ready"
			if r.ReadyMessage != "" {
				s += " (" + r.ReadyMessage + ")"
			}
		}
		parts = append(parts, s)
	}
	for i := range v.Incidents {
		if in := &v.Incidents[i]; in.State.Active() {
			parts = append(parts, fmt.Sprintf("incident %s %s: %s", in.Name, in.State, in.Message))
		}
	}
	if d := v.Autoscaler.Decision; d != nil {
		parts = append(parts, "autoscaler: "+d.Message)
	}
	if p.err != nil {
		parts = append(parts, "the last look failed: "+p.err.Error())
	}
	return strings.Join(parts, "; ")
}

// unseenError is an event that was waited for in vain.
type unseenError struct{ what, seen string }

func (e *unseenError) Error() string { return e.what + "; last seen: " + e.seen }

// victim returns the ready replica that was restarted least; the first of several.
func (p *play) victim() (cluster.Replica, error) {
	var found *cluster.Replica
	for i := range p.view.Replicas {
		r := &p.view.Replicas[i]
		if r.Ready && !r.Deleting() && (found == nil || container(r).Restarts < container(found).Restarts) {
			found = r
		}
	}
	if found == nil {
		return cluster.Replica{}, errors.New("no replica is ready: " + p.seen())
	}
	return *found, nil
}

// fresh returns the first incident of that kind that was not in the view before.
func fresh(before, v *View, k incident.Kind) *incident.Incident {
	for i := range v.Incidents {
		in := &v.Incidents[i]
		known := slices.ContainsFunc(before.Incidents, func(old incident.Incident) bool { return old.Name == in.Name })
		if !known && in.Kind == k {
			return in
		}
	}
	return nil
}

// ask sends the request for a failure, and says so.
func (p *play) ask(ctx context.Context, r *cluster.Replica, path string) error {
	p.say(line{subject: "demo", text: "asks " + r.Name + " for " + path, tone: acted})
	asking, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return p.stage.Ask(asking, r.Name, path) //nolint:wrapcheck // it names replica and path
}

// get returns the body of an answer; one of 400 or more is an error that says what the answer says.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	const most = 64 << 10
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names method and URL
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("get %s: %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

// sending is requests that are being sent.
type sending struct {
	stop   context.CancelFunc
	result chan load.Summary
}

// send has requests sent at the rate until quiet is called, instead of those that are sent now.
func (p *play) send(ctx context.Context, path string, rate float64) error {
	p.quiet()
	t := p.stage.Traffic()
	o := load.DefaultOptions()
	o.URL, o.Path, o.Rate, o.Duration, o.Timeout, o.Transport = t.URL, path, rate, 0, requestTimeout, t.Transport
	if err := o.Validate(); err != nil {
		return fmt.Errorf("send requests: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	s := &sending{stop: stop, result: make(chan load.Summary, 1)}
	go func() {
		sum, err := load.Run(ctx, o)
		if err != nil { // the options were checked: it cannot be
			sum = load.Summary{}
		}
		s.result <- sum
	}()
	p.sending = s
	return nil
}

// quiet ends what is being sent, waits for the answers that are still due, and counts them.
func (p *play) quiet() {
	if p.sending == nil {
		return
	}
	p.sending.stop()
	sum := <-p.sending.result
	p.sending = nil
	p.sent.Sent += sum.Sent
	p.sent.Failed += sum.Failed
	p.sent.Errors = added(p.sent.Errors, sum.Errors)
	p.sent.Hostnames = added(p.sent.Hostnames, sum.Hostnames)
}

func added(a, b map[string]int64) map[string]int64 {
	if a == nil {
		a = map[string]int64{}
	}
	for k, n := range b {
		a[k] += n
	}
	return a
}

// traffic words what was sent: how many requests, why some failed, who answered.
func traffic(s load.Summary) string {
	text := fmt.Sprintf("%d requests, %d failed", s.Sent, s.Failed)
	var why, who []string
	for _, kind := range slices.Sorted(maps.Keys(s.Errors)) {
		why = append(why, fmt.Sprintf("%s ×%d", kind, s.Errors[kind]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Hostnames)) {
		if !strings.HasPrefix(name, "(") { // the answer of no replica, but of what is in front of it
			who = append(who, fmt.Sprintf("%s %d", name, s.Hostnames[name]))
		}
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, ", ") + ")"
	}
	if len(who) > 0 {
		text += "; answers from " + strings.Join(who, ", ")
	}
	return text
}
