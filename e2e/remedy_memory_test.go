//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// profiled says that the pods offer pprof on the port that they serve on.
func profiled(p *corev1.PodTemplateSpec) {
	p.Annotations = map[string]string{"homeostat.dev/pprof": "8080"}
}

// A leak is told before it kills: when the limit is reached, within which interval. Then all replicas are replaced one after the
// other, and nobody notices. The heap profile of the one that leaks is taken before.
func TestRemedyLeakIsForecastAndRestartedBeforeTheKill(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "leak")
	s.deploy(workload{replicas: 3, change: func(p *corev1.PodTemplateSpec) { drains(p); profiled(p) }})
	s.expose()
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		// The container would be killed after about six minutes; it is seen to grow for one at least.
		p.Forecast = v1alpha1.ForecastRules{WarmUp: span(10 * time.Second), MinSpan: span(time.Minute), Horizon: span(time.Hour), MinPercent: new(int32(25))}
	})
	before := s.awaitReady(3)
	users := s.send(10, "hostname", nil)
	leaking := before[0]
	s.ask(leaking.Name, "/memory-leak?rate=0.3&size=512")

	in := s.awaitIncident(incident.MemoryLeak, 7*time.Minute, inState(incident.Resolved))
	f := in.Status.Forecast
	if f == nil || f.OOMAt == nil || f.Earliest == nil {
		t.Fatalf("there is no forecast with an interval:\n%s", describeIncident(in))
	}
	s.verify(
		inOrder(in, healing.ReasonOpened, healing.ReasonRemediationStart, healing.ReasonCarriedOut, healing.ReasonRemediationStart,
			healing.ReasonCarriedOut, healing.ReasonSucceeded, healing.ReasonResolved),
		hasOutcome(incident.Succeeded)(in),
	)
	captured, restarted := by(in, incident.RemedyCapture), by(in, incident.RemedyRestartWorkload)
	if len(captured) != 1 || len(restarted) != 1 || len(in.Status.Remediations) != 2 {
		t.Fatalf("want a capture and a rolling restart:\n%s", describeIncident(in))
	}
	s.verify(calls(&restarted[0], "PATCH", "/deployments/web", "restartedAt"))
	if done := restarted[0].FinishedAt; !done.Time.Before(f.OOMAt.Time) || f.OOMAt.Before(f.Earliest) || f.Latest != nil && f.Latest.Before(f.OOMAt) {
		t.Errorf("restarted at %s, with the limit to be reached at %s (%s to %s)", done, f.OOMAt, f.Earliest, f.Latest)
	}
	if f.LimitBytes != 128*mib || f.MemoryBytes <= 0 || f.MemoryBytes >= f.LimitBytes {
		t.Errorf("the forecast is about %d of %d bytes", f.MemoryBytes, f.LimitBytes)
	}
	// 0.3 MiB/s, as the line through the readings has it.
	if rate := number(f.BytesPerSecond); rate < 0.2*mib || rate > 0.4*mib {
		t.Errorf("it grows by %s bytes a second, want about %d", f.BytesPerSecond, mib*3/10)
	}
	if text := profiles(in); !strings.Contains(text, "heap profile of pod "+leaking.Name) || !strings.Contains(text, "goroutine dump of pod "+leaking.Name) {
		t.Errorf("the profiles of %s are not in the incident: %s", leaking.Name, text)
	}
	s.awaitRollout()
	s.verify(users.answered(500))
	for _, p := range s.awaitReady(3) {
		if restarts(&p) != 0 || slices.Contains(uids(before...), string(p.UID)) {
			t.Errorf("pod %s has %d restarts and is one of before: %s", p.Name, restarts(&p), describePod(&p))
		}
	}
	if killed := s.history.restarted(); len(killed) > 0 {
		t.Errorf("containers were restarted: %v", killed)
	}
}

