//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// breakerConfig watches one namespace, with the breaker's defaults but for its times.
const breakerConfig = `
platform: kubernetes
namespaces: [%s]
healing:
  breaker: {within: 40s, hold: 5s}
`

// Three of five workloads begin to fail at once. That is a storm: while it lasts nothing is done, not even about a replica that
// would be restarted otherwise. When it is over, that replica is restarted. Not parallel: the tests' own controllers, whose breaker
// does not open, are away meanwhile.
func TestNothingIsDoneInAStorm(t *testing.T) {
	t.Cleanup(func() {
		if err := env.scaleControllers(context.Background(), replicas); err != nil { // the test's own context has ended
			t.Errorf("bring the controllers back: %v", err)
		}
	})
	began := time.Now()
	s := newSpace(t, "storm")
	if err := env.scaleControllers(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s.run(part{name: "page", replicas: 2})
	s.run(part{name: "steady", replicas: 1})
	pages := s.awaitPart("page", 2)
	s.awaitPart("steady", 1)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, breakerConfig, s.name), 0o600); err != nil {
		t.Fatal(err)
	}
	startOutside(t, env.kubeconfig, config)
	s.healParts(nil)
	broken := []string{"api", "mail", "worker"}
	for _, name := range broken {
		s.run(part{name: name, replicas: 1, env: map[string]string{"FAIL_ON_START": "3"}})
	}
	ofNow := openedSince(began)
	storm := awaitIncidentIn(t, system, "cluster", incident.Storm, 3*time.Minute, all(ofNow, inState(incident.Open)))
	if storm.Status.Reason != string(healing.ReasonBreakerOpen) || storm.Status.Workload.Kind != "Cluster" {
		t.Errorf("want the breaker open: %s", describeIncident(storm))
	}

	s.hang(pages[0].Name)
	s.awaitAbout("page", incident.NotReady, 2*time.Minute, all(inState(incident.Open), func(in *v1alpha1.Incident) error {
		if in.Status.Reason != string(healing.ReasonBreakerOpen) {
			return fmt.Errorf("its reason is %s (%s), want %s", in.Status.Reason, in.Status.Message, healing.ReasonBreakerOpen)
		}
		return nil
	}))
	if gone := s.history.deleted(); len(gone) > 0 {
		t.Fatalf("something was done in the storm: %s", s.history.pods())
	}

	storm = awaitIncidentIn(t, system, "cluster", incident.Storm, 3*time.Minute, all(ofNow, inState(incident.Resolved)))
	var names []string
	for _, m := range storm.Status.Members {
		names = append(names, m.Workload.Name)
	}
	if slices.Sort(names); !slices.Equal(names, broken) && !slices.Equal(names, []string{"api", "mail", "page", "worker"}) {
		t.Errorf("the storm's members are %v, want %v and perhaps the page", names, broken)
	}
	in := s.awaitAbout("page", incident.NotReady, 2*time.Minute, inState(incident.Resolved))
	s.verify(hasOutcome(incident.Succeeded)(in), inOrder(in, healing.ReasonOpened, healing.ReasonBreakerOpen, healing.ReasonRemediationStart, healing.ReasonSucceeded))
	if at := in.Status.Remediations[0].IntendedAt; at != nil && at.Time.Before(storm.Status.ResolvedAt.Time) {
		t.Errorf("it was restarted at %s, and the storm was over at %s", at, storm.Status.ResolvedAt)
	}
	if evicted := s.history.evicted(); !slices.Equal(evicted, uids(pages[0])) {
		t.Errorf("evicted pods are %v, want %v", evicted, uids(pages[0]))
	}
}
