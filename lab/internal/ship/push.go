//go:build linux

package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pushTimeout bounds one request.
const pushTimeout = 10 * time.Second

// labels name a container, with the names of Alloy's and Promtail's examples for Kubernetes.
type labels struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
}

// stream is the lines of one container, in the form of Loki's push API.
type stream struct {
	Labels labels      `json:"stream"`
	Values [][2]string `json:"values"`
}

// batch is what one request sends. Its zero value is empty.
type batch struct {
	streams []stream
	bytes   int
}

func (b *batch) add(l labels, at time.Time, text string) {
	n := len(b.streams)
	if n == 0 || b.streams[n-1].Labels != l {
		b.streams = append(b.streams, stream{Labels: l})
		n++
	}
	s := &b.streams[n-1]
	s.Values = append(s.Values, [2]string{strconv.FormatInt(at.UnixNano(), 10), strings.ToValidUTF8(text, "\uFFFD")})
	b.bytes += len(text) + 64
}

// pusher sends batches to one address.
type pusher struct{ url string }

// push sends the batch. refused is what Loki answers where it will never take these lines; an error means that it may, later.
func (p pusher) push(ctx context.Context, b batch) (refused string, err error) {
	body, err := json.Marshal(map[string][]stream{"streams": b.streams})
	if err != nil {
		return "", fmt.Errorf("encode lines: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("push to loki: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("push to loki: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, 300))
	err = errors.Join(err, res.Body.Close())
	said := res.Status + ": " + strings.TrimSpace(string(answer))
	switch {
	case res.StatusCode/100 == 2:
		return "", nil
	case res.StatusCode == http.StatusBadRequest, res.StatusCode == http.StatusRequestEntityTooLarge:
		return said, nil
	}
	return "", errors.Join(fmt.Errorf("push to loki: it answers %s", said), err)
}
