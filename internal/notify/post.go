package notify

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/homeostat/homeostat/alerts"
)

const (
	// longestRest bounds what a Retry-After may ask for.
	longestRest = 15 * time.Minute
	// maxQuote bounds what is told of an answer's body, in bytes.
	maxQuote = 160
	// maxSecret bounds what is read of a file with a secret, in bytes.
	maxSecret = 64 << 10
)

// poster posts JSON to a receiver.
type poster struct {
	client  *http.Client
	timeout time.Duration
	url     string // empty: urlFile has it
	urlFile string
	key     string // the file of the signature's key
	http    promconfig.HTTPClientConfig
}

func newPoster(r *Receiver, userAgent string) (*poster, error) {
	p := &poster{timeout: r.Timeout, urlFile: r.URLFile, key: r.SecretFile, http: r.HTTP}
	p.http.FollowRedirects = false
	if len(r.URLs) > 0 {
		p.url = r.URLs[0]
	}
	if err := p.http.Validate(); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	client, err := promconfig.NewClientFromConfig(p.http, "notify", promconfig.WithUserAgent(userAgent))
	if err != nil {
		return nil, fmt.Errorf("make: %w", err)
	}
	p.client = client
	return p, nil
}

func (p *poster) close() { p.client.CloseIdleConnections() }

// target is the address to post to.
func (p *poster) target() (string, error) {
	if p.urlFile == "" {
		return p.url, nil
	}
	text, err := readSecret(p.urlFile)
	if err != nil {
		return "", err
	}
	if err := checkURL(text); err != nil {
		return "", fmt.Errorf("file %s: %w", p.urlFile, err)
	}
	return text, nil
}

// readSecret reads what is in the file, without the space around it.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	out := strings.TrimSpace(string(text))
	if out == "" {
		return "", fmt.Errorf("file %s is empty", path)
	}
	return out, nil
}

// post posts the body. The error says whether it is of use to post it again, and has no secret in it.
func (p *poster) post(ctx context.Context, target string, body []byte, header http.Header) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return p.unanswered(err)
	}
	defer res.Body.Close()                                       //nolint:errcheck // it was only read
	said, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))       // what came is enough to tell
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	code := res.StatusCode
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests, code >= 500, code == http.StatusRequestTimeout:
		return &alerts.SendError{Err: p.answered(code, said), After: retryAfter(res.Header.Get("Retry-After"), time.Now())}
	default:
		return &alerts.SendError{Err: p.answered(code, said), Permanent: true}
	}
}

// unanswered is the error of a request without an answer. That of the client has the address in it, which may be a secret.
func (p *poster) unanswered(err error) error {
	var outer *url.Error
	var timed interface{ Timeout() bool }
	switch {
	case errors.As(err, &timed) && timed.Timeout():
		return fmt.Errorf("no answer within %s", p.timeout)
	case errors.As(err, &outer):
		return errors.New(p.redact(outer.Err.Error()))
	default:
		return errors.New(p.redact(err.Error()))
	}
}

func (p *poster) answered(code int, said []byte) error {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "?")), " ")
	text = p.redact(text)
	if len(text) > maxQuote {
		text = strings.ToValidUTF8(text[:maxQuote], "") + "…"
	}
	if text == "" {
		return fmt.Errorf("it answers %d", code)
	}
	return fmt.Errorf("it answers %d: %s", code, text)
}

// redact takes every secret of the receiver out of a text: a receiver may repeat what it was sent.
func (p *poster) redact(text string) string {
	files := []string{p.urlFile, p.key}
	if b := p.http.BasicAuth; b != nil {
		files = append(files, b.PasswordFile)
	}
	if a := p.http.Authorization; a != nil {
		files = append(files, a.CredentialsFile)
	}
	for _, path := range files {
		if path == "" {
			continue
		}
		secret, err := readSecret(path)
		if err != nil {
			continue
		}
		hidden := []string{secret}
		if b := p.http.BasicAuth; b != nil {
			hidden = append(hidden, base64.StdEncoding.EncodeToString([]byte(b.Username+":"+secret)))
		}
		if u, err := url.Parse(secret); err == nil && path == p.urlFile {
			hidden = append(hidden, u.RequestURI(), u.Path)
		}
		for _, s := range hidden {
			if len(s) > 1 {
				text = strings.ReplaceAll(text, s, "<secret>")
			}
		}
	}
	return text
}

// retryAfter reads the header: seconds or a date; 0 where it says nothing that can be read.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, longestRest)
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return min(at.Sub(now), longestRest)
	}
	return 0
}
