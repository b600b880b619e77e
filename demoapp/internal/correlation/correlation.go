// Package correlation gives each request one id and puts it into every log line that is written on
// behalf of the request, also by work that goes on after the reply. It reads the id from the headers
// that callers commonly send; it does not create or forward spans.
package correlation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"
)

// Header is the request header an id is read from first, and the response header it is returned in.
const Header = "X-Request-Id"

// longest is the length up to which a foreign id is accepted: long enough for every common scheme,
// short enough that a caller cannot fill the log with it.
const longest = 128

type contextKey struct{}

// FromRequest returns the id of a request: the X-Request-Id header if it is 1 to 128 letters, digits
// or any of - _ . : / + = @ , otherwise the trace id of a valid W3C traceparent header, otherwise 32
// random hexadecimal digits.
func FromRequest(header http.Header) string {
	if id := header.Get(Header); acceptable(id) {
		return id
	}
	if id, ok := TraceID(header.Get("traceparent")); ok {
		return id
	}
	var random [16]byte
	// Read never fails: it ends the program if the system has no randomness.
	_, _ = rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

func acceptable(id string) bool {
	if id == "" || len(id) > longest {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-_.:/+=@", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// TraceID returns the trace id of a traceparent header (W3C Trace Context, section 3.2: version, 32 hex
// digits of trace id, 16 of parent id, flags, joined by dashes) and whether the header is valid. An id of
// zeros only is invalid by that specification, and so is version ff.
func TraceID(traceparent string) (string, bool) {
	const version00 = len("00-") + 32 + len("-") + 16 + len("-01")
	if len(traceparent) < version00 {
		return "", false
	}
	version, trace, parent, flags := traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:55]
	if traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' {
		return "", false
	}
	if !lowerHex(version) || !lowerHex(trace) || !lowerHex(parent) || !lowerHex(flags) || version == "ff" {
		return "", false
	}
	if strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "" {
		return "", false
	}
	if len(traceparent) > version00 && (version == "00" || traceparent[version00] != '-') {
		return "", false
	}
	return trace, true
}

func lowerHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// With returns a context that carries the id.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// From returns the id a context carries, or "".
func From(ctx context.Context) string {
	id, _ := ctx.Value(contextKey{}).(string)
	return id
}

// Tagged returns a slog handler that adds correlation_id to each record whose context carries an id.
func Tagged(next slog.Handler) slog.Handler {
	return tagged{next}
}

type tagged struct{ slog.Handler }

// Handle implements slog.Handler.
func (t tagged) Handle(ctx context.Context, record slog.Record) error {
	if id := From(ctx); id != "" {
		record.AddAttrs(slog.String("correlation_id", id))
	}
	return t.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (t tagged) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tagged{t.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t tagged) WithGroup(name string) slog.Handler {
	return tagged{t.Handler.WithGroup(name)}
}
