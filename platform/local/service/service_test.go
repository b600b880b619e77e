package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local/localtest"
	"github.com/homeostat/homeostat/platform/local/process"
	"github.com/homeostat/homeostat/platform/local/service"
	"github.com/homeostat/homeostat/platform/local/spec"
)

func TestMain(m *testing.M) {
	localtest.Main()
	goleak.VerifyTestMain(m)
}

// world is a running service and what it told.
type world struct {
	*service.Service
	t     *testing.T
	url   string
	store *metrics.Store

	mu     sync.Mutex
	events []service.Event
}

// start runs two replicas of the stand-in program in the mode, with settings that suit a test.
func start(t *testing.T, mode string, change func(s *spec.Service)) *world {
	t.Helper()
	s := spec.Default()
	s.Name, s.Command, s.Replicas = "web", []string{os.Args[0]}, 2
	s.Env = []spec.EnvVar{{Name: localtest.Env, Value: mode}, {Name: "GORACE", Value: "atexit_sleep_ms=0"}}
	s.Readiness = spec.Probe{Path: "/readyz", Period: 50 * time.Millisecond, Timeout: 5 * time.Second, FailureThreshold: 2}
	s.Restart = spec.Restart{InitialBackoff: 20 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, ResetAfter: time.Hour}
	s.TerminationGracePeriod = 10 * time.Second
	if change != nil {
		change(&s)
	}
	store, err := metrics.NewStore(metrics.Config{Span: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store}
	starter := process.NewStarter()
	w.Service = service.New(service.Options{
		Spec: s, Namespace: "local", Starter: starter, Store: store, SampleEvery: 20 * time.Millisecond,
		OnEvent: func(e service.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	address, err := w.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + address
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.Stop(ctx)
		starter.Close()
	})
	return w
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never happened: %s; events: %+v", what, w.told())
		}
	}
}

func (w *world) told() []service.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

func (w *world) hasEvent(reason, message string) bool {
	return slices.ContainsFunc(w.told(), func(e service.Event) bool {
		return e.Reason == reason && strings.Contains(e.Message, message)
	})
}

// ready waits until so many replicas are ready and there are no others.
func (w *world) ready(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d replicas are ready", n), func() bool {
		l := w.Workload()
		return len(l.Replicas) == n && l.ReadyReplicas() == int32(n)
	})
}

