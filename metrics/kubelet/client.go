package kubelet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The kubelet's pages.
const (
	pageResource = "/metrics/resource"
	pageCadvisor = "/metrics/cadvisor"
	pageSummary  = "/stats/summary?only_cpu_and_memory=true"
)

// The media types of the pages.
const (
	mediaText = "text/plain"
	mediaJSON = "application/json"
)

// mediaOf returns the media type of a page, and how to ask for it: the text format with names as they are, which
// kubelets send anyway.
func mediaOf(page string) (media, accept string) {
	if page == pageSummary {
		return mediaJSON, mediaJSON
	}
	return mediaText, mediaText + ";version=0.0.4"
}

// connectShare of the timeout is given to each step of connecting directly (one third), so that a firewall that drops
// packets leaves time for the other way.
const connectShare = 3

// tokenAge is how long a token is used before its file is read again. The kubelet replaces it long before it ends, and
// client-go reads it once a minute too.
const tokenAge = time.Minute

// client fetches pages from kubelets, each way.
type client struct {
	direct   *http.Client // nil: not that way
	token    *tokenFile
	proxy    *http.Client // nil: not that way
	proxyURL string
	maxBytes int64
}

// newClient reads the CA, and the token once, so that a wrong path is told at the start.
func newClient(c Config) (*client, error) {
	cl := &client{proxy: c.Proxy.Client, proxyURL: strings.TrimRight(c.Proxy.BaseURL, "/"), maxBytes: c.MaxBodyBytes}
	if c.TokenFile == "" {
		return cl, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read caFile: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read caFile: %s has no PEM certificate", c.CAFile)
	}
	cl.token = &tokenFile{path: c.TokenFile}
	if _, err := cl.token.get(time.Now()); err != nil {
		return nil, err
	}
	connect := c.Timeout / connectShare
	cl.direct = &http.Client{
		Transport: &http.Transport{
			// HTTP/1.1: a connection whose answer does not come in time is closed, and not used again for the next scrape.
			Protocols:           onlyHTTP1(),
			DialContext:         (&net.Dialer{Timeout: connect}).DialContext,
			TLSHandshakeTimeout: connect,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     max(90*time.Second, 3*c.Period),
			DisableCompression:  true, // in the cluster's own network it costs both ends more than it saves
		},
		// A kubelet does not redirect, and the token must not go elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return cl, nil
}

func onlyHTTP1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

func (c *client) close() {
	if c.direct != nil {
		c.direct.CloseIdleConnections()
	}
}

// has reports whether the node can be asked that way.
func (c *client) has(p Path, n Node) bool {
	if p == PathDirect {
		return c.direct != nil && n.Address != ""
	}
	return c.proxy != nil
}

// get hands the body of the page to read. The error of read is returned with ClassBadPage, or that it carries.
func (c *client) get(ctx context.Context, n Node, via Path, page string, read func(*http.Response, io.Reader) error) *PathError {
	err := c.try(ctx, n, via, page, read)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		// Whatever came after the time was up, even an answer without a page, is a consequence of that.
		err = fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	class := classify(err)
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // without the URL, which says nothing that node and path do not
	}
	return &PathError{Path: via, Class: class, Err: err}
}

func (c *client) try(ctx context.Context, n Node, via Path, page string, read func(*http.Response, io.Reader) error) error {
	resp, err := c.request(ctx, n, via, page)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // what was wanted of it has been read
	if resp.StatusCode != http.StatusOK {
		return statusError(resp)
	}
	wanted, _ := mediaOf(page)
	if mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || mediaType != wanted {
		return &classedError{ClassBadPage, fmt.Errorf("content type is %q, allowed is %s", resp.Header.Get("Content-Type"), wanted)}
	}
	if resp.ContentLength > c.maxBytes {
		return c.tooLarge()
	}
	return c.readError(read(resp, &limitedReader{from: resp.Body, left: c.maxBytes, err: c.tooLarge()}))
}

