//go:build linux

// Package ship sends the logs of a lab's containers to a Loki, as an agent on each node of a cluster does: it tails the files that the container runtime
// writes below /var/log/pods, in the format of the CRI, with the labels namespace, pod and container.
//
// Every line is sent at least once and in the order of its file: the files themselves are the queue, where a line has been sent is kept in a file of
// offsets, and while Loki is away nothing is read. A line is lost only where its file is rotated away or removed before it was opened, or where Loki
// refuses it. It collects nothing else and reads no compressed file.
package ship

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

const (
	// batchBytes is about how much one push has; Loki takes 4 MiB at once by default.
	batchBytes = 1 << 20
	// chunk is how much is read of one file at once.
	chunk = 256 << 10
	// afterlife is how long a file that was rotated away is still followed: the runtime writes to it until it is told.
	afterlife = 5 * time.Second
	maxPause  = 5 * time.Second
)

// Options say what is sent where.
type Options struct {
	// URL of the Loki, such as http://127.0.0.1:3100.
	URL string
	// Roots are the folders that are /var/log/pods on the nodes. One that is not there yet is looked for again.
	Roots []string
	// Offsets is the file that remembers what was sent.
	Offsets string
	// Every is how often the files are looked at. Default 250ms.
	Every time.Duration
	Log   *slog.Logger
}

