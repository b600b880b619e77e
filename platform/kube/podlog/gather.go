package podlog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/logs"
)

const (
	// The window of a death: what is older than that is the baseline, an hour of it. Agents that ship logs stamp a line with the
	// time at which they read it, some seconds late.
	windowBefore   = 5 * time.Minute
	windowAfter    = 10 * time.Second
	baselineBefore = time.Hour
	// baselineWait is how long the baselines are waited for once the log itself is there.
	baselineWait = time.Second
	// Bounds of one read of a window or baseline.
	windowLines, windowBytes     = 2000, 1 << 20
	baselineLines, baselineBytes = 1000, 512 << 10
	// storeSkew is how far the store's time of a line may be from the kubelet's.
	storeSkew = time.Minute
)

// errStoreSlow says that the store did not keep to its own bound.
var errStoreSlow = errors.New("no answer")

// gathered is what was found: the dead container's lines, the baselines, and where it comes from or, without lines, why there
// is nothing.
type gathered struct {
	dead, before, siblings []logs.Line
	source, message        string
}

// answer is what one read gave.
type answer struct {
	lines []logs.Line
	err   error
}

// ask reads in the background. The answer waits in the channel, so nobody has to take it.
func ask(read func() ([]logs.Line, error)) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		lines, err := read()
		out <- answer{lines, err}
	}()
	return out
}

// gather reads the kubelet and the store side by side.
func (k *Capturer) gather(ctx context.Context, r *request) gathered {
	if k.window == nil {
		base := k.kubeletBaseline(ctx, r)
		lines, source, err := k.read(ctx, r.workload.Ref.Namespace, r.Capture)
		return k.ofKubelet(ctx, r, base, lines, source, err)
	}
	window := ask(func() ([]logs.Line, error) { return k.window.Window(ctx, r.window()) })
	base := k.storeBaseline(ctx, r)
	lines, source, err := k.read(ctx, r.workload.Ref.Namespace, r.Capture)
	stored := answer{err: errStoreSlow}
	select {
	case stored = <-window:
	case <-ctx.Done():
	}
	dead, why := r.match(stored, lines, k.store)
	if why != "" {
		out := k.ofKubelet(ctx, r, k.kubeletBaseline(ctx, r), lines, source, err)
		out.message += "; " + why
		return out
	}
	source += ", from " + k.store
	if err != nil {
		source = "the window around the death, from " + k.store + ", because " + explain(err)
	}
	earlier, siblings := base.wait(ctx)
	before, dead := r.split(append(earlier, dead...))
	return gathered{dead: dead, before: before, siblings: siblings, source: k.store, message: source}
}

// ofKubelet puts together what the kubelet gave.
func (k *Capturer) ofKubelet(ctx context.Context, r *request, base baseline, lines []logs.Line, source string, err error) gathered {
	out := gathered{source: sourceKubelet, message: source}
	switch {
	case err != nil:
		out.message = explain(err)
		return out
	case !said(lines):
		out.message = "the container wrote nothing"
		return out
	}
	earlier, siblings := base.wait(ctx)
	end := r.at.Add(windowAfter) // a sibling lives on
	out.siblings = slices.DeleteFunc(siblings, func(l logs.Line) bool { return l.At.After(end) })
	var dead []logs.Line
	if first := lines[0].At; !first.IsZero() { // what the last lines do not have
		earlier = slices.DeleteFunc(earlier, func(l logs.Line) bool { return l.At.IsZero() || !l.At.Before(first) })
		out.before, dead = r.split(earlier)
	}
	out.dead = append(dead, lines...)
	return out
}

// window is the query for the log around the death.
func (r *request) window() logs.Query {
	return logs.Query{
		Namespace: r.workload.Ref.Namespace, Replicas: []string{r.Replica}, Container: r.Container,
		From: r.at.Add(-windowBefore), To: r.at.Add(windowAfter), MaxLines: windowLines, MaxBytes: windowBytes,
	}
}

// split parts lines, in any order, at the beginning of the window or of the life that ended, whichever is later.
func (r *request) split(lines []logs.Line) (before, dead []logs.Line) {
	slices.SortStableFunc(lines, func(a, b logs.Line) int { return a.At.Compare(b.At) })
	start := r.at.Add(-windowBefore)
	if r.death != nil && r.death.StartedAt.After(start) {
		start = r.death.StartedAt
	}
	n := slices.IndexFunc(lines, func(l logs.Line) bool { return !l.At.Before(start) })
	if n < 0 {
		n = len(lines)
	}
	return lines[:n:n], lines[n:]
}

// match returns the store's lines of the dead container, or why they do not serve: a store is told every line a little later
// than the kubelet, and has the lines of the next life too. Where the kubelet has the log, its last line says where the
// store's ends; where it has not, the beginning of the next life does.
func (r *request) match(stored answer, lines []logs.Line, store string) (dead []logs.Line, why string) {
	if len(stored.lines) == 0 {
		switch {
		case stored.err == nil:
		case errors.Is(stored.err, errStoreSlow):
			return nil, store + " did not answer in time"
		default:
			return nil, stored.err.Error()
		}
		return nil, store + " has no lines of it"
	}
	last := len(lines) - 1
	for last >= 0 && strings.TrimSpace(lines[last].Text) == "" {
		last--
	}
	if last < 0 {
		if next := r.nextLife(); !next.IsZero() {
			stored.lines = slices.DeleteFunc(stored.lines, func(l logs.Line) bool { return !l.At.Before(next) })
		}
		if !said(stored.lines) {
			return nil, store + " has no lines of it"
		}
		return stored.lines, ""
	}
	found, nearest := -1, storeSkew+1
	for i, l := range stored.lines {
		if strings.TrimSpace(l.Text) != strings.TrimSpace(lines[last].Text) {
			continue
		}
		distance := l.At.Sub(lines[last].At).Abs()
		if lines[last].At.IsZero() {
			distance = 0
		}
		if distance <= nearest {
			found, nearest = i, distance
		}
	}
	if found < 0 {
		return nil, store + " does not have the newest lines yet"
	}
	return stored.lines[:found+1], ""
}

// nextLife is when the life after the death began, zero where that is not known.
func (r *request) nextLife() time.Time {
	for i := range r.workload.Replicas {
		o := &r.workload.Replicas[i]
		if o.Name != r.Replica || r.ReplicaUID != "" && o.UID != r.ReplicaUID {
			continue
		}
		if c := o.Container(r.Container); c != nil && r.death != nil && c.StartedAt.After(r.death.FinishedAt) {
			return c.StartedAt
		}
	}
	return time.Time{}
}

// said reports whether any of the lines says something.
func said(lines []logs.Line) bool {
	return slices.ContainsFunc(lines, func(l logs.Line) bool { return strings.TrimSpace(l.Text) != "" })
}