// readError tells a broken connection from a bad page.
func (c *client) readError(err error) error {
	var classed *classedError
	var network net.Error
	if err == nil || errors.As(err, &classed) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return &classedError{ClassBadPage, err}
}

func (c *client) tooLarge() error {
	return &classedError{ClassTooLarge, fmt.Errorf("page is larger than maxBodyBytes, %d bytes", c.maxBytes)}
}

func (c *client) request(ctx context.Context, n Node, via Path, page string) (*http.Response, error) {
	if via == PathProxy {
		req, err := newRequest(ctx, c.proxyURL+"/api/v1/nodes/"+url.PathEscape(n.Name)+"/proxy", page)
		if err != nil {
			return nil, err
		}
		return c.proxy.Do(req)
	}
	port := n.Port
	if port == 0 {
		port = DefaultPort
	}
	req, err := newRequest(ctx, "https://"+net.JoinHostPort(n.Address, strconv.Itoa(port)), page)
	if err != nil {
		return nil, err
	}
	token, err := c.token.get(time.Now())
	if err != nil {
		return nil, &classedError{ClassCredentials, err}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.direct.Do(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	// The token may have been replaced since it was read.
	newer := c.token.replaced(token, time.Now())
	if newer == "" {
		return resp, nil
	}
	_ = resp.Body.Close()
	req = req.Clone(ctx)
	req.Header.Set("Authorization", "Bearer "+newer)
	return c.direct.Do(req)
}

func newRequest(ctx context.Context, base, page string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+page, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	_, accept := mediaOf(page)
	req.Header.Set("Accept", accept)
	return req, nil
}

// statusError quotes the beginning of the body: the API server says there why it could not reach the node.
func statusError(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxCause))
	if text := clip(string(body)); text != "" {
		return &classedError{classOfStatus(resp.StatusCode), fmt.Errorf("status %d: %s", resp.StatusCode, text)}
	}
	return &classedError{classOfStatus(resp.StatusCode), fmt.Errorf("status %d", resp.StatusCode)}
}

// limitedReader returns err instead of what lies beyond the limit; io.LimitReader would end the page there.
type limitedReader struct {
	from io.Reader
	left int64
	err  error
}

// Read implements io.Reader.
func (r *limitedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.from.Read(p)
	if int64(n) > r.left {
		return int(r.left), r.err
	}
	r.left -= int64(n)
	return n, err
}

// readInto reads all of from into buf, whose capacity it reuses, and leaves a spare byte for the parser.
func readInto(buf []byte, from io.Reader, size int64) ([]byte, error) {
	b := bytes.NewBuffer(buf[:0])
	if size > 0 {
		b.Grow(int(size) + bytes.MinRead + 1)
	}
	if _, err := b.ReadFrom(from); err != nil {
		return b.Bytes(), err
	}
	b.Grow(1)
	return b.Bytes(), nil
}

// tokenFile is a bearer token in a file that somebody else replaces now and then.
type tokenFile struct {
	path string

	mu    sync.Mutex
	token string
	read  time.Time
}

// get returns the token, from the file if the last reading is older than tokenAge. A file that cannot be read is an
// error only once there is no token at all: the one at hand may be valid for long.
func (t *tokenFile) get(now time.Time) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && now.Sub(t.read) < tokenAge {
		return t.token, nil
	}
	return t.reload(now)
}

// replaced returns the token in the file if it is another than the one that was refused, and empty if it is not.
func (t *tokenFile) replaced(refused string, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != refused {
		return t.token
	}
	if token, err := t.reload(now); err == nil && token != refused {
		return token
	}
	return ""
}

func (t *tokenFile) reload(now time.Time) (string, error) {
	b, err := os.ReadFile(t.path)
	token := strings.TrimSpace(string(b))
	switch {
	case err == nil && token != "":
		t.token, t.read = token, now
	case t.token != "":
	case err != nil:
		return "", fmt.Errorf("read tokenFile: %w", err)
	default:
		return "", fmt.Errorf("read tokenFile: %s is empty", t.path)
	}
	return t.token, nil
}
