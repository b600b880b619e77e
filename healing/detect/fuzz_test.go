package detect

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// FuzzFindings verifies that any workload is survived, that a death has at most one kind, that no two findings of a look are
// taken for the same occurrence, and that a death that the platform knows nothing of is a notice. What the fuzzer does not say
// itself is drawn from its seed.
func FuzzFindings(f *testing.F) {
	f.Add(uint64(1), "CrashLoopBackOff", "back-off 40s restarting failed container=app", int32(137), int32(9), "OOMKilled", "Killing", "Container app failed liveness probe, will be restarted")
	f.Add(uint64(2), "", "", int32(137), int32(0), "ContainerStatusUnknown", "Unhealthy", "Liveness probe failed: x")
	f.Add(uint64(3), "CreateContainerConfigError", `couldn't find key a in ConfigMap b/c`, int32(-5), int32(64), "Error", "FailedMount", `secret "x" not found`)
	f.Add(uint64(4), "RunContainerError", `exec: "/app": no such file or directory`, int32(128), int32(0), "StartError", "SystemOOM", "System OOM encountered, victim process: web, pid: 1")
	f.Add(uint64(5), "ImagePullBackOff", "429", int32(0), int32(0), "Completed", "OOMKilling", "Killed process 1 (app) total-vm")
	f.Add(uint64(6), "ContainerCreating", "", int32(127), int32(0), "Error", "FailedCreatePodSandBox", "")
	for seed := range uint64(300) {
		f.Add(seed, "CrashLoopBackOff", "back-off 5s", int32(seed%3), int32(0), "Error", "Started", "Container started")
	}
	f.Fuzz(func(t *testing.T, seed uint64, waitReason, waitMessage string, code, signal int32, reason, evReason, evMessage string) {
		d := &drawn{rand.New(rand.NewPCG(seed, 1)), waitReason, waitMessage, code, signal, reason, evReason, evMessage}
		l := d.look()
		found := Findings(l)
		kinds, prints := map[*cluster.Termination]incident.Kind{}, map[string]incident.Kind{}
		for i := range found {
			fd := &found[i]
			if fd.Message == "" || fd.Fingerprint == "" || fd.Since.IsZero() || fd.Confidence < 1 || fd.Confidence > 100 {
				t.Errorf("finding is not complete: %+v", *fd)
			}
			if k, twice := prints[fd.Fingerprint]; twice {
				t.Errorf("%s and %s have the fingerprint %s", k, fd.Kind, fd.Fingerprint)
			}
			prints[fd.Fingerprint] = fd.Kind
			if fd.Death == nil {
				continue
			}
			if k, twice := kinds[fd.Death]; twice {
				t.Errorf("the death %+v is %s and %s", *fd.Death, k, fd.Kind)
			}
			kinds[fd.Death] = fd.Kind
			if unknown := fd.Death.Reason == cluster.ReasonStatusUnknown; unknown != (fd.Kind == incident.StatusUnknown) {
				t.Errorf("a death with the reason %q is %s", fd.Death.Reason, fd.Kind)
			}
			if fd.Kind.Notice() && fd.Active {
				t.Errorf("the notice %s lasts", fd.Kind)
			}
		}
		for i := range found {
			fd := &found[i]
			if !OfTool(l.Workload, fd) {
				continue
			}
			if !slices.Contains([]incident.Kind{
				incident.OOMKilled, incident.NodeOOM, incident.ProbableOOM, incident.ChildOOM, incident.BadCommand, incident.ImagePull,
				incident.ConfigMissing, incident.JobFailed,
			}, fd.Kind) {
				t.Errorf("%s of an ephemeral container", fd.Kind)
			}
			if fd.Active {
				t.Errorf("%s of an ephemeral container lasts", fd.Kind)
			}
		}
	})
}

// drawn makes a workload out of what the fuzzer gives and of chance.
type drawn struct {
	*rand.Rand
	waitReason, waitMessage string
	code, signal            int32
	reason                  string
	evReason, evMessage     string
}

func (d *drawn) one(in ...string) string { return in[d.IntN(len(in))] }

func (d *drawn) yes() bool { return d.IntN(2) == 0 }

