package adopt

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// native reads a HorizontalPodAutoscaler as the API server would store it.
func native(t *testing.T, doc string) *autoscalingv2.HorizontalPodAutoscaler {
	t.Helper()
	var h autoscalingv2.HorizontalPodAutoscaler
	if err := yaml.UnmarshalStrict([]byte(doc), &h); err != nil {
		t.Fatal(err)
	}
	return &h
}

const webHPA = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  namespace: shop
  name: web
  uid: u1
  resourceVersion: "7"
  labels: {app: web, app.kubernetes.io/managed-by: Helm}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{}"
    meta.helm.sh/release-name: shop
    team: checkout
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 10
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
  - type: External
    external: {metric: {name: queue, selector: {matchLabels: {q: orders}}}, target: {type: AverageValue, averageValue: "30"}}
  behavior:
    scaleDown:
      selectPolicy: Max
      stabilizationWindowSeconds: 120
      tolerance: 50m
      policies: [{type: Percent, value: 50, periodSeconds: 60}]
`

func TestThePrintedAutoscalerIsTheOneForTheHPA(t *testing.T) {
	t.Parallel()
	plan := For(native(t, webHPA))
	doc, err := plan.YAML()
	if err != nil {
		t.Fatal(err)
	}
	want := `# Made from hpa/web. While both are there, the Autoscaler is refused: ` + "`homeostat adopt hpa/web --swap`" + ` swaps
#   them.
# - left out, because they tie the HPA to what applies it: labels.app.kubernetes.io/managed-by,
#   annotations.meta.helm.sh/release-name
# - Helm's release shop keeps the HPA: put the Autoscaler in its place there too, or the HPA comes back
# - spec.health: every rule is on; with all of them false the decisions are those of Kubernetes
# - the flags of kube-controller-manager (--horizontal-pod-autoscaler-*) cannot be read: where yours are not the
#   defaults, say so in spec.timing and spec.behavior
# - what the HPA remembers cannot be read: stabilization windows begin with the present number of replicas, rate
#   limits with none used up
apiVersion: homeostat.dev/v1alpha1
kind: Autoscaler
metadata:
  annotations:
    team: checkout
  labels:
    app: web
  name: web
  namespace: shop
spec:
  behavior:
    scaleDown:
      policies:
      - periodSeconds: 60
        type: Percent
        value: 50
      selectPolicy: Max
      stabilizationWindowSeconds: 120
      tolerance: 50m
  maxReplicas: 10
  metrics:
  - resource:
      name: cpu
      target:
        averageUtilization: 60
        type: Utilization
    type: Resource
  - external:
      metric:
        name: queue
        selector:
          matchLabels:
            q: orders
      target:
        averageValue: "30"
        type: AverageValue
    type: External
  minReplicas: 2
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: web
`
	if diff := cmp.Diff(want, string(doc)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	var back v1alpha1.Autoscaler
	if err := yaml.UnmarshalStrict(doc, &back); err != nil {
		t.Fatalf("the document cannot be read: %v", err)
	}
	if diff := cmp.Diff(plan.Autoscaler.Spec, back.Spec); diff != "" {
		t.Errorf("the document says something else than the plan (-plan +document):\n%s", diff)
	}
	if plan.Invalid != nil || plan.Blocked != nil {
		t.Errorf("plan is invalid (%v) or blocked (%v)", plan.Invalid, plan.Blocked)
	}
}

func TestWhatStandsInTheWayIsSaid(t *testing.T) {
	t.Parallel()
	yes := true
	tests := []struct {
		name   string
		change func(*autoscalingv2.HorizontalPodAutoscaler)
		want   string // in the document
	}{
		{"a spec that would be refused", func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.Spec.Metrics[0].Resource.Target.AverageUtilization = new(int32(0))
		}, "NOT VALID: spec.metrics[0]"},
		{"an owner that makes it anew", func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.OwnerReferences = []metav1.OwnerReference{{Kind: "ScaledObject", Name: "orders", Controller: &yes}}
		}, "CANNOT BE SWAPPED: hpa/web belongs to ScaledObject orders"},
		{"finalizers", func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Finalizers = []string{"example.dev/keep"} }, "example.dev/keep"},
		{"a target that it has put to sleep", func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScaledToZero, Status: corev1.ConditionTrue}}
		}, "CANNOT BE SWAPPED: hpa/web has scaled its target to zero"},
		{"Argo CD", func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.Annotations["argocd.argoproj.io/tracking-id"] = "shop:autoscaling/HorizontalPodAutoscaler:shop/web"
		}, "Argo CD's Application shop keeps the HPA"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := native(t, webHPA)
			tt.change(h)
			plan := For(h)
			doc, err := plan.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if flat := strings.ReplaceAll(string(doc), "\n#   ", " "); !strings.Contains(flat, tt.want) {
				t.Errorf("document does not say %q:\n%s", tt.want, doc)
			}
		})
	}
}

// What was changed in between would be lost.
func TestASwapDoesNotGoOnWithAnotherSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.autoscaler = For(f.native).Autoscaler
		f.autoscaler.UID, f.autoscaler.Generation, f.autoscaler.Spec.Mode = "a0", 1, v1alpha1.ModeDryRun
		f.autoscaler.Annotations = map[string]string{FromAnnotation: "hpa/web " + string(f.native.UID)}
		f.native.Spec.MaxReplicas *= 2
		err := f.swap(new(bytes.Buffer)).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "does not scale as hpa/web does now") || f.native == nil || len(f.log) > 0 {
			t.Errorf("error is %v after %q, want that nothing was done", err, f.log)
		}
	})
}
