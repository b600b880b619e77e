//go:build e2e

package latency

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/incident"
)

// death is the end of one life of a container, and when it was first seen.
type death struct {
	pod, reason string
	// first is true for the first death of the pod that is seen: a single exit with an error is no finding.
	first    bool
	finished time.Time
	// watched is when a watch on pods showed it, kubectl when kubectl did, and stored when a watch on incidents showed an incident with
	// the log of that life.
	watched, kubectl, stored time.Time
}

// deaths are all that were seen, by the container's ID.
type deaths struct {
	mu   sync.Mutex
	byID map[string]*death
	pods map[string]bool
}

// life is how an incident names the life that a log is of.
func life(id string) string {
	_, id, _ = strings.Cut(id, "://")
	return id[:min(len(id), 12)]
}

// see notes what a pod's status shows; note sets the time in the death.
func (d *deaths) see(p *corev1.Pod, note func(*death)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		for _, t := range []*corev1.ContainerStateTerminated{c.LastTerminationState.Terminated, c.State.Terminated} {
			if t == nil || t.ContainerID == "" {
				continue
			}
			id := life(t.ContainerID)
			one := d.byID[id]
			if one == nil {
				one = &death{pod: p.Name, reason: t.Reason, first: !d.pods[p.Name], finished: t.FinishedAt.Time}
				d.byID[id], d.pods[p.Name] = one, true
			}
			note(one)
		}
	}
}

// stored notes the lives whose log an incident has.
func (d *deaths) stored(in *v1alpha1.Incident, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range in.Status.Evidence {
		e := &in.Status.Evidence[i]
		_, rest, ok := strings.Cut(e.Message, ", life ")
		if e.Kind != string(incident.EvidenceLog) || len(e.Lines) == 0 || !ok {
			continue
		}
		if one := d.byID[rest[:min(len(rest), 12)]]; one != nil && one.stored.IsZero() {
			one.stored = now
		}
	}
}

// measured returns the deaths with all three times, and of the others those that an incident is to be expected of.
func (d *deaths) measured() (complete, missing []death) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.byID {
		switch {
		case !one.stored.IsZero() && !one.watched.IsZero() && !one.kubectl.IsZero():
			complete = append(complete, *one)
		case one.first && one.reason != "OOMKilled":
		default:
			missing = append(missing, *one)
		}
	}
	return complete, missing
}

// Containers die of their memory and by an error of their own, in ten pods, again and again. Of each death three moments are
// compared: a watch on pods shows it, kubectl shows it, and the incident is stored with the log of the life that ended.
func TestFromADeathToItsIncident(t *testing.T) {
	want, err := strconv.Atoi(fromEnv(envDeaths, "50"))
	if err != nil || want < 1 {
		t.Fatalf("%s is %q; allowed: a number above 0", envDeaths, os.Getenv(envDeaths))
	}
	ns := namespace(t, "deaths")
	seen := &deaths{byID: map[string]*death{}, pods: map[string]bool{}}
	watchPods(t, ns, seen)
	watchWithKubectl(t, ns, seen)
	watchIncidents(t, ns, seen)
	before := load()
	for i := range 5 {
		create(t, ns, deployment(fmt.Sprintf("leaks-%d", i), 1, "48Mi", map[string]string{"LEAK_ON_START": "100"}))
		create(t, ns, deployment(fmt.Sprintf("fails-%d", i), 1, "48Mi", map[string]string{"FAIL_ON_START": "1"}))
		time.Sleep(3 * time.Second) // so that they die one after the other
	}
	if err := within(t.Context(), 10*time.Minute, func(context.Context) error {
		if complete, missing := seen.measured(); len(complete) < want {
			return fmt.Errorf("%d deaths have an incident with their log, %d have not; want %d", len(complete), len(missing), want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	complete, _ := seen.measured()
	slices.SortFunc(complete, func(a, b death) int { return a.watched.Compare(b.watched) })
	complete = complete[:want]
	last := complete[want-1].watched
	t.Logf("load averages of the machine before and after: %s; %s", before, load())
	print := func(what string, of func(death) time.Duration) {
		var all []time.Duration
		for _, one := range complete {
			all = append(all, of(one))
		}
		slices.Sort(all)
		rank := func(share float64) time.Duration { return all[min(len(all)-1, int(share*float64(len(all))))] }
		ms := func(d time.Duration) int64 { return d.Milliseconds() }
		t.Logf("| %s | %d ms | %d ms | %d ms | %d ms |", what, ms(all[0]), ms(rank(0.5)), ms(rank(0.99)), ms(all[len(all)-1]))
	}
	t.Logf("| from … to, %d deaths | least | median | p99 | most |", want)
	print("watch on pods shows it → incident with its log", func(d death) time.Duration { return d.stored.Sub(d.watched) })
	print("kubectl shows it → incident with its log", func(d death) time.Duration { return d.stored.Sub(d.kubectl) })
	print("end of the container (whole seconds) → watch on pods shows it", func(d death) time.Duration { return d.watched.Sub(d.finished) })
	print("end of the container (whole seconds) → incident with its log", func(d death) time.Duration { return d.stored.Sub(d.finished) })
	for _, one := range complete {
		t.Logf("  %s %-9s %s: watch +%d ms, kubectl +%d ms, incident +%d ms", one.finished.Format(time.TimeOnly), one.reason, one.pod,
			one.watched.Sub(one.finished).Milliseconds(), one.kubectl.Sub(one.finished).Milliseconds(), one.stored.Sub(one.finished).Milliseconds())
	}
	_, missing := seen.measured()
	for _, one := range missing {
		if one.watched.Before(last) {
			t.Errorf("no incident has the log of %s, which died at %s (%s)", one.pod, one.finished.Format(time.TimeOnly), one.reason)
		}
	}
}

// follow calls each for what a watch delivers until the test ends.
func follow(t *testing.T, w watch.Interface, err error, each func(watch.Event)) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ev := range w.ResultChan() {
			each(ev)
		}
	}()
	t.Cleanup(func() { w.Stop(); <-done })
}

// watchPods watches as any client does, without a cache.
func watchPods(t *testing.T, ns string, seen *deaths) {
	t.Helper()
	w, err := env.kube.CoreV1().Pods(ns).Watch(t.Context(), metav1.ListOptions{})
	follow(t, w, err, func(ev watch.Event) {
		now := time.Now()
		if p, ok := ev.Object.(*corev1.Pod); ok {
			seen.see(p, func(d *death) {
				if d.watched.IsZero() {
					d.watched = now
				}
			})
		}
	})
}

func watchIncidents(t *testing.T, ns string, seen *deaths) {
	t.Helper()
	w, err := env.own.Incidents(ns).Watch(t.Context(), metav1.ListOptions{})
	follow(t, w, err, func(ev watch.Event) {
		if in, ok := ev.Object.(*v1alpha1.Incident); ok {
			seen.stored(in, time.Now())
		}
	})
}

// watchWithKubectl reads what `kubectl get pods --watch` writes.
func watchWithKubectl(t *testing.T, ns string, seen *deaths) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), env.kubectl, "get", "pods", "--namespace", ns, "--watch", "--output", "json")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+env.kubeconfig)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for in := json.NewDecoder(out); ; {
			var p corev1.Pod
			if in.Decode(&p) != nil {
				return
			}
			now := time.Now()
			seen.see(&p, func(d *death) {
				if d.kubectl.IsZero() {
					d.kubectl = now
				}
			})
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the context has ended it already
		<-done
		_ = cmd.Wait()
	})
}
