package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/homeostat/homeostat/internal/corpus"
)

// usageEvery is how often the usage is recorded.
const usageEvery = 5 * time.Second

// lifeDigits of a cgroup's name tell the lives of a container apart.
const lifeDigits = 12

// families of the page that are read.
const (
	cpuFamily       = "container_cpu_usage_seconds_total"
	workingFamily   = "container_memory_working_set_bytes"
	rssFamily       = "container_memory_rss"
	limitFamily     = "container_spec_memory_limit_bytes"
	oomFamily       = "container_oom_events_total"
	periodsFamily   = "container_cpu_cfs_periods_total"
	throttledFamily = "container_cpu_cfs_throttled_periods_total"
	startFamily     = "container_start_time_seconds"
)

// measure records the usage until ctx is done.
func (w *watcher) measure(ctx context.Context) {
	tick := time.NewTicker(usageEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		nodes := slices.Sorted(maps.Keys(w.nodes))
		w.mu.Unlock()
		for _, node := range nodes {
			w.measureNode(ctx, node)
		}
	}
}

func (w *watcher) measureNode(ctx context.Context, node string) {
	ctx, cancel := context.WithTimeout(ctx, usageEvery)
	defer cancel()
	page, err := w.raw.Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("metrics", "cadvisor").DoRaw(ctx)
	if err != nil {
		return // the node is away, which is a failure that is recorded
	}
	for _, u := range usages(page) {
		u.Node = node
		w.mu.Lock()
		t := w.tapes[u.Namespace]
		w.mu.Unlock()
		if t != nil {
			t.add(corpus.Line{Kind: corpus.KindUsage, Usage: &u})
		}
	}
}

// usages reads the containers of the corpus out of the page, each life for itself: for a while the page shows a dead one beside
// the new one. What cannot be read ends the page.
func usages(page []byte) []corpus.Usage {
	parser := textparse.NewPromParser(relevant(page), labels.NewSymbolTable())
	found := map[[4]string]*corpus.Usage{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) || err != nil {
			break
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, at, value := parser.Series()
		var l labels.Labels
		parser.Labels(&l)
		key := [4]string{l.Get("namespace"), l.Get("pod"), l.Get("container"), path.Base(l.Get("id"))}
		if key[2] == "" || key[2] == "POD" {
			continue
		}
		u := found[key]
		if u == nil {
			u = &corpus.Usage{Namespace: key[0], Pod: key[1], Container: key[2], Life: key[3][:min(lifeDigits, len(key[3]))]}
			found[key] = u
		}
		take(u, l.Get("__name__"), at, value)
	}
	out := make([]corpus.Usage, 0, len(found))
	for _, u := range found {
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b corpus.Usage) int {
		return cmp.Or(strings.Compare(a.Pod, b.Pod), strings.Compare(a.Container, b.Container), a.StartedAt.Compare(b.StartedAt))
	})
	return out
}

// take adds one sample. CPU has one series for all cores or one for each.
func take(u *corpus.Usage, family string, at *int64, value float64) {
	switch family {
	case cpuFamily:
		u.CPUSeconds += value
		if at != nil {
			u.SampledAt = time.UnixMilli(*at).UTC()
		}
	case workingFamily:
		u.WorkingSet = int64(value)
	case rssFamily:
		u.RSS = int64(value)
	case limitFamily:
		u.MemoryLimit = int64(value)
	case oomFamily:
		u.OOMEvents = int64(value)
	case periodsFamily:
		u.CFSPeriods = int64(value)
	case throttledFamily:
		u.CFSThrottled = int64(value)
	case startFamily:
		u.StartedAt = time.UnixMilli(int64(value * 1000)).UTC()
	}
}

// relevant returns the lines of the page about containers of the corpus in the families that are read.
func relevant(page []byte) []byte {
	families := []string{
		cpuFamily, workingFamily, rssFamily, limitFamily, oomFamily, periodsFamily, throttledFamily, startFamily,
	}
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(page))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Bytes()
		name, _, _ := bytes.Cut(line, []byte("{"))
		if slices.Contains(families, string(name)) && bytes.Contains(line, []byte(`namespace="corpus-`)) {
			out.Write(line)
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}
