package kube

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// A Deployment's selector goes on selecting a pod that was taken out of its ReplicaSet and its Services by another label.
func TestAPodInQuarantineIsNoCapacity(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	w.pod(t, "web-3", "crash-loop")
	w.sample("web-1", "web", 30, 1<<20)
	p := w.start(t, nil)
	a := only(t, p, "web")
	if obs := observe(t, p, a, w.now); len(obs.Replicas) != 3 {
		t.Fatalf("there are %d replicas before, want 3", len(obs.Replicas))
	}
	var kept corev1.Pod
	w.Get(t, "pods", "shop", "web-3", &kept)
	kept.APIVersion, kept.Kind = "v1", "Pod"
	delete(kept.Labels, "pod-template-hash")
	kept.Labels[v1alpha1.LabelQuarantined], kept.OwnerReferences = "web-crashloop-1", nil
	w.Put(t, &kept)
	at := w.now
	until(t, "it is left out", func() bool {
		at = at.Add(time.Second)
		obs := observe(t, p, a, at)
		return len(obs.Replicas) == 2 && obs.Replicas[0].Name == "web-1" && obs.Replicas[1].Name == "web-2" && obs.Selector == nil
	})
	if kept.Labels["app"] != "web" {
		t.Fatalf("the pod has the labels %v, so that the selector would not select it anyway", kept.Labels)
	}
}

// A pass over a large namespace would otherwise look at all of its pods anew for every decision.
func TestALookThatTookLongServesLonger(t *testing.T) {
	pass := time.Now()
	for name, tc := range map[string]struct {
		took, age time.Duration
		pass      time.Time
		want      bool
	}{
		"at once":                        {time.Millisecond, 0, pass, true},
		"a little later":                 {time.Millisecond, 199 * time.Millisecond, pass, true},
		"later":                          {time.Millisecond, 201 * time.Millisecond, pass, false},
		"one that took long, later":      {300 * time.Millisecond, 2 * time.Second, pass, true},
		"one that took long, much later": {300 * time.Millisecond, 4 * time.Second, pass, false},
		"the next pass":                  {300 * time.Millisecond, 0, pass.Add(time.Second), false},
	} {
		l := look{pass: pass, taken: pass.Add(tc.took), took: tc.took}
		if got := l.serves(tc.pass, l.taken.Add(tc.age)); got != tc.want {
			t.Errorf("%s: serves %v", name, got)
		}
	}
}
