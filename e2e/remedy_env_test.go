//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// traffic is requests through the Service, each of which has to be answered.
type traffic struct {
	stop func()

	mu   sync.Mutex
	sent int
	lost []string
}

// send sends requests to the Service on a fixed schedule until stop is called.
func (s *space) send(perSecond int, path string, params map[string]string) *traffic {
	return s.sendBy(perSecond, func(ctx context.Context, _ int) error {
		_, err := env.kube.CoreV1().Services(s.name).ProxyGet("http", web, "80", path, params).DoRaw(ctx)
		return err
	})
}

// sendEvenly does so to the pods themselves, one after the other.
func (s *space) sendEvenly(perSecond int, pods []corev1.Pod, path string, params map[string]string) *traffic {
	return s.sendBy(perSecond, func(ctx context.Context, n int) error {
		_, err := env.kube.CoreV1().Pods(s.name).ProxyGet("http", pods[n%len(pods)].Name, "8080", path, params).DoRaw(ctx)
		return err
	})
}

func (s *space) sendBy(perSecond int, one func(ctx context.Context, n int) error) *traffic {
	tr := &traffic{}
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case at := <-tick.C:
				running.Go(func() { tr.note(at, one(s.t.Context(), n)) }) // what is on its way at the end is answered too
			}
		}
	})
	tr.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	s.t.Cleanup(cancel)
	return tr
}

func (tr *traffic) note(at time.Time, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.sent++; err != nil {
		tr.lost = append(tr.lost, fmt.Sprintf("%s: %v", at.UTC().Format("15:04:05.000"), err))
	}
}

// answered ends the traffic, and returns an error unless there were at least that many requests and all were answered.
func (tr *traffic) answered(atLeast int) error {
	tr.stop()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.lost) > 0 {
		return fmt.Errorf("%d of %d requests were lost: %s", len(tr.lost), tr.sent, strings.Join(tr.lost[:min(5, len(tr.lost))], "; "))
	}
	if tr.sent < atLeast {
		return fmt.Errorf("only %d requests were sent, which proves nothing", tr.sent)
	}
	return nil
}

// drains lets a pod serve on until nobody sends to it any more, so that a request that is lost is not its own doing.
func drains(p *corev1.PodTemplateSpec) {
	p.Spec.TerminationGracePeriodSeconds = new(int64(15))
	for i := range p.Spec.Containers[0].Env {
		if v := &p.Spec.Containers[0].Env[i]; v.Name == "DRAIN" {
			v.Value = "4s"
		}
	}
}

// release changes the pod template of the workload, as a deployment of a new version does, and returns its hash before.
func (s *space) release(change func(*corev1.PodTemplateSpec)) {
	s.t.Helper()
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		d, err := env.kube.AppsV1().Deployments(s.name).Get(s.t.Context(), web, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&d.Spec.Template)
		_, err = env.kube.AppsV1().Deployments(s.name).Update(s.t.Context(), d, metav1.UpdateOptions{})
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
}

// deployment returns the workload.
func (s *space) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	return env.kube.AppsV1().Deployments(s.name).Get(ctx, web, metav1.GetOptions{})
}

// hash returns the revision of a pod.
func hash(p *corev1.Pod) string { return p.Labels[appsv1.DefaultDeploymentUniqueLabelKey] }

// awaitRollout waits until the newest revision is complete.
func (s *space) awaitRollout() {
	s.t.Helper()
	s.await("the rollout to be complete", 2*time.Minute, func(ctx context.Context) error {
		d, err := s.deployment(ctx)
		if err != nil {
			return err
		}
		st, n := &d.Status, *d.Spec.Replicas
		if st.ObservedGeneration < d.Generation || st.UpdatedReplicas != n || st.Replicas != n || st.AvailableReplicas != n {
			return fmt.Errorf("generation %d of %d; %d replicas, %d updated, %d available, want %d", st.ObservedGeneration, d.Generation,
				st.Replicas, st.UpdatedReplicas, st.AvailableReplicas, n)
		}
		return nil
	})
}