// A start that needs more memory than the limit allows is killed whenever it is tried. The limit is raised in place: the pods stay
// what they are, and the change of the template is proposed.
func TestRemedyMemoryTooSmallIsResizedInPlace(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "resize")
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.VerifyWithin, p.NotReadyAfter = span(time.Minute), span(time.Minute)
	})
	s.deploy(workload{replicas: 2, memory: "48Mi", env: map[string]string{"PEAK_ON_START": "60"}, fails: true})
	var before []corev1.Pod
	s.await("both pods", time.Minute, func(ctx context.Context) (err error) {
		if before, err = s.pods(ctx); err == nil && len(before) != 2 {
			err = fmt.Errorf("there are %d", len(before))
		}
		return err
	})
	was, err := s.deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	in := s.awaitIncident(incident.OOMKilled, 5*time.Minute, inState(incident.Resolved))
	s.verify(hasOutcome(incident.Succeeded)(in))
	after := s.awaitReady(2)
	if fmt.Sprint(uids(after...)) != fmt.Sprint(uids(before...)) {
		t.Errorf("the pods are %v, want those of before: %v", uids(after...), uids(before...))
	}
	for i := range after {
		c := &after[i].Spec.Containers[0]
		if got := c.Resources.Limits.Memory().Value(); got != 96*mib {
			t.Errorf("pod %s has a limit of %d MiB, want 96, the most that is allowed: twice the template's", after[i].Name, got/mib)
		}
		if r := after[i].Status.ContainerStatuses[0].Resources; r == nil || r.Limits.Memory().Value() != 96*mib {
			t.Errorf("the runtime of pod %s reports %+v", after[i].Name, r)
		}
		// It is the kernel's limit that counts, and the app reads it.
		if log := s.log(after[i].Name); !strings.Contains(log, `"limit_mib":96`) {
			t.Errorf("the container of pod %s does not see its new limit:\n%s", after[i].Name, log)
		}
	}
	var resized []string
	for _, r := range by(in, incident.RemedyResizeMemory) {
		if r.Outcome == string(incident.Succeeded) {
			resized = append(resized, r.Replica)
			s.verify(calls(&r, "PATCH", "/pods/"+r.Replica+"/resize", "96Mi"))
		}
	}
	if slices.Sort(resized); len(slices.Compact(resized)) != 2 || len(in.Status.Remediations) != len(resized) {
		t.Errorf("resized were %v, want both pods, once each:\n%s", resized, describeIncident(in))
	}
	if p := in.Status.Proposal; !strings.Contains(p, "memory: 96Mi") {
		t.Errorf("the template's patch is not proposed:\n%s", p)
	}
	s.applies(in.Status.Proposal)
	s.unwritten(was)
	if spent := s.budget(); len(spent) != 1 {
		t.Errorf("the budget has %v, want one charge for both", spent)
	}
}

// demand is what each request asks for: 2 MiB for 4 s.
func demand() map[string]string { return map[string]string{"mb": "2", "seconds": "4"} }

// demandKills makes memory follow load, up and down, until it is too much for two replicas with 96 MiB each.
func (s *space) demandKills() {
	s.t.Helper()
	pods := s.awaitReady(2)
	for _, perSecond := range []int{2, 10, 2, 10} {
		d := s.sendEvenly(perSecond, pods, "memory-load", demand())
		time.Sleep(40 * time.Second) // four points of the trend: it is time that makes one
		s.verify(d.answered(10))
	}
	peak := s.sendEvenly(24, pods, "memory-load", demand()) // 192 MiB in all: 96 in each of two, beside what the app itself needs
	defer peak.stop()
	s.await("a container that is killed", 2*time.Minute, func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		if err != nil {
			return err
		}
		for i := range pods {
			if deaths(&pods[i]) > 0 {
				return nil
			}
		}
		return errors.New("none was")
	})
}

// bearsThePeak sends the demand that killed two replicas to three of them until the remedy is verified.
func (s *space) bearsThePeak() *v1alpha1.Incident {
	s.t.Helper()
	pods := s.awaitReady(3)
	deadBefore := map[string]int32{}
	for i := range pods {
		deadBefore[pods[i].Name] = restarts(&pods[i])
	}
	peak := s.sendEvenly(24, pods, "memory-load", demand())
	in := s.awaitIncident(incident.OOMKilled, 4*time.Minute, inState(incident.Resolved))
	s.verify(hasOutcome(incident.Succeeded)(in), peak.answered(300))
	for _, p := range s.awaitReady(3) {
		if restarts(&p) != deadBefore[p.Name] {
			s.t.Errorf("pod %s was killed again: %s", p.Name, describePod(&p))
		}
	}
	return in
}

