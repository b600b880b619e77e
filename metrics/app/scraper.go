package app

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/metrics/poll"
)

const (
	// keep is how many readings of a process are kept: with one a second they reach back beyond the interval that the
	// kubelet's newest rate covers.
	keep = 64
	// growth in core-seconds is by how much the CPU counter shall grow within the interval of a rate: ten times the error
	// of 20 ms that its steps make.
	growth = 0.2
	// A page covers its container where the kubelet's reading is no more than a fifth and 20 thousandths of a core higher.
	coverShare, coverMilli = 5, 20
	// sweepsPerIdle is how often what nobody wants is looked for within Config.Idle.
	sweepsPerIdle = 4
)

// Scraper scrapes the pages of the pods that somebody asks for. Make one with New and run it once. It is safe for
// concurrent use, and no method but Run blocks on anything but a short lock.
type Scraper struct {
	config Config
	client *http.Client
	poller *poll.Poller[Target, struct{}]
	bodies sync.Pool // of *[]byte

	mu   sync.Mutex
	pods map[Pod]*scraped
}

// scraped is what is kept of one target.
type scraped struct {
	target Target

	mu     sync.Mutex
	wanted time.Time
	at     time.Time // of the newest page; zero: none was read
	start  float64   // of the process on it; NaN: not known
	cpu    float64   // the same
	window *metrics.Window
	tracks map[trackKey]*track
}

// New returns a scraper, or an error if the configuration is not valid.
func New(c Config) (*Scraper, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	s := &Scraper{config: c, client: newClient(c), pods: map[Pod]*scraped{}}
	poller, err := poll.New(s.scrape, poll.Config{Period: c.Period, Timeout: c.Timeout, Idle: c.Idle, Concurrent: c.Concurrent})
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	s.poller = poller
	return s, nil
}

// Config returns the configuration with its defaults filled in.
func (s *Scraper) Config() Config { return s.config }

// Run scrapes until ctx ends. It returns after the last scrape, and leaves no connection open.
func (s *Scraper) Run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	var polling sync.WaitGroup
	polling.Go(func() { s.poller.Run(ctx) })
	defer polling.Wait()
	tick := time.NewTicker(s.config.Idle / sweepsPerIdle)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.sweep(now)
		}
	}
}

// Want says that the pages of the targets are wanted at now. Whoever reads them says so at least once within
// Config.Idle; a page that is wanted no more is no longer scraped.
func (s *Scraper) Want(now time.Time, targets ...Target) {
	for i := range targets {
		p := s.admit(&targets[i])
		p.mu.Lock()
		if now.After(p.wanted) {
			p.wanted = now
		}
		p.mu.Unlock()
		s.poller.Get(targets[i], now)
	}
}

// WantBeside is Want for somebody whom any page of the pod will do: where another one of it is wanted at present, that one stays.
func (s *Scraper) WantBeside(now time.Time, t Target) {
	if p := s.find(t.pod()); p != nil && p.target != t && p.target.UID == t.UID {
		p.mu.Lock()
		taken := now.Sub(p.wanted) <= s.config.StaleAfter
		p.mu.Unlock()
		if taken {
			return
		}
	}
	s.Want(now, t)
}

// admit returns what is kept of the target, which replaces another one of the same pod.
func (s *Scraper) admit(t *Target) *scraped {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pods[t.pod()]
	if p == nil || p.target != *t {
		p = &scraped{
			target: *t, start: math.NaN(), cpu: math.NaN(),
			window: metrics.NewWindow(keep), tracks: map[trackKey]*track{},
		}
		s.pods[t.pod()] = p
	}
	return p
}

func (s *Scraper) find(pod Pod) *scraped {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods[pod]
}

// Len returns how many pods are scraped.
func (s *Scraper) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pods)
}

// sweep drops what nobody has wanted during Config.Idle.
func (s *Scraper) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := now.Add(-s.config.Idle)
	for pod, p := range s.pods {
		p.mu.Lock()
		if p.wanted.Before(oldest) {
			delete(s.pods, pod)
		}
		for key, t := range p.tracks {
			if t.wanted.Before(oldest) {
				delete(p.tracks, key)
			}
		}
		p.mu.Unlock()
	}
}

