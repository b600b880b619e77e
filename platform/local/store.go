package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	maxScaleChanges = 10
	// statusEvery is how often the file of a decision that says the same with other figures is written.
	statusEvery = 5 * time.Second
)

// ErrInUse is returned where another run writes the state folder.
var ErrInUse = errors.New("another run uses the state folder")

// store is the writer of a state folder, with all of it in memory. Safe for concurrent use.
type store struct {
	dir  string
	lock *os.File

	mu        sync.Mutex
	incidents map[string]incident.Incident
	budgets   map[string][]charge
	statuses  map[string]*status
}

// charge is one action that was taken from a budget.
type charge struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// status is what is known of an autoscaler, and when its file was written.
type status struct {
	AutoscalerStatus
	writtenAt time.Time
}

// DefaultStateDir is homeostat/NAME in the user's folder for state: XDG_STATE_HOME, or ~/.local/state.
func DefaultStateDir(name string) (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the state folder: %w; give one", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "homeostat", name), nil
}

// openStore makes the folder if need be, takes its lock and reads what is there. The last decisions of an earlier run are
// dropped.
func openStore(dir string) (*store, error) {
	for _, sub := range []string{incidentDir, autoscalerDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	lock, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open state folder %q: %w", dir, err)
	}
	s := &store{dir: dir, lock: lock, budgets: map[string][]charge{}, statuses: map[string]*status{}}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// takeLock takes the advisory lock that dies with this process, and writes the process number for people.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (process %s)", ErrInUse, strings.TrimSpace(string(holder)))
		}
		return nil, err
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func (s *store) load() error {
	var err error
	if s.incidents, err = readIncidents(s.dir); err != nil {
		return err
	}
	if err := readFile(filepath.Join(s.dir, budgetFile), &s.budgets); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(s.dir, autoscalerDir, "*"+stateExtension))
	if err != nil {
		return fmt.Errorf("read state folder: %w", err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the status of an earlier run: %w", err)
		}
	}
	return nil
}

// close gives the folder free.
func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("close state folder: %w", err)
	}
	return nil
}

func versionString(n int64) string { return strconv.FormatInt(n, 10) }

// save is control.IncidentStore's Save.
func (s *store) save(in incident.Incident) (incident.Incident, error) {
	if in.Name == "" || in.Name != filepath.Base(in.Name) || strings.HasPrefix(in.Name, ".") {
		return in, fmt.Errorf("save incident: %q is no name", in.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.incidents[in.Name]
	if exists != (in.Version != "") || exists && old.Version != in.Version {
		return in, fmt.Errorf("save incident %s: %w", in.Name, control.ErrConflict)
	}
	version := int64(0)
	if exists {
		v, err := strconv.ParseInt(old.Version, 10, 64)
		if err != nil {
			return in, fmt.Errorf("save incident %s: read its version: %w", in.Name, err)
		}
		version = v
	}
	stored := in.Clone()
	stored.Version = versionString(version + 1)
	if err := writeFile(s.incidentPath(in.Name), storedIncident{Version: version + 1, Incident: stored}); err != nil {
		return in, err
	}
	s.incidents[in.Name] = stored
	return stored.Clone(), nil
}

func (s *store) incidentPath(name string) string {
	return filepath.Join(s.dir, incidentDir, name+stateExtension)
}

// list returns the incidents that ok accepts, the oldest first.
func (s *store) list(ok func(*incident.Incident) bool) []incident.Incident {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []incident.Incident
	for _, in := range s.incidents {
		if ok(&in) {
			list = append(list, in.Clone())
		}
	}
	slices.SortFunc(list, func(a, b incident.Incident) int {
		if c := a.OpenedAt.Compare(b.OpenedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// expire removes the resolved incidents that ended before the given time, and the oldest ones beyond most.
func (s *store) expire(before time.Time, most int) error {
	resolved := s.list(func(in *incident.Incident) bool { return !in.State.Active() })
	slices.SortStableFunc(resolved, func(a, b incident.Incident) int { return b.ResolvedAt.Compare(a.ResolvedAt) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range resolved {
		in := &resolved[i]
		if i < most && !in.ResolvedAt.Before(before) || s.incidents[in.Name].Version != in.Version {
			continue
		}
		if err := os.Remove(s.incidentPath(in.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove incident: %w", err)
		}
		delete(s.incidents, in.Name)
	}
	return nil
}

func budgetKey(p healing.Policy, w cluster.Ref) string {
	return p.Namespace + "/" + p.Name + " " + w.String()
}

// spent returns the times of the charges, the oldest first.
func (s *store) spent(p healing.Policy, w cluster.Ref) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var times []time.Time
	for _, c := range s.budgets[budgetKey(p, w)] {
		times = append(times, c.At)
	}
	return times
}

// charge is control.Surgeon's Charge.
func (s *store) charge(p healing.Policy, w cluster.Ref, id string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := budgetKey(p, w)
	kept := slices.DeleteFunc(slices.Clone(s.budgets[key]), func(c charge) bool { return now.Sub(c.At) >= p.BudgetPeriod })
	if slices.ContainsFunc(kept, func(c charge) bool { return c.ID == id }) {
		return nil
	}
	if len(kept) >= int(p.BudgetActions) {
		return fmt.Errorf("charge the budget of %s: %d actions in %v: %w", w, len(kept), p.BudgetPeriod, control.ErrBudget)
	}
	before := s.budgets[key]
	s.budgets[key] = append(kept, charge{ID: id, At: now})
	if err := writeFile(filepath.Join(s.dir, budgetFile), s.budgets); err != nil {
		s.budgets[key] = before
		return err
	}
	return nil
}

// report keeps a status, and writes its file where something changed or the figures in it are old.
func (s *store) report(ctx context.Context, next AutoscalerStatus, change *ScaleChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := next.Ref.Name
	old := s.statuses[key]
	if old == nil {
		old = &status{}
		s.statuses[key] = old
	}
	next.Changes = old.Changes
	if change != nil {
		next.Changes = slices.Insert(slices.Clone(old.Changes), 0, *change)
		next.Changes = next.Changes[:min(len(next.Changes), maxScaleChanges)]
	}
	now := next.Decision.At
	same := change == nil && old.Decision != nil && sameDecision(&old.AutoscalerStatus, &next)
	old.AutoscalerStatus = next
	if same && now.Sub(old.writtenAt) < statusEvery || ctx.Err() != nil {
		return ctx.Err()
	}
	if err := writeFile(filepath.Join(s.dir, autoscalerDir, key+stateExtension), next); err != nil {
		return err
	}
	old.writtenAt = now
	return nil
}

// sameDecision reports whether both say the same, whatever the figures behind it.
func sameDecision(a, b *AutoscalerStatus) bool {
	x, y := a.Decision, b.Decision
	return a.Mode == b.Mode && a.Error == b.Error && x.Current == y.Current && x.Proposed == y.Proposed &&
		x.Desired == y.Desired && x.Reason == y.Reason && len(x.Metrics) == len(y.Metrics)
}
