//go:build linux

package ship

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// shelf is a Loki that has the texts of each container in the order in which they came. While answer is not 0 it takes nothing.
type shelf struct {
	mu     sync.Mutex
	answer int
	texts  map[string][]string
	times  map[string]string // of each text
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != 0 {
		http.Error(w, "not now", s.answer)
		return
	}
	var body struct{ Streams []stream }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/loki/api/v1/push" {
		http.Error(w, fmt.Sprint(r.URL.Path, err), http.StatusBadRequest)
		return
	}
	for _, one := range body.Streams {
		of := one.Labels.Namespace + "/" + one.Labels.Pod + "/" + one.Labels.Container
		for _, v := range one.Values {
			s.texts[of] = append(s.texts[of], v[1])
			s.times[v[1]] = v[0]
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *shelf) set(answer int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *shelf) of(container string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.texts[container])
}

// bench is a node with one container, and a shipper that turns when it is told to.
type bench struct {
	*shelf
	t       *testing.T
	options Options
	dir     string // of the container
	ship    *shipper
	now     time.Time
	at      time.Time // of the last line
}

const web = "shop/web-1/app"

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{shelf: &shelf{texts: map[string][]string{}, times: map[string]string{}}, t: t, at: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	server := httptest.NewServer(b.shelf)
	t.Cleanup(server.Close)
	root := t.TempDir()
	b.dir = filepath.Join(root, "shop_web-1_1111-2222", "app")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.options = Options{
		URL: server.URL, Roots: []string{filepath.Join(root, "not-there"), root}, Offsets: filepath.Join(t.TempDir(), "offsets.json"), Every: time.Millisecond,
		Log: slog.New(slog.DiscardHandler),
	}
	b.now = b.at
	b.restart()
	t.Cleanup(func() { b.ship.close() })
	return b
}

