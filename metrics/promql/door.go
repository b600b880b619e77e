package promql

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenAge is how long a token is used before its file is read again, as client-go does.
const tokenAge = time.Minute

var (
	errTooLarge = errors.New("the answer of Prometheus is larger than maxBodyBytes")
	errToken    = errors.New("the token for Prometheus cannot be read")
)

// door is what every request leaves and every answer comes through: it adds what requests need, and bounds what is read.
type door struct {
	config Config
	next   http.RoundTripper

	mu    sync.Mutex
	token string
	read  time.Time
}

// RoundTrip implements http.RoundTripper.
func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", "homeostat")
	for name, value := range d.config.Headers {
		req.Header.Set(name, value)
	}
	if d.config.BearerTokenFile != "" {
		token, err := d.bearer(time.Now())
		if err != nil {
			if req.Body != nil {
				_ = req.Body.Close() // as a RoundTripper has to
			}
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := d.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: d.config.MaxBodyBytes}
	return resp, nil
}

// bearer returns the token, from its file if the last reading is older than tokenAge. A file that cannot be read is an
// error only once there is no token at all: the one at hand may be valid for long.
func (d *door) bearer(now time.Time) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token != "" && now.Sub(d.read) < tokenAge {
		return d.token, nil
	}
	content, err := os.ReadFile(d.config.BearerTokenFile)
	token := strings.TrimSpace(string(content))
	switch {
	case err == nil && token != "":
		d.token, d.read = token, now
	case d.token != "":
	case err != nil:
		return "", fmt.Errorf("%w: %w", errToken, err)
	default:
		return "", fmt.Errorf("%w: %s is empty", errToken, d.config.BearerTokenFile)
	}
	return d.token, nil
}

// bounded returns an error instead of what lies beyond the limit; io.LimitReader would end the answer there.
type bounded struct {
	io.ReadCloser

	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		return int(b.left), errTooLarge
	}
	b.left -= int64(n)
	return n, err
}