func (w *world) get(path string) (int, string) {
	w.t.Helper()
	resp, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// container of the replica of that name; the zero value when it is gone.
func (w *world) container(name string) cluster.Container {
	for _, r := range w.Workload().Replicas {
		if r.Name == name {
			return r.Containers[0]
		}
	}
	return cluster.Container{}
}

func names(l *cluster.Workload) []string {
	var all []string
	for _, r := range l.Replicas {
		all = append(all, r.Name)
	}
	slices.Sort(all)
	return all
}

func TestRequestsReachEveryReadyReplica(t *testing.T) {
	w := start(t, localtest.Serve, nil)
	w.ready(2)
	got := map[string]int{}
	for range 10 {
		_, body := w.get("/hostname")
		got[body]++
	}
	l := w.Workload()
	if diff := cmp.Diff(map[string]int{l.Replicas[0].Name: 5, l.Replicas[1].Name: 5}, got); diff != "" {
		t.Error(diff)
	}
	r := l.Replicas[0]
	if !strings.HasPrefix(r.Name, "web-") || r.UID == "" || r.Phase != cluster.PhaseRunning || r.Containers[0].State != cluster.StateRunning {
		t.Errorf("replica %+v", r)
	}
}

func TestScale(t *testing.T) {
	w := start(t, localtest.Serve, nil)
	w.ready(2)
	first := names(w.Workload())
	if err := w.Scale(t.Context(), 2, 4, "busy"); err != nil {
		t.Fatal(err)
	}
	w.ready(4)
	if err := w.Scale(t.Context(), 2, 5, ""); !errors.Is(err, service.ErrChanged) {
		t.Errorf("from a number that is not asked for: %v", err)
	}
	if err := w.Scale(t.Context(), 4, 101, ""); err == nil || !strings.Contains(err.Error(), "allowed is 0 to 100") {
		t.Errorf("out of range: %v", err)
	}
	if err := w.Scale(t.Context(), 4, 2, "idle"); err != nil {
		t.Fatal(err)
	}
	w.ready(2)
	if diff := cmp.Diff(first, names(w.Workload())); diff != "" {
		t.Errorf("the newest go first: %s", diff)
	}
	var changes []string
	for _, c := range w.Workload().Changes {
		changes = append(changes, c.Message)
	}
	if diff := cmp.Diff([]string{"scaled from 4 to 2 replicas: idle", "scaled from 2 to 4 replicas: busy"}, changes); diff != "" {
		t.Error(diff)
	}
}

func TestScaleDownTakesTheUnreadyFirst(t *testing.T) {
	w := start(t, localtest.Serve, nil)
	w.ready(2)
	_, sick := w.get("/hostname")
	for { // the next request goes to the other one
		if _, next := w.get("/hostname"); next != sick {
			break
		}
	}
	w.get("/unready")
	w.eventually("it is not ready", func() bool { return w.Workload().ReadyReplicas() == 1 })
	if status, body := w.get("/hostname"); status != http.StatusOK || body == sick {
		t.Errorf("%d from %s, which is not ready", status, body)
	}
	if err := w.Scale(t.Context(), 2, 1, ""); err != nil {
		t.Fatal(err)
	}
	w.ready(1)
	if left := names(w.Workload()); left[0] == sick {
		t.Errorf("the ready one went, %s stayed", sick)
	}
}

// The main promise of the memory limit: it kills for real, is told as OOM, and the log of the dead life is there.
func TestMemoryLimitKills(t *testing.T) {
	w := start(t, localtest.Serve, func(s *spec.Service) {
		s.Replicas, s.MemoryLimit = 1, 256<<20
		// A probe that meets the dying process must not pass for the cause of its death.
		s.Liveness = spec.Probe{Path: "/healthz", Period: 50 * time.Millisecond, Timeout: 5 * time.Second, FailureThreshold: 1}
	})
	w.ready(1)
	before := w.Workload().Replicas[0]
	w.get("/leak?rate=1000")
	w.eventually("it was killed and is back", func() bool {
		c := w.container(before.Name)
		return c.Restarts == 1 && c.State == cluster.StateRunning && c.Ready
	})
	c := w.container(before.Name)
	want := cluster.Termination{ExitCode: 137, Signal: int32(syscall.SIGKILL), Reason: cluster.ReasonOOMKilled}
	got := *c.Last
	if !strings.Contains(got.Message, "over the limit of 256.0 MiB") || !got.FinishedAt.After(got.StartedAt) {
		t.Errorf("death %+v", got)
	}
	out, err := w.Output(before.UID, got.ContainerID, true)
	if err != nil || !slices.ContainsFunc(out.Lines, func(l string) bool { return strings.HasPrefix(l, "leak: ") }) {
		t.Errorf("output of the dead life: %q, %v", out.Lines, err)
	}
	got.ContainerID, got.Message, got.StartedAt, got.FinishedAt = "", "", time.Time{}, time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if w.hasEvent("Unhealthy", "Liveness") {
		t.Errorf("events %+v", w.told())
	}
	if !c.OOMEventsKnown || c.OOMEvents != 1 {
		t.Errorf("OOM events %d", c.OOMEvents)
	}
	highest := int64(0)
	for _, p := range w.store.Points(metrics.Key{Namespace: "local", Pod: before.Name, Container: "web"}) {
		highest = max(highest, p.MemoryBytes)
	}
	if highest <= 256<<20 {
		t.Errorf("the samples reach %d bytes only", highest)
	}
}

func TestChildOverLimitIsCounted(t *testing.T) {
	w := start(t, localtest.Serve, func(s *spec.Service) {
		s.Replicas, s.MemoryLimit = 1, 384<<20
		s.Env = append(s.Env, spec.EnvVar{Name: "RATE", Value: "1000"})
	})
	w.ready(1)
	w.get("/child-leak")
	w.eventually("the kill is counted", func() bool { return w.Workload().Replicas[0].Containers[0].OOMEvents == 1 })
	c := w.Workload().Replicas[0].Containers[0]
	if c.Restarts != 0 || c.State != cluster.StateRunning || c.LastOOMEvent.IsZero() {
		t.Errorf("container %+v", c)
	}
}

func TestCrashLoopBacksOff(t *testing.T) {
	w := start(t, localtest.Crash, func(s *spec.Service) {
		s.Replicas = 1
		s.Restart = spec.Restart{InitialBackoff: 10 * time.Millisecond, MaxBackoff: time.Hour, ResetAfter: time.Hour}
	})
	w.eventually("it waits", func() bool {
		c := w.Workload().Replicas[0].Containers[0]
		return c.Restarts >= 3 && c.CrashLooping()
	})
	r := w.Workload().Replicas[0]
	c := r.Containers[0]
	if c.Last == nil || c.Last.ExitCode != 3 || c.Last.Reason != cluster.ReasonError || c.Terminated != nil || c.Ready {
		t.Errorf("container %+v", c)
	}
	if !strings.HasPrefix(c.WaitingMessage, "back-off ") || !w.hasEvent("BackOff", "Back-off restarting failed container web in pod "+r.Name) {
		t.Errorf("message %q", c.WaitingMessage)
	}
	out, err := w.Output(r.UID, "", true)
	if err != nil || !slices.Equal(out.Lines, []string{"starting", "panic: cannot open the database"}) {
		t.Errorf("output %q, %v", out.Lines, err)
	}
	if status, _ := w.get("/"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d without a ready replica", status)
	}
}

func TestCommandThatIsMissing(t *testing.T) {
	w := start(t, localtest.Serve, func(s *spec.Service) { s.Replicas, s.Command = 1, []string{"/does/not/exist"} })
	w.eventually("it waits", func() bool { return w.Workload().Replicas[0].Containers[0].CrashLooping() })
	last := w.Workload().Replicas[0].Containers[0].Last
	if last.ExitCode != 128 || last.Reason != "StartError" || !strings.Contains(last.Message, "/does/not/exist") {
		t.Errorf("death %+v", last)
	}
}

func TestKilledReplicaComesBack(t *testing.T) {
	w := start(t, localtest.Serve, nil)
	w.ready(2)
	name := w.Workload().Replicas[0].Name
	if err := w.Kill(name); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is back", func() bool { return w.container(name).Restarts == 1 })
	w.ready(2)
	if last := w.container(name).Last; last.ExitCode != 137 || last.Reason != cluster.ReasonError {
		t.Errorf("death %+v", last)
	}
	if err := w.Kill("web-none"); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("kill of a replica that is none: %v", err)
	}
}