// Memory that follows load on all replicas is no leak: what helps is more replicas.
func TestRemedyMemoryByDemandIsScaledOut(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "demand")
	s.deploy(workload{replicas: 2, memory: "96Mi"})
	s.expose()
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.VerifyWithin, p.MaxScaleOutPercent = span(30*time.Second), new(int32(150))
	})
	s.demandKills()

	in := s.bearsThePeak()
	s.verify(ended(incident.RemedyScaleOut, incident.Succeeded, healing.ReasonSucceeded)(in))
	r := in.Status.Remediations[0]
	s.verify(calls(&r, "PUT", "/deployments/web/scale", `"replicas":3`))
	if c := r.Change; c == nil || c.FromReplicas != 2 || c.ToReplicas != 3 || c.Target != nil {
		t.Errorf("the change is %+v, want 2 to 3 replicas", c)
	}
	if !strings.Contains(in.Status.Cause, "follows its load") {
		t.Errorf("the cause is %q", in.Status.Cause)
	}
}

// Where an Autoscaler owns the number of replicas its minimum is raised, for a time and visibly.
func TestRemedyMemoryByDemandRaisesTheFloorOfTheAutoscaler(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "floor")
	s.deploy(workload{replicas: 2, memory: "96Mi"})
	s.expose()
	s.scale(func(a *v1alpha1.AutoscalerSpec) {
		// CPU alone asks for no third replica: the target is out of reach.
		a.MaxReplicas, a.Metrics[0].Resource.Target = 3, autoscalingv2.MetricTarget{
			Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(100000)),
		}
	})
	s.awaitAutoscaler("two replicas", time.Minute, hasReplicas(2))
	s.heal(func(p *v1alpha1.HealingPolicySpec) { p.VerifyWithin = span(30 * time.Second) })
	s.demandKills()

	in := s.bearsThePeak()
	s.verify(ended(incident.RemedyScaleOut, incident.Succeeded, healing.ReasonSucceeded)(in))
	r := in.Status.Remediations[0]
	s.verify(calls(&r, "PATCH", "/autoscalers/web", v1alpha1.AnnotationHealFloor))
	if c := r.Change; c == nil || c.ToReplicas != 3 || c.Target == nil || c.Target.Kind != v1alpha1.KindAutoscaler || c.Target.Name != web {
		t.Errorf("the change is %+v, want the Autoscaler's minimum of 3", c)
	}
	a := s.awaitAutoscaler("the floor in its status", time.Minute, hasReplicas(3))
	floor := a.Annotations[v1alpha1.AnnotationHealFloor]
	if !strings.HasPrefix(floor, "3 until ") {
		t.Errorf("the floor is %q", floor)
	}
	if *a.Spec.MinReplicas != 2 {
		t.Errorf("the spec's own minimum is %d, it is the user's", *a.Spec.MinReplicas)
	}
	if c := a.Status.LastChanges[0]; c.From != 2 || c.To != 3 || !strings.Contains(c.Message, "raised to 3 by healing until ") {
		t.Errorf("the status does not tell of the floor:\n%s", describeAutoscaler(a))
	}
}

