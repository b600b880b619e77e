package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

func record(name string) Record {
	return Record{Kind: Decision, Subject: cluster.Ref{Kind: "Autoscaler", Name: name}, Reason: "DesiredWithinRange", Decision: &DecisionRecord{}}
}

func TestEveryRecordIsOneJSONLineInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, out := New(), &bytes.Buffer{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx, out, slog.New(slog.DiscardHandler))
		}()
		for _, n := range []string{"a", "b", "c"} {
			w.Write(record(n))
		}
		synctest.Wait()
		if got := strings.Count(out.String(), "\n"); got != 3 {
			t.Fatalf("%d lines are readable before the end, want 3", got)
		}
		w.Write(record("d"))
		cancel()
		<-ended
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

func TestEveryRecordHasTheIDOfItsChain(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	change := record("web")
	change.Subject.Namespace, change.Decision.Recommendation = "shop", hpa.Recommendation{At: at, Current: 2, Desired: 4}
	in := Record{Kind: Incident, Incident: &incident.Incident{Namespace: "shop", Name: "web-oomkilled-1"}}
	act := Record{
		Kind: Action, Subject: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}, Action: &ActionRecord{Incident: "web-oomkilled-1"},
	}
	var got []string
	w := New()
	w.Also(func(r Record) { got = append(got, r.ID) })
	for range Queue {
		w.Write(record("x")) // changes nothing, and fills the queue
	}
	got = nil
	for _, r := range []Record{change, in, act, record("y")} {
		w.Write(r)
	}
	want := []string{cluster.DecisionID(change.Subject, at, 2, 4), "shop/web-oomkilled-1", "shop/web-oomkilled-1", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids that the sink saw while the queue was full (-want +got):\n%s", diff)
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
	w.Run(ctx, out, slog.New(slog.DiscardHandler))
	if w.Dropped() != 1 || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), `"b"`) {
		t.Errorf("dropped %d, wrote %q; want the one line that can be written", w.Dropped(), out.String())
	}
}

// full is a disk that takes only a part of the first line, none of the second, and is mended then.
type full struct {
	bytes.Buffer
	writes int
}

func (f *full) Write(line []byte) (int, error) {
	f.writes++
	switch f.writes {
	case 1:
		n, _ := f.Buffer.Write(line[:10])
		return n, errors.New("disk full")
	case 2:
		return 0, errors.New("disk full")
	}
	return f.Buffer.Write(line)
}

func TestADiskThatIsFullForAWhileCostsTheLinesOfThatWhile(t *testing.T) {
	t.Parallel()
	w, out, log := New(), &full{}, &bytes.Buffer{}
	for _, n := range []string{"torn", "lost", "kept", "last"} {
		r := record(n)
		r.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		w.Write(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Run(ctx, out, slog.New(slog.NewTextHandler(log, nil)))
	var names []string
	faults := 0
	for r, err := range Read(strings.NewReader(out.String())) {
		if err != nil {
			faults++
			continue
		}
		names = append(names, r.Subject.Name)
	}
	if strings.Join(names, " ") != "kept last" || faults != 1 || w.Dropped() != 2 {
		t.Errorf("%v can be read, %d lines cannot, %d were dropped: want kept and last, 1, 2\n%s", names, faults, w.Dropped(), out.String())
	}
	if n := strings.Count(log.String(), "level="); n != 2 || !strings.Contains(log.String(), "disk full") {
		t.Errorf("the log has %d lines, want one for the beginning and one for the end:\n%s", n, log.String())
	}
}
