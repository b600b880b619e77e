package kubelet

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// slowLaneShare of the workers (a quarter) come on top for the slow lane, and at least minSlowWorkers.
const (
	slowLaneShare  = 4
	minSlowWorkers = 2
)

// slowShare of the timeout (one half) is what a visit may take before its node goes to the slow lane.
const slowShare = 2

// listPeriod is how often the list of nodes is read, or the period if that is shorter.
const listPeriod = 5 * time.Second

// Scraper scrapes nodes on a schedule. Make one with New and run it once.
type Scraper struct {
	config Config
	nodes  Nodes
	sink   Sink
	client *client
	// cadvisorEvery counts scrapes between two readings of the cadvisor page; 0 is never.
	cadvisorEvery int
	// pressureEvery counts scrapes between two readings of the summary page, and pressureRetry between those of a node
	// that has no pressures there; 0 is never.
	pressureEvery, pressureRetry int
	// scrape is Scraper.visit, except in tests of the schedule.
	scrape func(ctx context.Context, t *target, b *buffers)
}

// buffers are what a worker reuses from page to page.
type buffers struct {
	body     []byte
	cadvisor cadvisorReader
}

// New returns a scraper, or an error if the configuration is not valid or its files cannot be read.
func New(c Config, nodes Nodes, sink Sink) (*Scraper, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	cl, err := newClient(c)
	if err != nil {
		return nil, err
	}
	s := &Scraper{config: c, nodes: nodes, sink: sink, client: cl}
	if c.OOMEvents {
		s.cadvisorEvery = c.scrapesIn(c.OOMPeriod)
	}
	if c.Pressure {
		s.pressureEvery, s.pressureRetry = c.scrapesIn(c.PressurePeriod), c.scrapesIn(c.PressureRetry)
	}
	s.scrape = s.visit
	return s, nil
}

// Run scrapes until ctx ends. It returns after its last worker, and leaves no connection of its own open.
func (s *Scraper) Run(ctx context.Context) {
	defer s.client.close()
	slowWorkers := max(minSlowWorkers, s.config.Workers/slowLaneShare)
	fast, slow := make(chan *target), make(chan *target)
	done := make(chan *target)
	var workers sync.WaitGroup
	work := func(lane <-chan *target) {
		var b buffers
		for t := range lane {
			s.scrape(ctx, t, &b)
			select {
			case done <- t:
			case <-ctx.Done(): // nobody listens any more
			}
		}
	}
	for range s.config.Workers {
		workers.Go(func() { work(fast) })
	}
	for range slowWorkers {
		workers.Go(func() { work(slow) })
	}
	s.dispatch(ctx, fast, slow, done)
	close(fast)
	close(slow)
	workers.Wait()
}

