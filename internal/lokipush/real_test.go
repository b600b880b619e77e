package lokipush

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/internal/logs/loki"
	"github.com/homeostat/homeostat/internal/logs/loki/lokitest"
)

// TestRealLoki pushes to a Loki with tenants and reads back by the id, which is structured metadata and no label.
func TestRealLoki(t *testing.T) {
	url := lokitest.Start(t, "../..", true)
	p, err := New(Options{URL: url, Tenant: "ops", Wait: 50 * time.Millisecond, Grace: time.Minute, Timeout: 20 * time.Second, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var want []logs.Line
	for i := range 300 {
		r := decision(i)
		r.Time = now.Add(time.Duration(i-300) * time.Millisecond)
		if i%10 == 0 {
			r.ID = "d-0000000abc"
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, logs.Line{At: r.Time, Text: string(text)})
		}
		p.Write(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil || p.Dropped() != 0 {
		t.Fatalf("error %v, %d dropped", err, p.Dropped())
	}
	by := func(labels loki.Labels, q logs.Query) []logs.Line {
		t.Helper()
		r, err := loki.New(loki.Options{URL: url, Tenant: "ops", Timeout: 20 * time.Second, Now: time.Now, Labels: labels})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		q.From, q.To, q.MaxLines, q.MaxBytes = now.Add(-time.Minute), now.Add(time.Minute), 1000, 1<<20
		var got []logs.Line
		for deadline := time.Now().Add(20 * time.Second); len(got) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if got, err = r.Window(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	id := loki.Labels{Namespace: "app", Pod: "id", Container: "kind", Structured: true}
	if diff := cmp.Diff(want, by(id, logs.Query{Namespace: App, Replicas: []string{"d-0000000abc"}, Container: string(journal.Decision)})); diff != "" {
		t.Errorf("lines of the id (-want +got):\n%s", diff)
	}
	labels := loki.Labels{Namespace: "namespace", Pod: "kind", Container: "app"}
	if got := by(labels, logs.Query{Namespace: "shop", Replicas: []string{string(journal.Decision)}, Container: App}); len(got) != 300 {
		t.Errorf("%d lines by labels, want 300", len(got))
	}
}
