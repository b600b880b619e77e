package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// startJitter is how far two readings of the start of one process may lie apart, in seconds: it is computed from the
// time of boot, in whole seconds.
const startJitter = 1.0

// maxHeaderBytes bounds the header of an answer: pods are not trusted.
const maxHeaderBytes = 64 << 10

func newClient(c Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			// A pod is in the cluster's own network: no proxy, no compression, one connection that stays.
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     max(30*time.Second, 3*c.Period),
			DisableCompression:  true,
			TLSHandshakeTimeout: c.Timeout,
			// The header counts for as little as it says; the default is 10 MiB.
			MaxResponseHeaderBytes: maxHeaderBytes,
			// See the package's comment: there is no name to verify, and nothing secret is sent.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// scrape reads the page of a target once. It is what the poller fetches.
func (s *Scraper) scrape(ctx context.Context, t Target) (struct{}, error) {
	p := s.find(t.pod())
	if p == nil || p.target != t {
		return struct{}{}, nil // replaced or dropped since it was wanted
	}
	buf, _ := s.bodies.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer s.bodies.Put(buf)
	begun := time.Now()
	body, contentType, answered, err := s.get(ctx, t.URL, (*buf)[:0])
	if body != nil {
		*buf = body
	}
	if err != nil {
		return struct{}{}, err
	}
	// The counters were read at some time between the request and the answer; the middle halves the error.
	return struct{}{}, p.read(body, contentType, begun.Add(answered.Sub(begun)/2), s.config.RateSpan)
}

// get returns the page, appended to buf, and when its first byte was there.
func (s *Scraper) get(ctx context.Context, address string, buf []byte) (body []byte, contentType string, answered time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, "", answered, plain(err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "homeostat")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, "", answered, plain(err)
	}
	answered = time.Now()
	defer func() { _ = resp.Body.Close() }() // what was wanted of it has been read
	if resp.StatusCode != http.StatusOK {
		return nil, "", answered, fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	tooLarge := fmt.Errorf("it is larger than maxBodyBytes, %d bytes", s.config.MaxBodyBytes)
	if resp.ContentLength > s.config.MaxBodyBytes {
		return nil, "", answered, tooLarge
	}
	b := bytes.NewBuffer(buf)
	if resp.ContentLength > 0 {
		b.Grow(int(resp.ContentLength) + bytes.MinRead + 1)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, s.config.MaxBodyBytes+1))
	switch {
	case err != nil:
		return b.Bytes(), "", answered, plain(err)
	case n > s.config.MaxBodyBytes:
		return b.Bytes(), "", answered, tooLarge
	}
	b.Grow(1) // for the parser
	return b.Bytes(), resp.Header.Get("Content-Type"), answered, nil
}

// plain takes the request out of an error: it says nothing that is not known.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// read takes a page that was read at the given time. A page that cannot be read changes nothing.
func (p *scraped) read(body []byte, contentType string, at time.Time, rateSpan time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	byName := make(map[string][]*track, len(p.tracks))
	for key, t := range p.tracks {
		byName[key.name] = append(byName[key.name], t)
	}
	found := make(map[string][]series, len(byName))
	proc, err := readPage(body, contentType,
		func(name []byte) bool { return len(byName[string(name)]) > 0 },
		func(name string, s series) { found[name] = append(found[name], s) })
	if err != nil {
		return err
	}
	restarted := p.restarted(proc)
	p.at, p.cpu, p.start = at, proc.cpu, proc.start
	if p.window.Newest().After(at) { // the clock went back; the window would refuse every reading until it has caught up
		p.window = metrics.NewWindow(keep)
	}
	p.window.Add(proc.sample(at))
	for name, tracks := range byName {
		for _, t := range tracks {
			t.begin(restarted)
			for _, s := range found[name] {
				t.add(s)
			}
			t.end(at, rateSpan)
		}
	}
	return nil
}

// restarted reports whether the page is that of another process than the last one. Comparisons with what is not known
// are false.
func (p *scraped) restarted(now process) bool {
	return now.cpu < p.cpu || math.Abs(now.start-p.start) > startJitter
}

// sample returns the reading of the process at the given time.
func (p *process) sample(at time.Time) metrics.Sample {
	s := metrics.Sample{At: at, CPUSeconds: p.cpu, NoCPU: math.IsNaN(p.cpu), NoMemory: math.IsNaN(p.memory)}
	if s.MemoryBytes = math.MaxInt64; p.memory < math.MaxInt64 {
		s.MemoryBytes = int64(p.memory)
	}
	const lastSecond = 1 << 33 // the year 2242
	if p.start > 0 && p.start < lastSecond {
		s.Start = time.UnixMicro(int64(math.Round(p.start * 1e6))).UTC()
	}
	return s
}