// Run sends until ctx is done.
func Run(ctx context.Context, o Options) error {
	if !strings.HasPrefix(o.URL, "http://") && !strings.HasPrefix(o.URL, "https://") {
		return fmt.Errorf("loki: %q is no address such as http://127.0.0.1:3100", o.URL)
	}
	o.Every = cmp.Or(o.Every, 250*time.Millisecond)
	s := &shipper{options: o, files: map[identity]*file{}, loki: pusher{url: strings.TrimRight(o.URL, "/") + "/loki/api/v1/push"}}
	if err := s.load(); err != nil {
		return err
	}
	defer s.close()
	pause := o.Every
	for {
		err := s.turn(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			o.Log.Warn("logs not sent", "error", err)
			pause = min(2*pause, maxPause)
		default:
			pause = o.Every
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// identity tells a file apart from another one of the same name.
type identity struct{ device, inode uint64 }

func (i identity) String() string { return fmt.Sprintf("%d:%d", i.device, i.inode) }

// saved is what the offsets' file has of one file.
type saved struct {
	Path   string `json:"path"`
	Offset int64  `json:"offset"`
}

type shipper struct {
	options Options
	loki    pusher
	files   map[identity]*file
	known   map[string]saved // by identity, from the offsets' file
	written string           // the offsets' file as it is
}

// turn looks for files once and sends what they have.
func (s *shipper) turn(ctx context.Context, now time.Time) error {
	if err := s.find(now); err != nil {
		return err
	}
	for {
		b, err := s.collect()
		if err != nil {
			return err
		}
		if b.bytes == 0 {
			break
		}
		if err := s.send(ctx, b); err != nil {
			return err
		}
	}
	s.forget(now)
	return s.store()
}

// collect reads the files by their names until a batch is full. It is empty where nothing is left.
func (s *shipper) collect() (batch, error) {
	b := batch{}
	for _, id := range slices.SortedFunc(maps.Keys(s.files), func(a, b identity) int { return cmp.Compare(s.files[a].path, s.files[b].path) }) {
		if b.bytes >= batchBytes {
			break
		}
		if err := s.files[id].read(&b); err != nil {
			return batch{}, err
		}
	}
	return b, nil
}

// send pushes the batch and stores how far the files are sent; a batch that does not arrive is read again.
func (s *shipper) send(ctx context.Context, b batch) error {
	refused, err := s.loki.push(ctx, b)
	if err != nil {
		for _, f := range s.files {
			f.rewind()
		}
		return err
	}
	if refused != "" {
		s.options.Log.Warn("lines that loki refuses are left out", "answer", refused)
	}
	for _, f := range s.files {
		f.commit()
	}
	return s.store()
}

// logFile matches the logs of a container: 0.log, 1.log of its restarts, and with what is behind it those that were rotated away.
var logFile = regexp.MustCompile(`^[0-9]+\.log(\.[0-9-]+)?$`)

// find opens files that are new. One that was rotated away is only opened to go on where it was left.
func (s *shipper) find(now time.Time) error {
	there := map[identity]string{}
	for _, root := range s.options.Roots {
		paths, err := filepath.Glob(filepath.Join(root, "*", "*", "*.log*"))
		if err != nil {
			return fmt.Errorf("find logs below %s: %w", root, err)
		}
		for _, path := range paths {
			if err := s.meet(there, path); err != nil {
				return err
			}
		}
	}
	for id, f := range s.files {
		path, ok := there[id]
		switch current := ok && !strings.Contains(filepath.Base(path), ".log."); {
		case current:
			f.gone = time.Time{}
		case f.gone.IsZero():
			f.gone = now
		}
		if ok {
			f.path = path
		}
	}
	return nil
}

// meet notes that a log is there, and opens it where it is new.
func (s *shipper) meet(there map[identity]string, path string) error {
	match := logFile.FindStringSubmatch(filepath.Base(path))
	id, err := identify(path)
	if match == nil || err != nil { // it may have been removed meanwhile
		return nil //nolint:nilerr // a file that is gone is no failure
	}
	there[id] = path
	_, left := s.known[id.String()]
	if s.files[id] != nil || match[1] != "" && !left {
		return nil
	}
	if err := s.open(id, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func identify(path string) (identity, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return identity{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return identity{stat.Dev, stat.Ino}, nil
}

// open opens the file and goes on where it was left. A recycled inode has another path, unless the file was rotated away.
func (s *shipper) open(id identity, path string) error {
	labels, ok := labelsOf(path)
	if !ok {
		return nil
	}
	handle, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	f := &file{handle: handle, path: path, labels: labels}
	if was, ok := s.known[id.String()]; ok && strings.HasPrefix(path, was.Path) {
		f.next, f.sent = was.Offset, was.Offset
	}
	s.files[id] = f
	return nil
}

// labelsOf reads NAMESPACE_POD_UID/CONTAINER/N.log; none of the names can have the separator in it.
func labelsOf(path string) (labels, bool) {
	container := filepath.Base(filepath.Dir(path))
	parts := strings.Split(filepath.Base(filepath.Dir(filepath.Dir(path))), "_")
	if len(parts) != 3 {
		return labels{}, false
	}
	return labels{Namespace: parts[0], Pod: parts[1], Container: container}, true
}

// forget closes files that are removed or were rotated away, once they are read to their end.
func (s *shipper) forget(now time.Time) {
	for id, f := range s.files {
		if f.gone.IsZero() || now.Sub(f.gone) < afterlife && !f.removed() {
			continue
		}
		_ = f.handle.Close() // it was only read
		delete(s.files, id)
	}
}

func (s *shipper) close() {
	for _, f := range s.files {
		_ = f.handle.Close() // it was only read
	}
}

func (s *shipper) load() error {
	text, err := os.ReadFile(s.options.Offsets)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read offsets: %w", err)
	}
	if err := json.Unmarshal(text, &s.known); err != nil {
		return fmt.Errorf("read offsets in %s: %w", s.options.Offsets, err)
	}
	return nil
}

// store writes the offsets where they are others than before.
func (s *shipper) store() error {
	s.known = map[string]saved{}
	for id, f := range s.files {
		path, _, _ := strings.Cut(f.path, ".log.")
		s.known[id.String()] = saved{Path: strings.TrimSuffix(path, ".log") + ".log", Offset: f.sent}
	}
	text, err := json.Marshal(s.known)
	if err != nil || string(text) == s.written {
		return err
	}
	if _, err := layout.WriteFile(s.options.Offsets, text, 0o644); err != nil {
		return fmt.Errorf("write offsets: %w", err)
	}
	s.written = string(text)
	return nil
}