// restart begins anew with what the file of offsets has.
func (b *bench) restart() {
	b.t.Helper()
	if b.ship != nil {
		b.ship.close()
	}
	b.ship = &shipper{options: b.options, files: map[identity]*file{}, loki: pusher{url: b.options.URL + "/loki/api/v1/push"}}
	if err := b.ship.load(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) turn() error {
	b.now = b.now.Add(time.Second)
	return b.ship.turn(b.t.Context(), b.now)
}

func (b *bench) turns() {
	b.t.Helper()
	if err := b.turn(); err != nil {
		b.t.Fatal(err)
	}
}

// write appends to a file of the container, as the runtime does.
func (b *bench) write(name string, lines ...string) {
	b.t.Helper()
	f, err := os.OpenFile(filepath.Join(b.dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	for _, l := range lines {
		b.at = b.at.Add(time.Millisecond)
		if _, err := f.WriteString(b.at.Format(time.RFC3339Nano) + " " + l + "\n"); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) rename(from, to string) {
	b.t.Helper()
	if err := os.Rename(filepath.Join(b.dir, from), filepath.Join(b.dir, to)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wants(what string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.of(web)); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLinesOfTheCRIAreSentWithTheirTimes(t *testing.T) {
	b := newBench(t)
	b.write("0.log", "stdout F one", "stdout P be", "stderr F other", "stdout P gin", "stdout F ning", "stderr F ", "stdout F  two  spaces")
	b.write("0.log", "nonsense", "stdlog F x", "stdout F")
	if f, err := os.OpenFile(filepath.Join(b.dir, "0.log"), os.O_APPEND|os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString("2026-11-20T12:00:01Z stdout F without its end")
		f.Close()
	}
	b.turns()
	b.wants("lines", "one", "other", "beginning", "", " two  spaces")
	if got := b.times["beginning"]; got != fmt.Sprint(time.Date(2026, 11, 20, 12, 0, 0, 2e6, time.UTC).UnixNano()) {
		t.Errorf("a line in parts has the time %s, want that of its beginning", got)
	}
	b.write("0.log", "stdout F x") // ends the line before
	b.turns()
	if got := b.of(web); len(got) != 6 || !strings.HasPrefix(got[5], "without its end") {
		t.Errorf("the lines are %q", got)
	}
}

func TestARotatedLogIsFollowedToItsEnd(t *testing.T) {
	b := newBench(t)
	b.write("0.log", "stdout F one")
	b.turns()
	b.write("0.log", "stdout F two")
	b.rename("0.log", "0.log.20261120-120000")
	b.write("0.log.20261120-120000", "stdout F three") // the runtime was not told yet
	b.turns()
	b.write("0.log.20261120-120000", "stdout F four")
	b.write("0.log", "stdout F five")
	b.turns()
	got := b.of(web)
	slices.Sort(got[2:]) // of two files at once the order is by their times, which Loki has
	if diff := cmp.Diff([]string{"one", "two", "five", "four", "three"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for range 6 {
		b.turns()
	}
	if len(b.ship.files) != 1 {
		t.Errorf("%d files are open after a while, want the current one", len(b.ship.files))
	}
	b.write("0.log.20261120-110000", "stdout F from before the shipper")
	b.turns()
	if slices.Contains(b.of(web), "from before the shipper") {
		t.Error("an old file that was never followed was sent")
	}
}

func TestALogWhosePodIsDeletedWhileLokiIsAwayIsSentWhenItIsBack(t *testing.T) {
	b := newBench(t)
	b.write("0.log", "stdout F one")
	b.turns()
	b.set(http.StatusServiceUnavailable)
	b.write("0.log", "stdout F two", "stdout P th")
	if err := b.turn(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatalf("error is %v", err)
	}
	b.write("0.log", "stdout F ree")
	if err := os.RemoveAll(filepath.Dir(b.dir)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := b.turn(); err == nil {
			t.Fatal("it is away")
		}
	}
	b.wants("while it is away", "one")
	b.set(0)
	b.turns()
	b.wants("when it is back", "one", "two", "three")
	if len(b.ship.files) != 0 {
		t.Error("the removed file is still open")
	}
}

func TestAShipperThatIsStartedAgainGoesOnWhereItWas(t *testing.T) {
	b := newBench(t)
	b.write("0.log", "stdout F one", "stdout P tw")
	b.turns()
	b.write("0.log", "stdout F o")
	b.rename("0.log", "0.log.20261120-120000")
	b.write("0.log", "stdout F three")
	b.write("1.log", "stdout F four")
	b.restart()
	b.turns()
	got := b.of(web)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"four", "one", "three", "two"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	b.restart()
	b.turns()
	if len(b.of(web)) != 4 {
		t.Errorf("lines were sent again: %q", b.of(web))
	}
}

func TestWhatLokiWillNeverTakeIsLeftOut(t *testing.T) {
	b := newBench(t)
	b.set(http.StatusBadRequest)
	b.write("0.log", "stdout F too old")
	b.turns()
	b.set(0)
	b.write("0.log", "stdout F next")
	b.turns()
	b.wants("lines", "next")
	b.set(http.StatusUnauthorized)
	b.write("0.log", "stdout F kept")
	if err := b.turn(); err == nil {
		t.Error("a Loki that wants credentials may be mended")
	}
	b.set(0)
	b.turns()
	b.wants("lines", "next", "kept")
}

func TestALogThatIsEmptiedIsReadFromItsBeginning(t *testing.T) {
	b := newBench(t)
	b.write("0.log", "stdout F a long first line")
	b.turns()
	if err := os.Truncate(filepath.Join(b.dir, "0.log"), 0); err != nil {
		t.Fatal(err)
	}
	b.write("0.log", "stdout F short")
	b.turns()
	b.wants("lines", "a long first line", "short")
}

func TestMuchIsSentInPushesOfSomeSize(t *testing.T) {
	b := newBench(t)
	var want []string
	text := strings.Repeat("x", 16<<10)
	for i := range 300 {
		want = append(want, fmt.Sprint(i)+text)
		b.write("0.log", "stdout F "+want[i])
	}
	b.turns()
	b.wants("lines", want...)
}

func TestRunEndsAndSaysWhatIsWrong(t *testing.T) {
	b := newBench(t)
	b.write("0.log", "stdout F one")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, b.options) }()
	for deadline := time.Now().Add(10 * time.Second); len(b.of(web)) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b.wants("lines", "one")
	wrong := b.options
	wrong.URL = "loki:3100"
	if err := Run(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), `"loki:3100"`) {
		t.Errorf("error is %v", err)
	}
	if err := os.WriteFile(b.options.Offsets, []byte("no JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), b.options); err == nil || !strings.Contains(err.Error(), "offsets") {
		t.Errorf("error is %v", err)
	}
}

// Whatever is in a file: reading ends, never goes back, and what was not ended is read again.
func FuzzLines(f *testing.F) {
	f.Add([]byte("2026-11-20T12:00:00Z stdout P a\n2026-11-20T12:00:00Z stdout F b\nx\n\n"), []byte("2026-11-20T12:00:00Z stderr F c\n"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		path := filepath.Join(t.TempDir(), "0.log")
		if err := os.WriteFile(path, first, 0o600); err != nil {
			t.Fatal(err)
		}
		handle, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer handle.Close()
		one := &file{handle: handle}
		var parts batch
		read := func() {
			if err := one.read(&parts); err != nil {
				t.Fatal(err)
			}
			one.commit()
			if one.sent > one.next || one.sent < 0 {
				t.Fatalf("sent %d of %d", one.sent, one.next)
			}
		}
		read()
		if _, err := handle.Write(second); err != nil {
			t.Fatal(err)
		}
		read()
		whole := &file{handle: handle}
		var at batch
		if err := whole.read(&at); err != nil {
			t.Fatal(err)
		}
		count := func(b batch) (n int) {
			for _, s := range b.streams {
				n += len(s.Values)
			}
			return n
		}
		if count(parts) != count(at) || whole.next != one.next {
			t.Errorf("in two readings %d lines up to %d, in one %d up to %d", count(parts), one.next, count(at), whole.next)
		}
	})
}
