package correlation

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

const trace = "0af7651916cd43dd8448eb211c80319c"

func TestFromRequest(t *testing.T) {
	for _, c := range []struct{ name, requestID, traceparent, want string }{
		{"request id", "abc-1", "", "abc-1"},
		{"request id before traceparent", "abc-1", "00-" + trace + "-b7ad6b7169203331-01", "abc-1"},
		{"traceparent", "", "00-" + trace + "-b7ad6b7169203331-01", trace},
		{"a later version may be longer", "", "01-" + trace + "-b7ad6b7169203331-01-more", trace},
		{"forged line break is not accepted", "a\nb", "", ""},
		{"too long", strings.Repeat("a", 129), "", ""},
		{"none", "", "", ""},
		{"zero trace", "", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", ""},
		{"version ff", "", "ff-" + trace + "-b7ad6b7169203331-01", ""},
		{"upper case", "", "00-" + strings.ToUpper(trace) + "-b7ad6b7169203331-01", ""},
		{"version 00 is never longer", "", "00-" + trace + "-b7ad6b7169203331-01-more", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{Header: {c.requestID}, "Traceparent": {c.traceparent}}
			got := FromRequest(header)
			if c.want == "" {
				if len(got) != 32 || !lowerHex(got) || got == FromRequest(header) {
					t.Errorf("id is %q, want a new one of 32 hex digits", got)
				}
			} else if got != c.want {
				t.Errorf("id is %q, want %q", got, c.want)
			}
		})
	}
}

func TestTaggedAddsTheID(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(Tagged(slog.NewJSONHandler(&out, nil))).With("a", 1)
	log.InfoContext(With(t.Context(), "id-1"), "with")
	log.InfoContext(t.Context(), "without")
	var ids []any
	for line := range strings.Lines(out.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, record["correlation_id"])
	}
	if len(ids) != 2 || ids[0] != "id-1" || ids[1] != nil {
		t.Errorf("ids are %v, want id-1 and none", ids)
	}
}

func FuzzTraceID(f *testing.F) {
	f.Add("00-" + trace + "-b7ad6b7169203331-01")
	f.Add("01-" + trace + "-b7ad6b7169203331-01-more")
	f.Add("")
	f.Fuzz(func(t *testing.T, traceparent string) {
		if id, ok := TraceID(traceparent); ok && (len(id) != 32 || !lowerHex(id)) {
			t.Fatalf("%q gave the id %q", traceparent, id)
		}
	})
}
