package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
	"github.com/homeostat/homeostat/metrics"
)

// The parts of the story that a theatre can leave out.
const (
	noReady      = "ready"
	noRestart    = "restart"
	noOOM        = "oom"
	noIncident   = "incident"
	noLeftAlone  = "left alone"
	noResolution = "resolution"
	noAction     = "action"
	noScaleUp    = "scale up"
	noScaleDown  = "scale down"
)

// theatre is a stage where everything happens by the clock, so that the story can be told in fake time.
type theatre struct {
	mu      sync.Mutex
	view    View
	missing string // the part that does not happen
	lookErr error
	acts    bool // on the OOM kill, against the policy
	due     []event
	answers int
	loaded  bool
	made    int
}

type event struct {
	at time.Time
	do func()
}

func newTheatre(missing string) *theatre {
	t := &theatre{missing: missing}
	t.view.Desired = 2
	t.view.Autoscaler = report.Autoscaler{Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "local", Name: "web"}, Min: 2, Max: 4}
	t.add(300 * time.Millisecond)
	t.add(500 * time.Millisecond)
	return t
}

// after has something happen later. The lock must be held, as for all that follow, or nobody else know the theatre yet.
func (t *theatre) after(d time.Duration, do func()) {
	t.due = append(t.due, event{at: time.Now().Add(d), do: do})
	slices.SortStableFunc(t.due, func(a, b event) int { return a.at.Compare(b.at) })
}

func (t *theatre) catchUp() {
	for len(t.due) > 0 && !t.due[0].at.After(time.Now()) {
		next := t.due[0]
		t.due = t.due[1:]
		next.do()
	}
}

func (t *theatre) add(readyAfter time.Duration) {
	t.made++
	name := fmt.Sprintf("web-%d", t.made)
	t.view.Replicas = append(t.view.Replicas, cluster.Replica{
		Name: name, UID: "uid-" + name, Phase: cluster.PhaseRunning, CreatedAt: time.Now(), ReadyMessage: "its readiness probe has not passed yet",
		Containers: []cluster.Container{{Name: "web", Kind: cluster.ContainerMain, State: cluster.StateRunning, MemoryLimit: 160 << 20}},
	})
	if t.missing != noReady {
		t.after(readyAfter, func() { t.ready(name, true, "") })
	}
}

func (t *theatre) ready(name string, ready bool, why string) {
	if r := t.view.find(name); r != nil {
		r.Ready, r.ReadyMessage = ready, why
	}
}

func (t *theatre) remove(name, disruption string) {
	r := t.view.find(name)
	r.DeletedAt, r.Disruption, r.Ready = time.Now(), disruption, false
	t.after(time.Second, func() {
		t.view.Replicas = slices.DeleteFunc(slices.Clone(t.view.Replicas), func(r cluster.Replica) bool { return r.Name == name })
	})
}

// die ends the replica's container and starts it again after a second.
func (t *theatre) die(name string, death cluster.Termination) {
	c := &t.view.find(name).Containers[0]
	death.ContainerID = fmt.Sprintf("%s/%d", name, c.Restarts)
	c.State, c.Terminated = cluster.StateTerminated, &death
	t.ready(name, false, "its process ended")
	if t.missing == noRestart {
		return
	}
	t.after(time.Second, func() {
		c := &t.view.find(name).Containers[0]
		c.State, c.Last, c.Terminated = cluster.StateRunning, c.Terminated, nil
		c.Restarts++
	})
	t.after(1500*time.Millisecond, func() { t.ready(name, true, "") })
}

// open adds an incident and returns how to bring it up to date later.
func (t *theatre) open(in incident.Incident) (update func(change func(in *incident.Incident))) {
	in.State, in.OpenedAt, in.Confidence = incident.Open, time.Now(), 99
	in.Note(time.Now(), string(healing.ReasonOpened), in.Cause)
	t.view.Incidents = append(slices.Clone(t.view.Incidents), in)
	at := len(t.view.Incidents) - 1
	return func(change func(in *incident.Incident)) {
		t.view.Incidents = slices.Clone(t.view.Incidents)
		next := t.view.Incidents[at].Clone()
		change(&next)
		t.view.Incidents[at] = next
	}
}

func note(r healing.Reason, message string) func(in *incident.Incident) {
	return func(in *incident.Incident) { in.Note(time.Now(), string(r), message) }
}

func (t *theatre) resolve(update func(func(in *incident.Incident)), after time.Duration) {
	if t.missing == noResolution {
		return
	}
	t.after(after, func() {
		update(func(in *incident.Incident) {
			in.State = incident.Resolved
			in.Note(time.Now(), string(healing.ReasonResolved), "resolved: healthy for 5 s")
		})
	})
}