// dispatch hands nodes to the lanes when they are due, until ctx ends.
func (s *Scraper) dispatch(ctx context.Context, fast, slow chan<- *target, done <-chan *target) {
	plan := newSchedule(s.config.Period, func() time.Duration { return rand.N(s.config.Period) })
	listed := time.Now()
	plan.update(s.nodes.Nodes(), listed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	listEvery := min(s.config.Period, listPeriod)
	for {
		now := time.Now()
		if now.Sub(listed) >= listEvery {
			listed = now
			plan.update(s.nodes.Nodes(), now)
		}
		plan.advance(now)
		wake := listed.Add(listEvery)
		if due, ok := plan.next(); ok && due.Before(wake) {
			wake = due
		}
		timer.Reset(wake.Sub(now))
		// A send on a nil channel never happens: an empty lane is left out of the select.
		var toFast, toSlow chan<- *target
		var nextFast, nextSlow *target
		if len(plan.fast) > 0 {
			toFast, nextFast = fast, plan.fast[0]
		}
		if len(plan.slow) > 0 {
			toSlow, nextSlow = slow, plan.slow[0]
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case toFast <- nextFast:
			started(&plan.fast)
		case toSlow <- nextSlow:
			started(&plan.slow)
		case t := <-done:
			plan.finished(t, time.Now())
		}
	}
}

// visit scrapes one node and reports how it went.
func (s *Scraper) visit(ctx context.Context, t *target, b *buffers) {
	begun := time.Now()
	samples, err := s.readResource(ctx, t, b)
	if ctx.Err() != nil {
		return // being stopped says nothing about the node
	}
	took := time.Since(begun)
	s.sink.NodeScraped(t.node.Name, begun.Add(took), err)
	if s.config.Observer != nil {
		s.config.Observer.ScrapeDone(t.node.Name, took, samples, err)
	}
	switch {
	case err != nil && !t.failed:
		s.config.Logger.WarnContext(ctx, "node unreachable", "node", t.node.Name, "class", string(ClassOf(err)), "error", err)
	case err == nil && t.failed:
		s.config.Logger.InfoContext(ctx, "node reachable again", "node", t.node.Name)
	}
	t.failed = err != nil
	if !t.failed && s.cadvisorEvery > 0 && (t.cadvisorScrape == 0 || t.scrapes-t.cadvisorScrape >= s.cadvisorEvery) {
		t.cadvisorScrape = t.scrapes
		s.readCadvisor(ctx, t, b)
	}
	if !t.failed && s.pressureDue(t) {
		t.pressureScrape = t.scrapes
		s.readPressure(ctx, t, b)
	}
	t.slow = t.failed || time.Since(begun) > s.config.Timeout/slowShare
}

// readResource reads the node's samples into the sink.
func (s *Scraper) readResource(ctx context.Context, t *target, b *buffers) (samples int, err error) {
	err = s.fetch(ctx, t, pageResource, func(resp *http.Response, from io.Reader) error {
		body, err := readInto(b.body, from, resp.ContentLength)
		b.body = body
		if err != nil {
			return err
		}
		samples, err = t.parser.Parse(body, time.Now(), func(key metrics.Key, sample metrics.Sample) {
			s.sink.Add(key, t.node.Name, sample)
		})
		return err
	})
	return samples, err
}

// readCadvisor reads what only the cadvisor page has into the sink: OOM kills, resident memory, throttling. A failure is no
// failure of the node: its usage is there.
func (s *Scraper) readCadvisor(ctx context.Context, t *target, b *buffers) {
	err := s.fetch(ctx, t, pageCadvisor, func(_ *http.Response, from io.Reader) error {
		lives, err := b.cadvisor.read(from)
		if err != nil {
			return err
		}
		read := time.Now()
		for i := range lives {
			lives[i].tell(s.sink, read)
		}
		return nil
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil && !t.cadvisorFailed {
		s.config.Logger.WarnContext(ctx, "oom counters unreadable", "node", t.node.Name, "class", string(ClassOf(err)), "error", err)
	}
	t.cadvisorFailed = err != nil
}

// fetch gets the page the way that is likely to work, and the other way where that fails for a reason that lies in the
// way: a bad page is as bad by the other.
func (s *Scraper) fetch(ctx context.Context, t *target, page string, read func(*http.Response, io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	failed := &NodeError{Node: t.node.Name}
	for _, via := range s.ways(t, time.Now()) {
		err := s.client.get(ctx, t.node, via, page, read)
		if err == nil {
			s.remember(t, via, len(failed.Paths) > 0)
			return nil
		}
		failed.Paths = append(failed.Paths, err)
		if ctx.Err() != nil || err.Class == ClassBadPage || err.Class == ClassTooLarge {
			break
		}
	}
	if len(failed.Paths) == 0 {
		failed.Paths = []*PathError{{Path: PathDirect, Class: ClassNetwork, Err: errors.New("the node has no internal address")}}
	}
	return failed
}

// ways returns the ways to ask the node, the likelier first.
func (s *Scraper) ways(t *target, now time.Time) []Path {
	order := [2]Path{PathDirect, PathProxy}
	if now.Before(t.viaProxy) {
		order = [2]Path{PathProxy, PathDirect}
	}
	ways := make([]Path, 0, len(order))
	for _, p := range order {
		if s.client.has(p, t.node) {
			ways = append(ways, p)
		}
	}
	return ways
}

// remember keeps which way worked; fallback says that the other was tried before.
func (s *Scraper) remember(t *target, via Path, fallback bool) {
	switch {
	case via == PathDirect:
		t.viaProxy = time.Time{}
	case fallback:
		t.viaProxy = time.Now().Add(s.config.PathMemory)
	}
}
