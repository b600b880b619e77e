package view

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func managed(manager, subresource string, op metav1.ManagedFieldsOperationType, at time.Time, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: op, Subresource: subresource, Time: &metav1.Time{Time: at}, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
	}
}

func TestWritersOfReplicas(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	const replicas = `{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{}}}}`
	entries := []metav1.ManagedFieldsEntry{
		managed("argocd-controller", "", metav1.ManagedFieldsOperationApply, at, replicas),
		managed("homeostat", "scale", metav1.ManagedFieldsOperationUpdate, at.Add(time.Minute), `{"f:spec":{"f:replicas":{}}}`),
		managed("kube-controller-manager", "status", metav1.ManagedFieldsOperationUpdate, at, `{"f:status":{"f:replicas":{}}}`),
		managed("kubectl-edit", "", metav1.ManagedFieldsOperationUpdate, at, `{"f:metadata":{"f:annotations":{"f:replicas":{}}}}`),
		managed("kubectl", "", metav1.ManagedFieldsOperationUpdate, at, `{"f:spec":{"f:paused":{}}}`),
		managed("broken", "", metav1.ManagedFieldsOperationUpdate, at, `{"f:spec":{"f:replicas":`),
		{Manager: "none", Operation: metav1.ManagedFieldsOperationUpdate},
	}
	r := NewRecords()
	want := []FieldWriter{{Manager: "argocd-controller", Applied: true, At: at}, {Manager: "homeostat", At: at.Add(time.Minute)}}
	for _, obj := range []any{
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{ManagedFields: entries}},
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{ManagedFields: entries}},
		&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{ManagedFields: entries}},
	} {
		out, err := r.Transform(obj)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.(*Owner).ReplicasWriters); diff != "" {
			t.Errorf("%T: writers (-want +got):\n%s", obj, diff)
		}
	}
	yes := true
	owned := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		ManagedFields: entries, OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web", Controller: &yes}},
	}}
	if out, _ := r.Transform(owned); out.(*Owner).ReplicasWriters != nil {
		t.Error("a Deployment's ReplicaSet is no target, and its writers are kept")
	}
}

func TestNativeRecord(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	h := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web", UID: "u1", ResourceVersion: "7", Annotations: map[string]string{ObserveAnnotation: "false"},
			ManagedFields: []metav1.ManagedFieldsEntry{
				managed("kubectl", "", metav1.ManagedFieldsOperationUpdate, at, `{"f:spec":{"f:maxReplicas":{}}}`),
				managed("kube-controller-manager", "status", metav1.ManagedFieldsOperationUpdate, at, `{"f:status":{"f:currentReplicas":{}}}`),
			},
		},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}, MaxReplicas: 4,
		},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{
			{Type: autoscalingv2.ScaledToZero, Status: corev1.ConditionTrue},
		}},
	}
	out, err := NewRecords().Transform(h)
	if err != nil {
		t.Fatal(err)
	}
	n := out.(*NativeHPA)
	want := []FieldWriter{{Manager: "kube-controller-manager", At: at}}
	if diff := cmp.Diff(want, n.StatusWriters); diff != "" {
		t.Errorf("writers of the status (-want +got):\n%s", diff)
	}
	if !n.Unobserved || !n.ScaledToZero() || n.Spec.MaxReplicas != 4 || n.TargetAPIVersion != "apps/v1" || n.TargetKind != "Deployment" || n.TargetName != "web" {
		t.Errorf("record is %+v", n)
	}
	h.Status.Conditions[0].Status, h.Annotations = corev1.ConditionFalse, nil
	if out, _ = NewRecords().Transform(h); out.(*NativeHPA).ScaledToZero() || out.(*NativeHPA).Unobserved {
		t.Error("a condition that is False, or no annotation, counts")
	}
}