func TestLivenessRestarts(t *testing.T) {
	w := start(t, localtest.Serve, func(s *spec.Service) {
		s.Replicas = 1
		s.Liveness = spec.Probe{Path: "/healthz", Period: 50 * time.Millisecond, Timeout: 5 * time.Second, FailureThreshold: 2}
	})
	w.ready(1)
	w.get("/hang")
	w.eventually("it was restarted", func() bool { return w.Workload().Replicas[0].Containers[0].Restarts == 1 })
	if last := w.Workload().Replicas[0].Containers[0].Last; last.Reason != "LivenessProbeFailed" {
		t.Errorf("death %+v", last)
	}
	for reason, message := range map[string]string{
		"Unhealthy": "Liveness probe failed: HTTP probe failed with statuscode: 503",
		"Killing":   "Container web failed liveness probe, will be restarted",
	} {
		if !w.hasEvent(reason, message) {
			t.Errorf("no event %s %q", reason, message)
		}
	}
}

func TestEvictMakesAFreshOne(t *testing.T) {
	w := start(t, localtest.Serve, nil)
	w.ready(2)
	old := w.Workload().Replicas[0]
	if err := w.Evict(t.Context(), old.Name, "another-uid"); !errors.Is(err, service.ErrGone) {
		t.Errorf("another UID: %v", err)
	}
	for range 2 { // twice is once
		if err := w.Evict(t.Context(), old.Name, old.UID); err != nil && !errors.Is(err, service.ErrGone) {
			t.Fatal(err)
		}
	}
	w.eventually("the old one is gone", func() bool { return w.container(old.Name).Name == "" })
	w.ready(2)
	out, err := w.Output(old.UID, "", false)
	if err != nil || out.Lines[len(out.Lines)-1] != "bye" || out.EndedAt.IsZero() {
		t.Errorf("output of the one that is gone: %+v, %v", out, err)
	}
}

