package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func record(name string) Record {
	return Record{Kind: Decision, Subject: cluster.Ref{Kind: "Autoscaler", Name: name}, Reason: "DesiredWithinRange", Decision: &DecisionRecord{}}
}

func TestEveryRecordIsOneJSONLineInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, out := New(), &bytes.Buffer{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx, out) }()
		for _, n := range []string{"a", "b", "c"} {
			w.Write(record(n))
		}
		synctest.Wait()
		if got := strings.Count(out.String(), "\n"); got != 3 {
			t.Fatalf("%d lines are readable before the end, want 3", got)
		}
		w.Write(record("d"))
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(out.String()) {
			var r Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			names = append(names, r.Subject.Name)
		}
		if got := strings.Join(names, ""); got != "abcd" {
			t.Errorf("records %q, want abcd: what was queued before the end is written", got)
		}
	})
}

func TestAFullQueueDropsAndCountsAndNeverBlocks(t *testing.T) {
	t.Parallel()
	w := New()
	for range Queue + 7 {
		w.Write(record("x"))
	}
	if got := w.Dropped(); got != 7 {
		t.Errorf("dropped %d, want 7", got)
	}
}

func TestTheZeroWriterDropsEverything(t *testing.T) {
	t.Parallel()
	var none *Writer
	none.Write(record("x"))
	(&Writer{}).Write(record("x"))
	if none.Dropped() != 0 {
		t.Error("a nil writer counts")
	}
}

func TestARecordWithoutJSONIsDroppedAloneAndCounted(t *testing.T) {
	t.Parallel()
	w, out := New(), &bytes.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	bad := record("a")
	bad.Decision.Recommendation.At = time.Date(33658, 1, 1, 0, 0, 0, 0, time.UTC)
	w.Write(bad)
	w.Write(record("b"))
	if err := w.Run(ctx, out); err != nil || w.Dropped() != 1 || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), `"b"`) {
		t.Errorf("error %v, dropped %d, wrote %q; want the one line that can be written", err, w.Dropped(), out.String())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAnErrorOfTheFileEndsTheRun(t *testing.T) {
	t.Parallel()
	w := New()
	w.Write(record("x"))
	if err := w.Run(t.Context(), broken{}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v, want the disk's", err)
	}
}