// at is a time of the last two hours or none; now and then it is far away, or in the future.
func (d *drawn) at() time.Time {
	switch d.IntN(8) {
	case 0:
		return time.Time{}
	case 1:
		return time.Unix(d.Int64N(4e9)-1e9, 0)
	case 2:
		return now.Add(time.Duration(d.IntN(600)) * time.Second)
	default:
		return ago(time.Duration(d.IntN(7200)) * time.Second)
	}
}

func (d *drawn) events() []cluster.Event {
	out := make([]cluster.Event, 0, 3)
	for range d.IntN(4) {
		e := cluster.Event{Reason: d.evReason, Message: d.evMessage, Count: int32(d.IntN(9) - 1), First: d.at(), Last: d.at()}
		if d.yes() {
			e.Reason = d.one("Killing", "Unhealthy", "Started", "BackOff", "FailedMount", "FailedAttachVolume", "Evicted", "FailedCreate", "SystemOOM", "OOMKilling")
			e.Message = d.one("Stopping container app", "Startup probe failed: x", "Liveness probe failed: x", "Container started", `configmap "x" not found`, "")
		}
		out = append(out, e)
	}
	return out
}

func (d *drawn) condition(types ...string) cluster.Condition {
	return cluster.Condition{
		Type: d.one(types...), Status: d.one("True", "False", "Unknown", ""), Since: d.at(), Message: d.waitMessage,
		Reason: d.one("Deferred", "Infeasible", "Error", "ProgressDeadlineExceeded", "FailedCreate", "BackoffLimitExceeded", ""),
	}
}

func (d *drawn) death(id string) *cluster.Termination {
	if d.IntN(3) == 0 {
		return nil
	}
	t := &cluster.Termination{ContainerID: id, ExitCode: d.code, Signal: d.signal, Reason: d.reason, Message: d.waitMessage, StartedAt: d.at(), FinishedAt: d.at()}
	if d.yes() {
		t.Reason = d.one("OOMKilled", "Error", "Completed", "ContainerStatusUnknown", "StartError", ReasonLivenessProbe, ReasonStartupProbe, "")
		t.ExitCode = []int32{0, 1, 126, 127, 128, 137, 143}[d.IntN(7)]
	}
	if d.IntN(4) == 0 {
		t.ContainerID = ""
	}
	return t
}

func (d *drawn) container(name string) cluster.Container {
	c := cluster.Container{
		Name: name, Image: d.one("web:1", ""), Restarts: int32(d.IntN(8) - 1), Ready: d.yes(), Started: d.yes(), StartedAt: d.at(),
		Terminated: d.death("now-" + name), Last: d.death("last-" + name), MemoryLimit: int64(d.IntN(3)-1) * 128 * mib, OOMEvents: int64(d.IntN(3)),
		OOMEventsKnown: d.yes(), LastOOMEvent: d.at(), ThrottledPercent: float64(d.IntN(200) - 50), ThrottledKnown: d.yes(),
		LivenessProbe: d.yes(), StartupProbe: d.yes(), Interactive: d.yes(),
	}
	c.Kind = cluster.ContainerKind(d.one("Main", "Main", "Main", "Init", "Sidecar", "Ephemeral", ""))
	c.State = cluster.ContainerState(d.one("", "Running", "Terminated", "Waiting"))
	if c.State == cluster.StateWaiting {
		c.WaitingReason, c.WaitingMessage = d.waitReason, d.waitMessage
	}
	if d.IntN(16) == 0 {
		c.Restarts = d.code
	}
	return c
}

