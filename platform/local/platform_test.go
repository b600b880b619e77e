package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/schedule"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local"
	"github.com/homeostat/homeostat/platform/local/localtest"
	"github.com/homeostat/homeostat/platform/local/spec"
)

func TestMain(m *testing.M) {
	localtest.Main()
	goleak.VerifyTestMain(m)
}

var (
	target     = cluster.Ref{Kind: cluster.KindService, Namespace: local.Namespace, Name: "web"}
	autoscaler = control.Autoscaler{
		Ref:  cluster.Ref{Kind: "Autoscaler", Namespace: local.Namespace, Name: "web"},
		Mode: control.Active, Target: target, Generation: 1, Policy: scaleOnCPU(),
	}
)

// scaleOnCPU keeps 40 % of the requested CPU with windows that suit a test.
func scaleOnCPU() hpa.Policy {
	p := hpa.DefaultPolicy()
	none := time.Duration(0)
	p.Min, p.Max, p.Metrics = 1, 3, []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 40}}
	p.CPUInitializationPeriod, p.InitialReadinessDelay = 0, 0
	p.Behavior = &hpa.Behavior{ScaleDown: &hpa.Rules{StabilizationWindow: &none}}
	return p
}

// world is a platform with its replicas, and the control loops' view of it.
type world struct {
	*local.Platform
	t   *testing.T
	dir string
}

func start(t *testing.T, change func(c *local.Config)) *world {
	t.Helper()
	s := spec.Default()
	s.Name, s.Labels, s.Command = "web", map[string]string{"app": "web"}, []string{os.Args[0]}
	s.Env = []spec.EnvVar{{Name: localtest.Env, Value: localtest.Serve}, {Name: "GORACE", Value: "atexit_sleep_ms=0"}}
	s.Readiness = spec.Probe{Path: "/readyz", Period: 50 * time.Millisecond, Timeout: 5 * time.Second, FailureThreshold: 2}
	s.CPURequestMilli = 500
	c := local.Config{Service: s, Autoscalers: []control.Autoscaler{autoscaler}}
	if change != nil {
		change(&c)
	}
	store, err := metrics.NewStore(metrics.Config{Span: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir()}
	w.Platform, err = local.New(local.Options{Config: c, StateDir: w.dir, Store: store, SampleEvery: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never happened: %s; replicas: %+v", what, w.Replicas())
		}
	}
}

func (w *world) workload() *cluster.Workload { return w.Snapshot(time.Now()).Workloads[0] }

func (w *world) ready(n int32) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d replicas are ready", n), func() bool {
		return len(w.Replicas()) == int(n) && w.workload().ReadyReplicas() == n
	})
}

func (w *world) get(path string) {
	w.t.Helper()
	resp, err := http.Get("http://" + w.Addr() + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %d %s", path, resp.StatusCode, body)
	}
}

// quiet is a Recorder for tests that look at the platform itself.
type quiet struct{}

func (quiet) Decided(control.Autoscaler, hpa.Observation, hpa.History, hpa.Recommendation, error) {}
func (quiet) Incident(incident.Incident)                                                          {}
func (quiet) Acted(healing.Action, healing.Result, time.Time)                                     {}
func (quiet) Healed(control.HealingView)                                                          {}
func (quiet) Turned(string, time.Duration, error)                                                 {}