func TestMinAvailableBlocks(t *testing.T) {
	all := intstr.FromString("100%")
	w := start(t, localtest.Serve, func(s *spec.Service) { s.MinAvailable = &all })
	w.ready(2)
	r := w.Workload().Replicas[0]
	err := w.Evict(t.Context(), r.Name, r.UID)
	if !errors.Is(err, service.ErrBlocked) || !strings.Contains(err.Error(), "1 ready would stay and minAvailable needs 2") {
		t.Errorf("error %v", err)
	}
	if w.Workload().ReadyReplicas() != 2 {
		t.Error("it was evicted all the same")
	}
}

// Replicas come and go under traffic and no request is lost.
func TestNoRequestIsLost(t *testing.T) {
	w := start(t, localtest.Serve, nil)
	w.ready(2)
	quit := make(chan struct{})
	var clients sync.WaitGroup
	var sent, failed int
	var mu sync.Mutex
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				status, body := w.get("/slow?ms=5")
				mu.Lock()
				if sent++; status != http.StatusOK {
					failed++
					t.Logf("%d %s", status, body)
				}
				mu.Unlock()
			}
		})
	}
	change := func(from, to int32) {
		if err := w.Scale(t.Context(), from, to, ""); err != nil {
			t.Error(err)
		}
		w.ready(int(to))
	}
	change(2, 4)
	change(4, 2)
	r := w.Workload().Replicas[0]
	if err := w.Evict(t.Context(), r.Name, r.UID); err != nil {
		t.Error(err)
	}
	w.eventually("it is gone", func() bool { return w.container(r.Name).Name == "" })
	w.ready(2)
	close(quit)
	clients.Wait()
	if failed != 0 || sent < 20 {
		t.Errorf("%d of %d requests failed", failed, sent)
	}
}

func TestBusyReplicaShowsInTheStore(t *testing.T) {
	w := start(t, localtest.Burn, func(s *spec.Service) { s.Replicas, s.Readiness.Path = 1, "" })
	name := w.Workload().Replicas[0].Name
	key := metrics.Key{Namespace: "local", Pod: name, Container: "web"}
	w.eventually("CPU is seen", func() bool {
		u := w.store.Container(key, time.Now())
		return u.OK() && u.CPUMilli > 100 && u.CPUMilli < 3000 && u.MemoryBytes > 1<<20
	})
}

func TestReplicaThatIgnoresSIGTERMIsKilled(t *testing.T) {
	w := start(t, localtest.Serve, func(s *spec.Service) {
		s.Replicas, s.TerminationGracePeriod = 1, 100*time.Millisecond
		s.Env = append(s.Env, spec.EnvVar{Name: "IGNORE_TERM", Value: "1"})
	})
	w.ready(1)
	if err := w.Scale(t.Context(), 1, 0, ""); err != nil {
		t.Fatal(err)
	}
	w.ready(0)
	if !w.hasEvent("ExceededGracePeriod", "did not end within 100ms") || !w.hasEvent("Ended", "exit code 137") {
		t.Errorf("events %+v", w.told())
	}
}

// Stop ends everything, even what does not want to, when its context is done.
func TestStopLeavesNothing(t *testing.T) {
	w := start(t, localtest.Serve, func(s *spec.Service) {
		s.TerminationGracePeriod = time.Hour
		s.Env = append(s.Env, spec.EnvVar{Name: "IGNORE_TERM", Value: "1"})
	})
	w.ready(2)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w.Stop(ctx)
	if l := w.Workload(); len(l.Replicas) != 0 {
		t.Errorf("%d replicas are left", len(l.Replicas))
	}
	if err := w.Scale(t.Context(), 2, 3, ""); !errors.Is(err, service.ErrStopped) {
		t.Errorf("scale after stop: %v", err)
	}
	w.Stop(ctx) // twice is fine
}
