//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// answers counts what a Service answered.
type answers struct {
	mu    sync.Mutex
	given int
	lost  []error
}

// traffic sends 20 requests a second to a Service until the test's context ends or the returned function is called, which
// returns how many were answered, and what became of the others.
func (s *space) traffic(service string) (end func() (given int, lost []error)) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var a answers
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			running.Go(func() {
				_, err := env.kube.CoreV1().Services(s.name).ProxyGet("http", service, "80", "hostname", nil).DoRaw(ctx)
				a.mu.Lock()
				defer a.mu.Unlock()
				switch {
				case err == nil:
					a.given++
				case ctx.Err() == nil: // one that its end cut off is none that failed
					a.lost = append(a.lost, err)
				}
			})
		}
	})
	return func() (int, []error) {
		cancel()
		running.Wait()
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.given, a.lost
	}
}

// replicasOf returns how many replicas a Deployment asks for.
func (s *space) replicasOf(name string) int32 {
	s.t.Helper()
	d, err := env.kube.AppsV1().Deployments(s.name).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return *d.Spec.Replicas
}

// aborted accepts an incident of which an AbortCanary is all that was done, and helped.
func aborted(in *v1alpha1.Incident) error {
	r := in.Status.Remediations
	if len(r) != 1 || r[0].Remedy != v1alpha1.Remedy(incident.RemedyAbortCanary) {
		return fmt.Errorf("want one AbortCanary: %s", describeIncident(in))
	}
	return hasOutcome(incident.Succeeded)(in)
}

// A canary beside a stable Deployment behind one Service crashes while stable is healthy: it goes to 0, stable is not touched
// and no request is lost.
func TestCanaryThatFailsIsTakenAway(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "canary")
	tier := map[string]string{"tier": "shop"}
	s.run(part{name: "stable", replicas: 2, labels: tier})
	stable := s.awaitPart("stable", 2)
	s.serve("shop", tier, nil)
	s.healParts(nil)
	s.await("an answer", time.Minute, s.answers("shop"))
	end := s.traffic("shop")
	s.run(part{name: "canary", replicas: 1, labels: tier, env: map[string]string{"FAIL_ON_START": "3"}, change: func(d *appsv1.Deployment) {
		d.Annotations = map[string]string{"homeostat.dev/canary-of": "stable"}
	}})

	in := s.awaitAbout("canary", incident.CrashLoop, 3*time.Minute, inState(incident.Resolved))
	s.verify(aborted(in), inOrder(in, healing.ReasonOpened, healing.ReasonRemediationStart, healing.ReasonCarriedOut, healing.ReasonSucceeded, healing.ReasonResolved))
	if n := s.replicasOf("canary"); n != 0 {
		t.Errorf("the canary asks for %d replicas, want 0", n)
	}
	if given, lost := end(); given < 20 || len(lost) > 0 {
		t.Errorf("%d requests were answered, %d lost: %v", given, len(lost), errors.Join(lost...))
	}
	if now := uids(s.awaitPart("stable", 2)...); fmt.Sprint(now) != fmt.Sprint(uids(stable...)) {
		t.Errorf("the stable pods are %v, want those of before, %v", now, uids(stable...))
	}
	if list, err := s.incidents(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("there are %d incidents, want the canary's (%v)", len(list), err)
	}
}

// answers asks the Service once.
func (s *space) answers(service string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := env.kube.CoreV1().Services(s.name).ProxyGet("http", service, "80", "hostname", nil).DoRaw(ctx)
		return err
	}
}

// A colour that fails is nobody's trouble until the Service selects it. Then the Service goes back to the one that works, and the
// incident is open until somebody has mended the broken colour.
func TestServiceGoesBackFromABrokenColour(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "colour")
	colour := func(name string) map[string]string { return map[string]string{"tier": "shop", "colour": name} }
	s.run(part{name: "blue", replicas: 2, labels: colour("blue")})
	blue := s.awaitPart("blue", 2)
	s.serve("shop", colour("blue"), map[string]string{"homeostat.dev/blue-green": "colour"})
	s.run(part{name: "green", replicas: 2, labels: colour("green"), env: map[string]string{"FAIL_ON_START": "3"}})
	s.healParts(nil)
	s.await("an answer", time.Minute, s.answers("shop"))
	s.awaitAbout("green", incident.CrashLoop, 2*time.Minute, all(inState(incident.Open), func(in *v1alpha1.Incident) error {
		if in.Status.Reason != string(healing.ReasonNotApplicable) {
			return fmt.Errorf("its reason is %s (%s), want that no remedy applies", in.Status.Reason, in.Status.Message)
		}
		return nil
	}))

	if _, err := env.kube.CoreV1().Services(s.name).Patch(t.Context(), "shop", types.MergePatchType,
		[]byte(`{"spec":{"selector":{"colour":"green"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitAbout("green", incident.CrashLoop, 3*time.Minute, all(aborted, inState(incident.Open)))
	svc, err := env.kube.CoreV1().Services(s.name).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(svc.Spec.Selector, colour("blue")) {
		t.Errorf("the Service selects %v, want blue again", svc.Spec.Selector)
	}
	s.await("an answer", time.Minute, s.answers("shop"))
	if now := uids(s.awaitPart("blue", 2)...); fmt.Sprint(now) != fmt.Sprint(uids(blue...)) {
		t.Errorf("the blue pods are %v, want those of before, %v", now, uids(blue...))
	}
	if n := s.replicasOf("green"); n != 2 {
		t.Errorf("green asks for %d replicas, want 2: it is left for a person to look at", n)
	}

	if _, err := env.kube.AppsV1().Deployments(s.name).Patch(t.Context(), "green", types.MergePatchType,
		[]byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitAbout("green", incident.CrashLoop, 2*time.Minute, all(aborted, inState(incident.Resolved)))
}