// A pod that hangs is kept for whoever wants to know why, out of its Service, and a fresh one takes its place.
func TestRemedyQuarantineKeepsTheBrokenPod(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "quarantine")
	s.deploy(workload{replicas: 2})
	s.expose()
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.Remedies = []v1alpha1.FindingRemedy{{
			Finding: v1alpha1.FindingKind(incident.NotReady), Ladder: []v1alpha1.Remedy{v1alpha1.Remedy(incident.RemedyQuarantine)},
		}}
	})
	pods := s.awaitReady(2)
	broken := pods[0]
	s.ask(broken.Name, "/log?lines=1&text=the-last-words")
	s.hang(broken.Name)

	in := s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved))
	s.verify(healed(in, incident.RemedyQuarantine))
	r := in.Status.Remediations[0]
	if r.ReplicaUID != string(broken.UID) {
		t.Errorf("%s was taken out, want %s", r.ReplicaUID, broken.UID)
	}
	s.verify(calls(&r, "PATCH", "/pods/"+broken.Name, v1alpha1.LabelQuarantined))
	kept := s.pod(broken.Name)
	if kept.UID != broken.UID || kept.DeletionTimestamp != nil || kept.Status.Phase != corev1.PodRunning || restarts(kept) != 0 {
		t.Errorf("the broken pod is %s (UID %s, was %s)", describePod(kept), kept.UID, broken.UID)
	}
	if kept.Labels[v1alpha1.LabelQuarantined] == "" || kept.Labels["app"] != "" || kept.Labels[appsv1.DefaultDeploymentUniqueLabelKey] != "" {
		t.Errorf("its labels are %v", kept.Labels)
	}
	if a := kept.Annotations[v1alpha1.AnnotationQuarantinedLabels]; !strings.Contains(a, `"app":"web"`) {
		t.Errorf("the labels that it had are not kept: %q", a)
	}
	if o := metav1.GetControllerOf(kept); o != nil {
		t.Errorf("it still belongs to %s %s", o.Kind, o.Name)
	}
	if log := s.log(broken.Name); !strings.Contains(log, "the-last-words") {
		t.Errorf("its log cannot be read any more:\n%s", log)
	}
	if gone := s.history.deleted(); len(gone) > 0 {
		t.Errorf("pods were deleted: %s", s.history.pods())
	}
	now := s.awaitReady(2)
	if !slices.Contains(uids(now...), string(pods[1].UID)) || slices.Contains(uids(now...), string(broken.UID)) {
		t.Errorf("now there are %v, want %s and a fresh one", uids(now...), pods[1].UID)
	}
	s.await("the Service without it, and with the fresh one", time.Minute, func(ctx context.Context) error {
		endpoints, err := env.kube.DiscoveryV1().EndpointSlices(s.name).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + web})
		if err != nil {
			return err
		}
		var got []string
		for _, one := range endpoints.Items {
			for _, e := range one.Endpoints {
				got = append(got, string(e.TargetRef.UID))
			}
		}
		if slices.Sort(got); !slices.Equal(got, uids(now...)) {
			return fmt.Errorf("its endpoints are %v, want %v", got, uids(now...))
		}
		return nil
	})
}

// What a replica that hangs was doing is known by its profiles only, and a restart ends them: they are taken before it.
func TestRemedyProfilesAreCapturedBeforeTheRestart(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "capture")
	s.deploy(workload{replicas: 2, change: profiled})
	s.heal(nil)
	pods := s.awaitReady(2)
	s.hang(pods[0].Name)

	in := s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved))
	captured, restarted := by(in, incident.RemedyCapture), by(in, incident.RemedyRestart)
	if len(captured) != 1 || len(restarted) != 1 || len(in.Status.Remediations) != 2 {
		t.Fatalf("want a capture and a restart:\n%s", describeIncident(in))
	}
	s.verify(hasOutcome(incident.Succeeded)(in), calls(&captured[0], "GET", "/pods/"+pods[0].Name+":8080/proxy/debug/pprof"))
	if r := captured[0]; r.FinishedAt == nil || restarted[0].IntendedAt == nil || restarted[0].IntendedAt.Before(r.FinishedAt) {
		t.Errorf("captured at %s, restarted at %s", r.FinishedAt, restarted[0].IntendedAt)
	}
	if restarted[0].ReplicaUID != string(pods[0].UID) || fmt.Sprint(s.history.evicted()) != fmt.Sprint(uids(pods[0])) {
		t.Errorf("restarted was %s, evicted %v, want %s", restarted[0].ReplicaUID, s.history.evicted(), pods[0].UID)
	}
	// Every goroutine of the server, among them the probe's that hangs.
	if text := profiles(in); !strings.Contains(text, "goroutine dump of pod "+pods[0].Name) || !strings.Contains(text, "demoapp.(*probes).await") {
		t.Errorf("the dump of the replica is not in the incident:\n%s", text)
	}
	if spent := s.budget(); len(spent) != 1 {
		t.Errorf("the budget has %v, want the restart alone: a capture costs nobody anything", spent)
	}
}
