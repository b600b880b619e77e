package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

func open(t *testing.T, dir string) *store {
	t.Helper()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

func names(list []incident.Incident) []string {
	var all []string
	for i := range list {
		all = append(all, list[i].Name)
	}
	return all
}

var web = cluster.Ref{Kind: cluster.KindService, Namespace: Namespace, Name: "web"}

func TestIncidentsAreComparedAndSwapped(t *testing.T) {
	s := open(t, t.TempDir())
	first, err := s.save(incident.Incident{Name: "a", Workload: web, State: incident.Open})
	if err != nil || first.Version == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := s.save(first)
	if err != nil || second.Version == first.Version {
		t.Fatalf("version %q after %q, %v", second.Version, first.Version, err)
	}
	for what, in := range map[string]incident.Incident{
		"an old version":    first,
		"one that exists":   {Name: "a"},
		"one that does not": {Name: "b", Version: "1"},
	} {
		if _, err := s.save(in); !errors.Is(err, control.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"", "../a", ".a"} {
		if _, err := s.save(incident.Incident{Name: name}); err == nil || errors.Is(err, control.ErrConflict) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// What one run stored is there for the next one, and for somebody who only reads.
func TestStateOutlivesTheRun(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	policy := healing.DefaultPolicy()
	want := incident.Incident{Name: "a", Workload: web, State: incident.Open, OpenedAt: at, Evidence: []incident.Evidence{{Kind: incident.EvidenceLog, Lines: []string{"x"}}}}
	saved, err := s.save(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.charge(policy, web, "r1", at); err != nil {
		t.Fatal(err)
	}
	status := AutoscalerStatus{
		Ref: cluster.Ref{Kind: "Autoscaler", Namespace: Namespace, Name: "web"}, Target: web, Mode: control.Active, Min: 1, Max: 3,
		Decision: &hpa.Recommendation{At: at, Current: 1, Desired: 2, Reason: hpa.ReasonDesiredWithinRange},
	}
	if err := s.report(t.Context(), status, &ScaleChange{At: at, From: 1, To: 2}); err != nil {
		t.Fatal(err)
	}

	read, err := OpenState(dir) // while the writer has it
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]incident.Incident{saved}, read.Incidents()); diff != "" {
		t.Error(diff)
	}
	status.Changes = []ScaleChange{{At: at, From: 1, To: 2}}
	if diff := cmp.Diff([]AutoscalerStatus{status}, read.Autoscalers()); diff != "" {
		t.Error(diff)
	}

	if _, err := openStore(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second writer: %v", err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	next := open(t, dir)
	if got := next.spent(policy, web); len(got) != 1 || !got[0].Equal(at) {
		t.Errorf("spent %v", got)
	}
	if _, err := next.save(saved); err != nil {
		t.Errorf("go on with the incident: %v", err)
	}
}

func TestBudget(t *testing.T) {
	s := open(t, t.TempDir())
	p := healing.DefaultPolicy() // 3 in an hour
	start := time.Now()
	steps := []struct {
		id    string
		after time.Duration
		err   error
	}{
		{"a", 0, nil},
		{"b", 0, nil},
		{"b", time.Minute, nil}, // charged once
		{"c", 2 * time.Minute, nil},
		{"d", 3 * time.Minute, control.ErrBudget},
		{"d", time.Hour, nil}, // a and b are an hour old
		{"e", time.Hour, nil},
		{"f", time.Hour, control.ErrBudget},
	}
	for _, step := range steps {
		if err := s.charge(p, web, step.id, start.Add(step.after)); !errors.Is(err, step.err) {
			t.Errorf("%s after %v: %v, want %v", step.id, step.after, err, step.err)
		}
	}
	other := web
	other.Name = "other"
	if err := s.charge(p, other, "x", start.Add(time.Hour)); err != nil {
		t.Errorf("another workload's budget: %v", err)
	}
}

func TestExpire(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Now()
	for name, age := range map[string]time.Duration{"new": time.Minute, "newer": time.Second, "older": 2 * time.Minute, "old": time.Hour} {
		in := incident.Incident{Name: name, State: incident.Resolved, ResolvedAt: now.Add(-age), OpenedAt: now.Add(-age)}
		if _, err := s.save(in); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.save(incident.Incident{Name: "active", State: incident.Abandoned, OpenedAt: now.Add(-24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := s.expire(now.Add(-10*time.Minute), 2); err != nil {
		t.Fatal(err)
	}
	want := []string{"active", "new", "newer"}
	if diff := cmp.Diff(want, names(s.list(func(*incident.Incident) bool { return true }))); diff != "" {
		t.Error(diff)
	}
	state, err := OpenState(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"newer", "new", "active"}, names(state.Incidents())); diff != "" {
		t.Error(diff)
	}
}

// A status file is not written every second for figures alone, but at once where the decision is another one.
func TestReportWritesWhatChanged(t *testing.T) {
	s := open(t, t.TempDir())
	at := time.Now()
	report := func(after time.Duration, desired int32) int32 {
		t.Helper()
		rec := &hpa.Recommendation{At: at.Add(after), Current: 2, Desired: desired}
		if err := s.report(t.Context(), AutoscalerStatus{Ref: web, Decision: rec}, nil); err != nil {
			t.Fatal(err)
		}
		state, err := OpenState(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		return int32(state.Autoscalers()[0].Decision.At.Sub(at) / time.Second)
	}
	if got := report(0, 2); got != 0 {
		t.Errorf("the first: %d", got)
	}
	if got := report(time.Second, 2); got != 0 {
		t.Errorf("the same a second later: written at %d", got)
	}
	if got := report(2*time.Second, 3); got != 2 {
		t.Errorf("another number: written at %d", got)
	}
	if got := report(8*time.Second, 3); got != 8 {
		t.Errorf("the same six seconds later: written at %d", got)
	}
}

func TestStateErrors(t *testing.T) {
	if _, err := OpenState(t.TempDir()); err == nil || !strings.Contains(err.Error(), "it is none") {
		t.Errorf("a folder that is no state folder: %v", err)
	}
	s := open(t, t.TempDir())
	bad := filepath.Join(s.dir, incidentDir, "x.json")
	if err := os.WriteFile(bad, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(s.dir); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("a broken file: %v", err)
	}
}
