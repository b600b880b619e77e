package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// ended puts incidents that ended long ago, each a minute before the one after it, in two namespaces.
func (w *world) ended(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		in := w.anIncident(fmt.Sprintf("ended-%03d", i), incident.Resolved)
		in.Namespace = []string{"shop", "bank"}[i%2]
		in.ResolvedAt = w.now.Add(-1000*time.Hour + time.Duration(i)*time.Minute)
		w.Put(t, record.Incident(&in))
	}
}

// left returns the incidents that are stored, by their age.
func (w *world) left() []string {
	names := w.Names("incidents")
	for i := range names {
		_, names[i], _ = strings.Cut(names[i], "/")
	}
	slices.Sort(names)
	return names
}

func TestOneExpiryRemovesABoundedNumberOldestFirst(t *testing.T) {
	w := newWorld(t)
	w.ended(t, 2*maxExpired+20)
	p := w.start(t, nil)
	for _, want := range []int{maxExpired + 20, 20, 0} {
		if err := p.Expire(t.Context(), w.now); err != nil {
			t.Fatal(err)
		}
		left := w.left()
		if len(left) != want || want > 0 && left[0] != fmt.Sprintf("ended-%03d", 2*maxExpired+20-want) {
			t.Fatalf("%d incidents are left, %v…; want %d, and the oldest gone first", len(left), left[:min(len(left), 1)], want)
		}
		until(t, "the deletions are seen", func() bool { return len(records[*v1alpha1.Incident](p.feeds.incidents)) == want })
	}
}

// Incidents of one namespace that cannot be removed keep no others, and do not fill the log.
func TestAnExpiryThatIsRefusedGoesOn(t *testing.T) {
	w := newWorld(t)
	w.ended(t, maxExpired)
	p := w.start(t, nil)
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete || !strings.Contains(r.URL.Path, "/bank/") {
			return false
		}
		apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, "no verb delete")
		return true
	})
	err := p.Expire(t.Context(), w.now)
	if err == nil || strings.Count(err.Error(), "no verb delete") != maxExpireErrors ||
		!strings.Contains(err.Error(), fmt.Sprintf("%d more failed", maxExpired/2-maxExpireErrors)) {
		t.Errorf("error is %v, want %d of them and the number of the others", err, maxExpireErrors)
	}
	if left := w.left(); len(left) != maxExpired/2 {
		t.Errorf("%d incidents are left, want those of the namespace that refuses", len(left))
	}
}

func TestAnExpiryEndsWithItsTime(t *testing.T) {
	w := newWorld(t)
	w.ended(t, 10)
	p := w.start(t, nil)
	asked := make(chan struct{}, 10)
	w.Hook(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		asked <- struct{}{}
		<-t.Context().Done() // it is not answered as long as the test lasts
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := p.Expire(ctx, w.now)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "10 are left for the next time") {
		t.Errorf("error is %v, want the time that is over and what is left", err)
	}
	if n := len(asked); n != 1 {
		t.Errorf("%d deletions were asked for, want one: the first was not answered in time", n)
	}
}

// What is stored of when an incident was last seen may be behind: its workload has to be seen to be away for some minutes, or by
// somebody who leads anew, not to have been seen for long.
func TestAnOrphanIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	began := w.now.Add(-orphanAfter - time.Minute) // the view is as of now, and would be stale later
	for name, seen := range map[string]time.Duration{
		"behind": control.LongestUnseen - time.Second, "long-ago": control.LongestUnseen + orphanAfter + time.Second,
	} {
		in := w.anIncident(name, incident.Open)
		in.Workload.Name, in.LastSeenAt = "gone", began.Add(-seen)
		w.Put(t, record.Incident(&in))
	}
	p := w.start(t, nil)
	for _, pass := range []struct {
		after time.Duration
		want  []string
	}{
		{0, []string{"behind"}},
		{orphanAfter - time.Second, []string{"behind"}},
		{orphanAfter + time.Second, nil},
	} {
		if err := p.Expire(t.Context(), began.Add(pass.after)); err != nil {
			t.Fatal(err)
		}
		var active []string
		for _, in := range p.AllIncidents() {
			if in.State.Active() {
				active = append(active, in.Name)
			}
		}
		if diff := cmp.Diff(pass.want, active); diff != "" {
			t.Errorf("active incidents after %s (-want +got):\n%s", pass.after, diff)
		}
	}
}

// Somebody deletes a workload and makes it anew, twice: each time counts by itself.
func TestAWorkloadThatComesBackKeepsItsIncident(t *testing.T) {
	w := newWorld(t)
	began := w.now.Add(-orphanAfter - time.Minute)
	in := w.anIncident("kept", incident.Open)
	in.LastSeenAt = began.Add(-4 * time.Minute)
	w.Put(t, record.Incident(&in))
	p := w.start(t, nil)
	there := func(want int) func() bool {
		return func() bool { return len(p.Snapshot(time.Now()).Workloads) == want }
	}
	for i, at := range []time.Duration{0, 2 * time.Minute, 3 * time.Minute} {
		if i%2 == 0 {
			for _, pod := range []string{"web-1", "web-2"} {
				w.Remove(t, "pods", "shop", pod)
			}
			w.Remove(t, "replicasets", "shop", "web-5d9c7f8b6")
			w.Remove(t, "deployments", "shop", "web")
			until(t, "it is gone", there(0))
		} else {
			w.deployment(t, 2)
			w.pod(t, "web-1", "running")
			w.pod(t, "web-2", "running")
			until(t, "it is back", there(1))
		}
		if err := p.Expire(t.Context(), began.Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Expire(t.Context(), began.Add(orphanAfter+time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := p.Incidents(web()); len(got) != 1 || !got[0].State.Active() {
		t.Errorf("its incidents are %+v", got)
	}
}

// Every pass asks for all incidents, and a namespace keeps a day of resolved ones: those that are not wanted must cost next to nothing.
func TestWhatEndedLongAgoIsNotReadInEveryPass(t *testing.T) {
	w := newWorld(t)
	const n = 100
	for i := range n {
		in := w.anIncident(fmt.Sprintf("ended-%03d", i), incident.Resolved)
		in.ResolvedAt = w.now.Add(-recent - time.Minute)
		for range incident.MaxEvidence {
			in.Evidence = append(in.Evidence, incident.Evidence{Kind: incident.EvidenceUsage, Points: make([]metrics.Point, incident.MaxPoints)})
		}
		w.Put(t, record.Incident(&in))
	}
	open := w.anIncident("open", incident.Open)
	w.Put(t, record.Incident(&open))
	p := w.start(t, nil)
	if got := p.AllIncidents(); len(got) != 1 || got[0].Name != "open" {
		t.Fatalf("%d incidents, want the one that is open", len(got))
	}
	if allocs := testing.AllocsPerRun(5, func() { p.AllIncidents() }); allocs > 5*n {
		t.Errorf("%.0f allocations for %d incidents that ended long ago", allocs, n)
	}
}
