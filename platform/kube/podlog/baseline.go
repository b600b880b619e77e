package podlog

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/logs"
)

// maxSiblings are compared with: one may be odd, more tell little more.
const maxSiblings = 2

// baseline is reads under way.
type baseline struct {
	before, siblings []<-chan answer
}

// kubeletBaseline begins to read the same container's present and previous log and those of its siblings. Each answers for
// itself; what cannot be read is not known.
func (k *Capturer) kubeletBaseline(ctx context.Context, r *request) baseline {
	namespace, since := r.workload.Ref.Namespace, r.at.Add(-windowBefore-baselineBefore)
	read := func(x extract) <-chan answer {
		x.container, x.since = r.Container, since
		return ask(func() ([]logs.Line, error) { return k.fetch(ctx, namespace, x) })
	}
	var b baseline
	for _, previous := range []bool{true, false} {
		b.before = append(b.before, read(extract{replica: r.Replica, previous: previous, lines: windowLines, bytes: windowBytes}))
	}
	for _, name := range siblings(r.workload, r) {
		b.siblings = append(b.siblings, read(extract{replica: name, lines: baselineLines, bytes: baselineBytes}))
	}
	return b
}

// storeBaseline begins to read the same from the store.
func (k *Capturer) storeBaseline(ctx context.Context, r *request) baseline {
	q := r.window()
	q.From, q.To, q.MaxLines, q.MaxBytes = q.From.Add(-baselineBefore), q.From, baselineLines, baselineBytes
	b := baseline{before: []<-chan answer{ask(func() ([]logs.Line, error) { return k.window.Window(ctx, q) })}}
	if names := siblings(r.workload, r); len(names) > 0 {
		q := q
		q.Replicas, q.To = names, r.at.Add(windowAfter)
		b.siblings = append(b.siblings, ask(func() ([]logs.Line, error) { return k.window.Window(ctx, q) }))
	}
	return b
}

// wait collects what came within baselineWait.
func (b baseline) wait(ctx context.Context) (before, siblings []logs.Line) {
	ctx, cancel := context.WithTimeout(ctx, baselineWait)
	defer cancel()
	collect := func(reads []<-chan answer) (out []logs.Line) {
		for _, read := range reads {
			select {
			case a := <-read:
				out = append(out, a.lines...)
			case <-ctx.Done():
				select { // what came meanwhile counts
				case a := <-read:
					out = append(out, a.lines...)
				default:
				}
			}
		}
		return out
	}
	return collect(b.before), collect(b.siblings)
}

// siblings returns the names of healthy replicas with the container, those of the same revision first: they serve, and the
// container did not die within the time that is compared.
func siblings(w *cluster.Workload, r *request) []string {
	var revision string
	for i := range w.Replicas {
		if w.Replicas[i].Name == r.Replica {
			revision = w.Replicas[i].Revision
		}
	}
	var fit []*cluster.Replica
	for i := range w.Replicas {
		o := &w.Replicas[i]
		c := o.Container(r.Container)
		if o.Name == r.Replica || !o.Ready || o.Deleting() || c == nil || c.State != cluster.StateRunning || diedSince(c, r.at.Add(-windowBefore-baselineBefore)) {
			continue
		}
		fit = append(fit, o)
	}
	slices.SortFunc(fit, func(a, b *cluster.Replica) int {
		if same := a.Revision == revision; same != (b.Revision == revision) {
			if same {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	var names []string
	for _, o := range fit[:min(len(fit), maxSiblings)] {
		names = append(names, o.Name)
	}
	return names
}

func diedSince(c *cluster.Container, since time.Time) bool {
	death := c.LatestDeath()
	return death != nil && !death.FinishedAt.Before(since)
}
