//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// These tests end controllers, so they run alone.

// raised creates a Deployment with one replica and an Autoscaler that wants two, and waits until it is so: the shortest
// proof that somebody leads and scales.
func (s *space) raised() {
	s.t.Helper()
	s.deploy(workload{replicas: 1})
	s.scale(nil)
	s.awaitAutoscaler("two replicas, the least that is allowed", time.Minute, hasReplicas(2))
	s.awaitReady(2)
}

// A leader that ends in order gives its Lease back, and the other does not wait for it to expire.
func TestLeaderThatEndsHandsOver(t *testing.T) {
	before, err := env.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	duration := time.Duration(*before.Spec.LeaseDurationSeconds) * time.Second
	asked := time.Now()
	if err := env.kube.CoreV1().Pods(system).Delete(t.Context(), holder(before), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var took time.Duration
	if err := within(t.Context(), time.Minute, func(ctx context.Context) error {
		l, err := env.lease(ctx)
		if err != nil {
			return err
		}
		if h := holder(l); h == "" || h == holder(before) {
			return fmt.Errorf("the Lease is held by %q, was by %q", h, holder(before))
		}
		took = l.Spec.AcquireTime.Sub(asked)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// Renewed every two seconds, it would expire no sooner than that before its duration is over.
	if limit := duration - 4*time.Second; took > limit {
		t.Errorf("the next leader came after %s, want before %s: the Lease of %s was waited for", took, limit, duration)
	}
	newSpace(t, "handover").raised()
	if err := within(t.Context(), 2*time.Minute, env.controllersWell); err != nil {
		t.Fatal(err)
	}
}

// The leader is killed at the two worst moments of a restart: after its intent was stored and before the eviction arrives,
// and after the eviction was carried out and before its answer arrives. The next leader finds the intent and brings it to
// its end. Each replica is evicted once, and each budget charged once.
func TestLeaderKilledInTheMiddleOfARestart(t *testing.T) {
	t.Cleanup(func() {
		if err := env.scaleControllers(context.Background(), replicas); err != nil { // the test's own context has ended
			t.Errorf("bring the controllers back: %v", err)
		}
	})
	unsent, unanswered := newSpace(t, "unsent"), newSpace(t, "unanswered")
	spaces := []*space{unsent, unanswered}
	for _, s := range spaces {
		s.deploy(workload{replicas: 2})
	}
	if err := env.scaleControllers(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	gate := openGate(t, map[string]fate{unsent.name: neverSent, unanswered.name: neverAnswered})
	leader := startOutside(t, gate.kubeconfig, filepath.Join(overlay, "config.yaml"))
	for _, s := range spaces {
		s.heal(nil)
	}
	victims, intents := map[*space]string{}, map[*space]string{}
	for _, s := range spaces {
		pods := s.awaitReady(2)
		victims[s] = string(pods[0].UID)
		s.hang(pods[0].Name)
	}
	for _, s := range spaces {
		gate.awaitEviction(t, s.name)
		in := s.awaitIncident(incident.NotReady, 2*time.Minute, hasOutcome(incident.Pending))
		intents[s] = in.Status.Remediations[0].ID
	}
	leader.kill(t)
	gate.close()
	if gone := unsent.history.deleted(); len(gone) > 0 {
		t.Fatalf("the eviction that was held back was carried out: %s", unsent.history.pods())
	}

	if err := env.scaleControllers(t.Context(), replicas); err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		in := s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved))
		s.verify(
			hasOutcome(incident.Succeeded)(in),
			inOrder(in, healing.ReasonOpened, healing.ReasonRemediationStart, healing.ReasonTakenOver, healing.ReasonSucceeded, healing.ReasonResolved),
		)
		if r := in.Status.Remediations; len(r) != 1 || r[0].ID != intents[s] || r[0].By == leader.identity {
			t.Errorf("want the one remediation %s, answered by another than %s:\n%s", intents[s], leader.identity, describeIncident(in))
		}
		if diff := cmp.Diff([]string{victims[s]}, s.history.evicted()); diff != "" {
			t.Errorf("evicted pods in %s (-want +got):\n%s", s.name, diff)
		}
		if diff := cmp.Diff([]string{victims[s]}, s.history.deleted()); diff != "" {
			t.Errorf("deleted pods in %s (-want +got):\n%s", s.name, diff)
		}
		if spent := s.budget(); len(spent) != 1 || spent[0].ID != intents[s] {
			t.Errorf("the budget in %s has %v, want one charge for %s", s.name, spent, intents[s])
		}
	}
}

// outside is a controller that runs on this machine as a process of its own.
type outside struct {
	identity string
	command  *exec.Cmd
}

// startOutside starts the controller and waits until it leads. It ends with the test at the latest.
func startOutside(t *testing.T, kubeconfig, config string) *outside {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	o := &outside{identity: "outside"}
	// Beyond its own context the test may end at any time; Cleanup ends the process.
	o.command = exec.Command(env.homeostat, "run", "--config", config, "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0")
	o.command.Env = append(os.Environ(), "POD_NAME="+o.identity, "POD_NAMESPACE="+system)
	o.command.Stdout, o.command.Stderr = log, log
	o.command.SysProcAttr = endsWithUs()
	if err := o.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.kill(t)
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("log of the controller on this machine:\n%s", text)
		}
		_ = log.Close()
	})
	if err := within(t.Context(), time.Minute, func(ctx context.Context) error {
		l, err := env.lease(ctx)
		if err == nil && holder(l) != o.identity {
			err = fmt.Errorf("the Lease is held by %q", holder(l))
		}
		return err
	}); err != nil {
		t.Fatalf("the controller on this machine does not lead: %v", err)
	}
	return o
}

// kill ends the process at once, without a chance to hand anything over.
func (o *outside) kill(t *testing.T) {
	t.Helper()
	if o.command.ProcessState != nil {
		return
	}
	if err := o.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = o.command.Wait() // that it was killed is no news
}

// The API server goes away for some seconds. The controllers stay, act on nothing old meanwhile, and go on afterwards.
func TestGoesOnAfterTheAPIServerWasRestarted(t *testing.T) {
	if env.lab == "" {
		t.Skip("SKIPPED: this cluster is not a lab, so its API server cannot be restarted")
	}
	s := newSpace(t, "restart")
	s.deploy(workload{replicas: 2})
	s.heal(nil)
	lives := env.lives(t)
	if _, err := env.command(t.Context(), env.lab, "restart", "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	pods := s.awaitReady(2)
	s.hang(pods[0].Name)
	newSpace(t, "restart-scale").raised()
	in := s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved))
	s.verify(hasOutcome(incident.Succeeded)(in))
	if diff := cmp.Diff(uids(pods[0]), s.history.evicted()); diff != "" {
		t.Errorf("evicted pods (-want +got):\n%s", diff)
	}
	if err := within(t.Context(), 2*time.Minute, env.controllersWell); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lives, env.lives(t)); diff != "" {
		t.Errorf("controllers and how often they were restarted (-before +after):\n%s", diff)
	}
}