// by returns the remediations of one remedy, oldest first.
func by(in *v1alpha1.Incident, remedy incident.Remedy) []v1alpha1.Remediation {
	return slices.DeleteFunc(slices.Clone(in.Status.Remediations), func(r v1alpha1.Remediation) bool { return r.Remedy != v1alpha1.Remedy(remedy) })
}

// ended accepts an incident whose remediations are exactly one of that remedy, with the outcome and the reason.
func ended(remedy incident.Remedy, outcome incident.Outcome, reason healing.Reason) func(*v1alpha1.Incident) error {
	return func(in *v1alpha1.Incident) error {
		all := in.Status.Remediations
		if len(all) != 1 || all[0].Remedy != v1alpha1.Remedy(remedy) || all[0].Outcome != string(outcome) || all[0].Reason != string(reason) {
			return fmt.Errorf("want one remediation %s %s %s:\n%s", remedy, outcome, reason, describeIncident(in))
		}
		return nil
	}
}

// healed returns errors unless the incident was resolved by one remediation whose effect was verified.
func healed(in *v1alpha1.Incident, remedy incident.Remedy) error {
	return errors.Join(
		inState(incident.Resolved)(in), ended(remedy, incident.Succeeded, healing.ReasonSucceeded)(in),
		inOrder(in, healing.ReasonOpened, healing.ReasonRemediationStart, healing.ReasonCarriedOut, healing.ReasonSucceeded, healing.ReasonResolved),
	)
}

// calls returns an error unless the call of the remediation has each of the words.
func calls(r *v1alpha1.Remediation, words ...string) error {
	for _, w := range words {
		if !strings.Contains(r.Call, w) {
			return fmt.Errorf("the call is %q, want %q in it", r.Call, w)
		}
	}
	return nil
}

// own marks the Deployment as somebody's who writes its spec.
func (s *space) own(labels, annotations map[string]string) {
	s.t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := env.kube.AppsV1().Deployments(s.name).Patch(s.t.Context(), web, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// applies fails the test unless the API server accepts the proposal as a strategic merge patch of the Deployment. Nothing is stored.
func (s *space) applies(proposal string) {
	s.t.Helper()
	patch, err := yaml.YAMLToJSON([]byte(proposal))
	if err != nil {
		s.t.Errorf("the proposal is no YAML: %v\n%s", err, proposal)
		return
	}
	only := metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	if _, err := env.kube.AppsV1().Deployments(s.name).Patch(s.t.Context(), web, types.StrategicMergePatchType, patch, only); err != nil {
		s.t.Errorf("the proposal is refused: %v\n%s", err, proposal)
	}
}

// unwritten fails the test if Homeostat wrote the Deployment, or anybody its spec.
func (s *space) unwritten(was *appsv1.Deployment) {
	s.t.Helper()
	now, err := s.deployment(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if now.Generation != was.Generation {
		s.t.Errorf("the Deployment's generation is %d, it was %d", now.Generation, was.Generation)
	}
	for _, f := range now.ManagedFields {
		if f.Manager == "homeostat" {
			s.t.Errorf("Homeostat wrote the Deployment at %s: %s", f.Time, f.FieldsV1)
		}
	}
}

// profiles returns the profiles in the incident as text.
func profiles(in *v1alpha1.Incident) string {
	var out []string
	for _, e := range evidence(in, incident.EvidenceProfile) {
		out = append(append(out, e.Message), e.Lines...)
	}
	return strings.Join(out, "\n")
}

// log returns the log of the pod's container.
func (s *space) log(pod string) string {
	s.t.Helper()
	text, err := env.kube.CoreV1().Pods(s.name).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(s.t.Context())
	if err != nil {
		s.t.Errorf("read the log of pod %s: %v", pod, err)
	}
	return string(text)
}

// deaths counts how often the pod's container ended, also where it was not started again yet.
func deaths(p *corev1.Pod) int32 {
	n := restarts(p)
	for i := range p.Status.ContainerStatuses {
		if p.Status.ContainerStatuses[i].State.Terminated != nil {
			n++
		}
	}
	return n
}

// number reads a number of a status, 0 for none.
func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n
}