// loops runs both engines on the platform as the controller does, until the test ends.
func (w *world) loops() {
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { control.NewScaling(w, w, quiet{}, log).Run(ctx, 50*time.Millisecond) })
	running.Go(func() {
		control.NewHealing(w, w, w, quiet{}, control.DefaultLimits(), "test", log).Run(ctx, 50*time.Millisecond, w.Changed())
	})
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// The whole main job: load, and the engine scales up; no load, and it scales down again.
func TestEnginesScaleWithTheLoad(t *testing.T) {
	w := start(t, nil)
	w.ready(1)
	w.loops()
	w.get("/burn?ms=3000")
	w.eventually("it was scaled up", func() bool { return w.workload().Desired > 1 && w.workload().ReadyReplicas() > 1 })
	w.eventually("it was scaled down", func() bool { return w.workload().Desired == 1 && len(w.Replicas()) == 1 })
	state, err := local.OpenState(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	a := state.Autoscalers()
	if len(a) != 1 || a[0].Decision == nil || len(a[0].Changes) < 2 || a[0].Changes[len(a[0].Changes)-1].From != 1 {
		t.Errorf("stored status %+v", a)
	}
}

// The other half: a leak, a real kill at the limit, and an incident with the lines that explain it.
func TestEnginesExplainAnOOMKill(t *testing.T) {
	policy := healing.DefaultPolicy()
	policy.Namespace, policy.Name, policy.ResolveAfter = local.Namespace, "web", 200*time.Millisecond
	w := start(t, func(c *local.Config) {
		c.Service.MemoryLimit = 256 << 20
		c.Policies = []local.HealingPolicy{{Policy: policy, Selector: labels.SelectorFromSet(labels.Set{"app": "web"})}}
	})
	w.ready(1)
	w.loops()
	w.get("/leak?rate=1000")
	find := func() *incident.Incident {
		state, err := local.OpenState(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range state.Incidents() {
			if in.Kind == incident.OOMKilled {
				return &in
			}
		}
		return nil
	}
	w.eventually("there is an incident", func() bool { return find() != nil })
	in := find()
	log := slices.IndexFunc(in.Evidence, func(e incident.Evidence) bool { return e.Kind == incident.EvidenceLog })
	if log < 0 || !slices.ContainsFunc(in.Evidence[log].Lines, func(l string) bool { return strings.HasPrefix(l, "leak: ") }) {
		t.Errorf("no log lines of the leak: %+v", in.Evidence)
	}
	death := slices.IndexFunc(in.Evidence, func(e incident.Evidence) bool { return e.Termination != nil })
	if death < 0 || in.Evidence[death].Termination.ExitCode != 137 {
		t.Errorf("no termination: %+v", in.Evidence)
	}
	if in.Policy != "web" || in.Workload != target {
		t.Errorf("incident of policy %q and workload %v", in.Policy, in.Workload)
	}
	w.eventually("it is resolved", func() bool { in := find(); return in != nil && in.State == incident.Resolved })
}

func TestScaleNeedsThePresentNumber(t *testing.T) {
	w := start(t, nil)
	err := w.Scale(t.Context(), autoscaler, hpa.Recommendation{Current: 3, Desired: 2})
	if !errors.Is(err, control.ErrConflict) {
		t.Errorf("error %v, want a conflict", err)
	}
}

func TestObserve(t *testing.T) {
	day, err := schedule.Parse(schedule.Spec{Name: "day", Start: "0 8 * * *", End: "0 20 * * *", MinReplicas: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, func(c *local.Config) { c.Schedules = schedule.Set{day} })
	w.ready(1)
	var obs hpa.Observation
	w.eventually("its usage is known", func() bool {
		var err error
		if obs, err = w.Observe(t.Context(), autoscaler, time.Now()); err != nil {
			t.Fatal(err)
		}
		return obs.Replicas[0].CPU.Known && obs.Replicas[0].Memory.Known
	})
	r := obs.Replicas[0]
	if obs.Current != 1 || !r.Ready || !r.ReadyKnown || r.CPU.Request != 500 || r.CPU.RequestMissing != "" || r.Memory.RequestMissing != "web" {
		t.Errorf("observation %+v", obs)
	}
	if _, err := w.Save(t.Context(), incident.Incident{Name: "x", Workload: target, State: incident.Open}); err != nil {
		t.Fatal(err)
	}
	if obs, err := w.Observe(t.Context(), autoscaler, time.Now()); err != nil || obs.Incident != "x" {
		t.Errorf("incident %q, %v", obs.Incident, err)
	}
	for hour, want := range map[int]*hpa.Floor{7: nil, 12: {Replicas: 2, By: "schedule day"}} {
		obs, err := w.Observe(t.Context(), autoscaler, time.Date(2026, 1, 9, hour, 0, 0, 0, time.UTC))
		if diff := cmp.Diff(want, obs.Floor); diff != "" || err != nil {
			t.Errorf("the minimum at %d:00: %v, -want +got:\n%s", hour, err, diff)
		}
	}
}

func TestCarry(t *testing.T) {
	w := start(t, func(c *local.Config) { c.Service.Replicas = 2 })
	w.ready(2)
	r := w.Replicas()[0]
	action := healing.Action{Remedy: incident.RemedyRestart, Workload: target, Replica: r.Name, ReplicaUID: r.UID}
	wrong := action
	wrong.ReplicaUID = "another"
	if got := w.Carry(t.Context(), wrong); got.Reason != healing.ReasonReplicaGone {
		t.Errorf("another UID: %+v", got)
	}
	unknown := action
	unknown.Remedy = "Reboot"
	if got := w.Carry(t.Context(), unknown); got.Outcome != incident.Failed {
		t.Errorf("another remedy: %+v", got)
	}
	for range 2 {
		if got := w.Carry(t.Context(), action); got.Outcome != incident.Done {
			t.Errorf("result %+v", got)
		}
	}
	w.eventually("it was replaced", func() bool {
		return !slices.ContainsFunc(w.Replicas(), func(o cluster.Replica) bool { return o.UID == r.UID })
	})
	w.ready(2)
	e := w.Capture(t.Context(), w.workload(), healing.Capture{Replica: r.Name, ReplicaUID: r.UID, Container: "web", Previous: true})
	if len(e.Lines) == 0 || e.Lines[len(e.Lines)-1] != "bye" {
		t.Errorf("the log of what was replaced: %+v", e)
	}
	e = w.Capture(t.Context(), w.workload(), healing.Capture{Replica: r.Name, ReplicaUID: "another", Container: "web"})
	if len(e.Lines) != 0 || !strings.HasPrefix(e.Message, "no log: ") {
		t.Errorf("the log of nobody: %+v", e)
	}
}

func TestADryRunReplacesNothing(t *testing.T) {
	w := start(t, func(c *local.Config) { c.Service.Replicas = 2 })
	w.ready(2)
	r := w.Replicas()[0]
	action := healing.Action{Remedy: incident.RemedyRestart, Workload: target, Replica: r.Name, ReplicaUID: r.UID, DryRun: true}
	if got := w.Carry(t.Context(), action); got.Outcome != incident.DryRun || got.Reason != healing.ReasonObserveOnly || got.Call == "" {
		t.Errorf("result %+v", got)
	}
	action.ReplicaUID = "another"
	if got := w.Carry(t.Context(), action); got.Outcome != incident.Failed {
		t.Errorf("of a replica that is gone: %+v", got)
	}
	scale := healing.Action{Remedy: incident.RemedyScaleOut, Workload: target, DryRun: true, Change: incident.Change{FromReplicas: 2, ToReplicas: 3}}
	if got := w.Carry(t.Context(), scale); got.Outcome != incident.DryRun {
		t.Errorf("result %+v", got)
	}
	if list := w.Replicas(); !slices.ContainsFunc(list, func(o cluster.Replica) bool { return o.UID == r.UID }) || len(list) != 2 {
		t.Errorf("replicas are %+v", list)
	}
}

func TestAScaleOutRaisesTheMinimumForAnHour(t *testing.T) {
	w := start(t, nil)
	w.ready(1)
	out := healing.Action{Remedy: incident.RemedyScaleOut, Workload: target, Change: incident.Change{FromReplicas: 1, ToReplicas: 2}}
	for range 2 {
		if got := w.Carry(t.Context(), out); got.Outcome != incident.Done {
			t.Fatalf("result %+v", got)
		}
	}
	obs, err := w.Observe(t.Context(), autoscaler, time.Now())
	if err != nil || obs.Floor == nil || obs.Floor.Replicas != 2 || !strings.HasPrefix(obs.Floor.By, "healing until ") {
		t.Errorf("floor is %+v, %v", obs.Floor, err)
	}
	if obs, _ := w.Observe(t.Context(), autoscaler, time.Now().Add(61*time.Minute)); obs.Floor != nil {
		t.Errorf("after an hour the floor is %+v", obs.Floor)
	}
	out.Change.ToReplicas = 1
	if got := w.Carry(t.Context(), out); got.Outcome != incident.Failed || got.Reason != healing.ReasonNotSupported {
		t.Errorf("scaling out to fewer: %+v", got)
	}
}

func TestAScaleOutWithoutAnAutoscalerStartsReplicas(t *testing.T) {
	w := start(t, func(c *local.Config) { c.Autoscalers = nil })
	w.ready(1)
	out := healing.Action{Remedy: incident.RemedyScaleOut, Workload: target, Change: incident.Change{FromReplicas: 1, ToReplicas: 2}}
	for range 2 { // the second time it is done already
		if got := w.Carry(t.Context(), out); got.Outcome != incident.Done {
			t.Fatalf("result %+v", got)
		}
	}
	w.ready(2)
	out.Change = incident.Change{FromReplicas: 1, ToReplicas: 3}
	if got := w.Carry(t.Context(), out); got.Outcome != incident.Failed || got.Reason != healing.ReasonFailed {
		t.Errorf("from a number that it does not have: %+v", got)
	}
}

func TestCarryRespectsMinAvailable(t *testing.T) {
	one := intstr.FromInt32(1)
	w := start(t, func(c *local.Config) { c.Service.MinAvailable = &one })
	w.ready(1)
	r := w.Replicas()[0]
	got := w.Carry(t.Context(), healing.Action{Remedy: incident.RemedyRestart, Replica: r.Name, ReplicaUID: r.UID})
	if got.Outcome != incident.Blocked || got.Reason != healing.ReasonBlockedByPDB || len(w.Replicas()) != 1 {
		t.Errorf("result %+v", got)
	}
}

func TestPolicyFor(t *testing.T) {
	act := healing.DefaultPolicy()
	act.Name, act.Mode = "act", healing.Act
	w := start(t, func(c *local.Config) {
		c.Policies = []local.HealingPolicy{
			{Policy: healing.Policy{Name: "empty"}, Selector: labels.Everything()},
			{Policy: act, Selector: labels.SelectorFromSet(labels.Set{"app": "web"})},
		}
	})
	if p, ok := w.PolicyFor(w.workload()); !ok || p.Name != "act" {
		t.Errorf("policy %+v, %v", p, ok)
	}
	if p, ok := w.PolicyFor(&cluster.Workload{}); !ok || p.Mode != healing.Observe || p.Name != "" {
		t.Errorf("policy of what none selects: %+v, %v", p, ok)
	}
}

func TestStopIsFinal(t *testing.T) {
	w := start(t, nil)
	w.ready(1)
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.Replicas()) != 0 {
		t.Errorf("replicas are left: %+v", w.Replicas())
	}
	// The folder is free for the next run.
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := local.New(local.Options{StateDir: w.dir, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestKilledReplicaIsSeenAsSuch(t *testing.T) {
	w := start(t, func(c *local.Config) { c.Service.MemoryLimit = 1 << 30 })
	w.ready(1)
	if err := w.Kill(w.Replicas()[0].Name); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is back", func() bool {
		c := w.Replicas()[0].Containers[0]
		return c.Restarts == 1 && c.Last != nil && c.Last.Signal == int32(syscall.SIGKILL) && c.Ready
	})
}