func (d *drawn) replica(name string) cluster.Replica {
	r := cluster.Replica{
		Name: "web-" + name, UID: "u-" + name, Node: d.one("n1", "n2", "n3", ""), Revision: d.one("r1", "r2", ""),
		Phase: cluster.Phase(d.one("Running", "Running", "Running", "Pending", "Failed", "Succeeded", "Unknown", "")), Reason: d.one("", "", "Evicted", d.reason),
		CreatedAt: d.at(), StartedAt: d.at(), Ready: d.yes(), ReadySince: d.at(), ReadyReason: d.one("", "ContainersNotReady", "ReadinessGatesNotReady"),
		Unschedulable: d.yes(), UnschedulableMessage: d.waitMessage, UnschedulableSince: d.at(), SchedulingGated: d.IntN(4) == 0,
		Disruption: d.one("", "", "TerminationByKubelet", "EvictionByEvictionAPI"), DisruptionSince: d.at(), DisruptionMessage: d.waitMessage,
		GraceSeconds: int64(d.IntN(100) - 10), RestartsAlways: d.yes(), Events: d.events(),
	}
	if d.IntN(4) == 0 {
		r.DeletedAt = d.at()
	}
	if d.IntN(8) == 0 {
		r.UID = ""
	}
	if d.yes() {
		r.Gates = []string{"example.com/gate"}
	}
	for range d.IntN(4) {
		r.Conditions = append(r.Conditions, d.condition("PodReadyToStartContainers", "ContainersReady", "PodResizePending", "PodResizeInProgress", "example.com/gate"))
	}
	for _, c := range []string{"app", "proxy", "init"}[:d.IntN(4)] {
		r.Containers = append(r.Containers, d.container(c))
	}
	return r
}

func (d *drawn) look() *Look {
	w := &cluster.Workload{
		Ref:     cluster.Ref{Kind: d.one("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"), Namespace: "demo", Name: "web", UID: "w1"},
		Desired: int32(d.IntN(5) - 1), Revision: d.one("r1", "r2", ""), RollingOut: d.yes(), Paused: d.IntN(4) == 0, Events: d.events(),
	}
	for range d.IntN(4) {
		w.Conditions = append(w.Conditions, d.condition("Progressing", "ReplicaFailure", "Failed", "Available"))
	}
	if d.yes() {
		active := d.condition("ScalingActive")
		w.Scaler = &cluster.Scaler{Ref: cluster.Ref{Kind: "HorizontalPodAutoscaler", Name: "web"}, Min: 1, Max: 5, Active: &active}
	}
	for _, name := range []string{"a", "b", "c", "d"}[:d.IntN(5)] {
		w.Replicas = append(w.Replicas, d.replica(name))
	}
	l := &Look{Workload: w, Now: now, NotReadyAfter: time.Minute, PendingAfter: time.Second, ForecastMinSpan: time.Minute, ForecastMinPercent: 1, ForecastHorizon: time.Hour}
	if d.yes() {
		l.Nodes = map[string]cluster.Node{
			"n1": {Name: "n1", Ready: "True", Events: d.events(), Pressures: strings.Fields(d.one("", "MemoryPressure", "DiskPressure"))},
			"n2": {Name: "n2", Ready: d.one("True", "False", "Unknown", ""), Since: d.at()},
		}
	}
	if d.yes() {
		used := d.Int64N(256*mib) - 1
		l.Memory = func(string, string) []metrics.Point { return memory(used/2, used, metrics.NotKnown) }
		l.Trend = func(string, string) []metrics.TrendPoint {
			var out []metrics.TrendPoint
			for i := range int64(60) {
				out = append(out, metrics.TrendPoint{At: ago(time.Duration(60-i) * time.Minute), ResidentBytes: used + i*mib, MemoryBytes: used, CPUMilli: i})
			}
			return out
		}
	}
	return l
}

// FuzzMessages verifies that the parsers of platform messages survive any of them and stay short.
func FuzzMessages(f *testing.F) {
	f.Add("0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory. preemption: none")
	f.Add(`couldn't find key url in ConfigMap demo/app`)
	f.Add("references non-existent secret key: ")
	f.Add("İ configmap \"a\" not found")
	f.Add(`exec: "": stat`)
	f.Add("Killed process 1 (x) victim process: ")
	f.Add("back-off 9999999h restarting")
	f.Fuzz(func(t *testing.T, message string) {
		for _, c := range Constraints(message) {
			if len(c) > 200 {
				t.Errorf("constraint of %d bytes", len(c))
			}
		}
		if m := MissingConfig(message); len(m) > 700 {
			t.Errorf("missing config of %d bytes", len(m))
		}
		if PullError("ErrImagePull", message) == "" {
			t.Errorf("no class")
		}
		if command, why := CommandError(message); len(command) > 120 || command != "" && why == "" {
			t.Errorf("command of %d bytes, why %q", len(command), why)
		}
		if backOff(message) < 0 {
			t.Errorf("a wait of %s", backOff(message))
		}
		if v := victimProcess(message); !strings.Contains(message, v) {
			t.Errorf("victim %q", v)
		}
	})
}