// CPU returns the usage of the container at now, as its page shows it. It is false where the page of that container is
// not scraped. The memory in it is the resident memory of the process.
func (s *Scraper) CPU(pod Pod, container string, now time.Time) (metrics.Usage, bool) {
	p := s.find(pod)
	if p == nil || p.target.Container != container {
		return metrics.Usage{Reason: metrics.ReasonMissing}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.usage(p, now), true
}

// usage must be called with the lock held.
func (s *Scraper) usage(p *scraped, now time.Time) metrics.Usage {
	return p.window.UsageWithin(now, metrics.Reach{Span: s.config.Span, Longest: s.config.Longest, Growth: growth}, s.config.StaleAfter)
}

// Fresher returns the kubelet's usage of a container with the CPU from the container's page, and true, where that is
// newer and covers the container; else the kubelet's usage as it is, and false. Memory is always the kubelet's.
func (s *Scraper) Fresher(pod Pod, container string, kubelet metrics.Usage, now time.Time) (metrics.Usage, bool) {
	p := s.find(pod)
	if p == nil || p.target.Container != container {
		return kubelet, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u := s.usage(p, now)
	if !u.OK() || kubelet.OK() && (!u.At.After(kubelet.At) || !covers(p.window, kubelet)) {
		return kubelet, false
	}
	u.MemoryBytes, u.MemoryKnown, u.Start = kubelet.MemoryBytes, kubelet.MemoryKnown, kubelet.Start
	return u, true
}

// covers reports whether the page shows what the kubelet does, over the same interval. Where it does not reach back so
// far nothing speaks against it.
func covers(w *metrics.Window, kubelet metrics.Usage) bool {
	shown, ok := w.CPUBetween(kubelet.At.Add(-kubelet.Window), kubelet.At)
	return !ok || kubelet.CPUMilli <= shown+shown/coverShare+coverMilli
}

// Value is what a pod's page says of a metric.
type Value struct {
	// Milli is the value in thousandths, the sum over the series; of a counter it is the rate per second. It is rounded,
	// and the nearest number there is where it is too large.
	Milli int64
	// At is when the page was read; zero: it was not.
	At time.Time
	// Window is the interval that a rate covers; 0 of a gauge.
	Window time.Duration
	// Why says in one sentence why there is no value; empty: there is one.
	Why string
	// Pending is true where there is none only because the page, or the metric on it, was not asked for until now, or not
	// for long enough: a rate needs pages over a while.
	Pending bool
}

// Value returns the value of a metric of the pod at now, and marks it as wanted: of a page only what somebody wants is
// kept, so that the first answer for a metric is that it was not read yet. A nil selector matches every series.
func (s *Scraper) Value(pod Pod, metric string, selector labels.Selector, now time.Time) Value {
	p := s.find(pod)
	if p == nil {
		return Value{Why: fmt.Sprintf("the metrics page of pod %s is not scraped", pod), Pending: true}
	}
	if selector == nil {
		selector = labels.Everything()
	}
	v := s.value(p, trackKey{metric, selector.String()}, selector, now)
	// An attempt that failed since says more than that the value is old or missing.
	if v.Why != "" && now.Sub(v.At) > s.config.StaleAfter {
		attempt := s.poller.Get(p.target, now)
		if attempt.Err != nil {
			v.Why = fmt.Sprintf("the metrics page of pod %s cannot be read: %v", pod, attempt.Err)
		}
		v.Pending = v.Pending || !attempt.Tried
	}
	return v
}

func (s *Scraper) value(p *scraped, key trackKey, selector labels.Selector, now time.Time) Value {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tracks[key]
	if t == nil {
		t = newTrack(selector)
		p.tracks[key] = t
	}
	if now.After(t.wanted) {
		t.wanted = now
	}
	v := Value{At: p.at}
	if age := now.Sub(p.at).Abs(); !p.at.IsZero() && age > s.config.StaleAfter {
		v.Why = fmt.Sprintf("the metrics page of pod %s was read %v ago, allowed is %v", p.target.pod(), age.Round(time.Second), s.config.StaleAfter)
		return v
	}
	value, window, why := t.value(s.config.RateSpan)
	if why != "" {
		v.Why, v.Pending = fmt.Sprintf("metric %s of pod %s %s", key.name, p.target.pod(), why), why == whyUnread || why == whyShort
		return v
	}
	v.Milli, v.Window = milli(value), window
	return v
}