func (t *theatre) leak(name string) {
	t.die(name, cluster.Termination{ExitCode: 137, Reason: cluster.ReasonOOMKilled})
	if t.missing == noIncident {
		return
	}
	t.after(300*time.Millisecond, func() {
		var points []metrics.Point
		for i := range 8 {
			points = append(points, metrics.Point{At: time.Now(), CPUMilli: 3, MemoryBytes: int64(20*(i+1)) << 20})
		}
		update := t.open(incident.Incident{
			Name: "web-oomkilled-1a2b", Kind: incident.OOMKilled, Cause: "container web of " + name + " was killed by the kernel at its memory limit of 160 MiB",
			Evidence: []incident.Evidence{
				{Kind: incident.EvidenceTermination, Message: "exit code 137, reason OOMKilled: SIGKILL"},
				{Kind: incident.EvidenceUsage, Points: points, MemoryLimit: 160 << 20},
				{Kind: incident.EvidenceLog, Lines: []string{
					"not json", `{"time":"t","level":"WARN","msg":"leaking memory","app":"demoapp","leaked_mib":96.8,"correlation_id":"x"}`,
				}},
			},
		})
		if t.missing != noLeftAlone {
			t.after(time.Second, func() { update(note(healing.ReasonNoRemedy, "nothing is done: the remedy for OOMKilled is None")) })
		}
		if t.acts {
			update(func(in *incident.Incident) { in.Remediations = []incident.Remediation{{ID: "r"}} })
		}
		t.resolve(update, 7*time.Second)
	})
}

func (t *theatre) hang(name string) {
	t.after(2*time.Second, func() { t.ready(name, false, "readiness probe failed: context deadline exceeded") })
	t.after(7*time.Second, func() {
		update := t.open(incident.Incident{
			Name: "web-notready-3c4d", Kind: incident.NotReady, Cause: name + " runs and has not been ready for more than 5 s",
			Evidence: []incident.Evidence{{Kind: incident.EvidenceLog, Message: "no log: it printed nothing"}},
		})
		if t.missing == noAction {
			return
		}
		t.after(500*time.Millisecond, func() {
			update(func(in *incident.Incident) {
				in.Note(time.Now(), string(healing.ReasonRemediationStart), "restart "+name)
				in.Note(time.Now(), string(healing.ReasonCarriedOut), "restarted "+name)
				in.Remediations = []incident.Remediation{{ID: "r", Remedy: incident.RemedyRestart, Outcome: incident.Done}}
			})
			t.remove(name, "EvictionByEvictionAPI")
			t.add(time.Second)
		})
		t.after(2*time.Second, func() {
			update(func(in *incident.Incident) {
				in.Remediations[0].Outcome = incident.Succeeded
				in.Note(time.Now(), string(healing.ReasonSucceeded), "restarting "+name+" helped")
			})
		})
		t.resolve(update, 7*time.Second)
	})
}

func (t *theatre) scale(to int32, message string) {
	rec := &hpa.Recommendation{Message: message}
	t.view.Autoscaler.Decision = rec
	t.view.Autoscaler.Changes = slices.Insert(slices.Clone(t.view.Autoscaler.Changes), 0,
		report.Change{At: time.Now(), From: t.view.Desired, To: to, Message: message})
	for range to - t.view.Desired {
		t.add(time.Second)
	}
	for i := range t.view.Desired - to {
		t.remove(t.view.Replicas[len(t.view.Replicas)-1-int(i)].Name, "")
	}
	t.view.Desired = to
}

// RoundTrip is the load balancer: ready replicas in turn. Load and its end move the number of replicas.
func (t *theatre) RoundTrip(req *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.catchUp()
	load := strings.HasPrefix(req.URL.Path, "/cpu-load")
	if load != t.loaded {
		t.loaded = load
		if load && t.missing != noScaleUp {
			t.after(2500*time.Millisecond, func() {
				t.scale(4, "cpu is at 84 % of requests, target 40 %: 2 ready replicas need 5; limited to 4 by maxReplicas")
			})
		}
		if !load && t.missing != noScaleDown {
			t.after(12*time.Second+time.Millisecond, func() { t.scale(2, "cpu is at 2 % of requests, target 40 %: 4 ready replicas could be 1") })
		}
	}
	var serving []string
	for _, r := range t.view.Replicas {
		if r.Ready {
			serving = append(serving, r.Name)
		}
	}
	resp := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}
	if len(serving) > 0 {
		resp.StatusCode = http.StatusOK
		resp.Header.Set("X-Hostname", serving[t.answers%len(serving)])
		t.answers++
	}
	return resp, nil
}

func (t *theatre) Look(context.Context) (View, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.catchUp()
	v := t.view
	v.Replicas = slices.Clone(v.Replicas)
	for i := range v.Replicas {
		v.Replicas[i].Containers = slices.Clone(v.Replicas[i].Containers)
	}
	return v, t.lookErr
}

func (t *theatre) Ask(_ context.Context, replica, path string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case strings.HasPrefix(path, "/memory-leak"):
		if t.missing != noOOM {
			t.after(5*time.Second, func() { t.leak(replica) })
		}
	case strings.HasPrefix(path, "/hang?probe=readiness"):
		t.hang(replica)
	default:
		return errors.New("the theatre has no " + path)
	}
	return nil
}

func (t *theatre) Kill(_ context.Context, replica string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after(100*time.Millisecond, func() {
		t.die(replica, cluster.Termination{ExitCode: 137, Signal: 9, Reason: cluster.ReasonError})
	})
	return "gets SIGKILL", nil
}

func (t *theatre) Traffic() Traffic { return Traffic{URL: "http://web", Transport: t} }
