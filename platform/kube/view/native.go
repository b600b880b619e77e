package view

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/policy"
)

// ObserveAnnotation with the value "false" on a HorizontalPodAutoscaler leaves it out of what is observed.
const ObserveAnnotation = "homeostat.dev/observe"

// NativeHPA is the record of a HorizontalPodAutoscaler.
type NativeHPA struct {
	Meta
	// Generation is 0 where the API server counts none, as that of Kubernetes 1.36 does.
	Generation int64
	Controller Controller
	CreatedAt  time.Time
	// TargetAPIVersion, TargetKind and TargetName say which object it scales.
	TargetAPIVersion, TargetKind, TargetName string
	// Unobserved is true where the annotation says so.
	Unobserved bool
	// HealthOff is the annotation that switches health rules off; policy.HealthOff reads it.
	HealthOff string
	// Spec and Status are the object's own; they must not be changed.
	Spec   *autoscalingv2.HorizontalPodAutoscalerSpec
	Status *autoscalingv2.HorizontalPodAutoscalerStatus
	// StatusWriters are those that wrote the status.
	StatusWriters []FieldWriter
}

// ScaledToZero reports whether the status says that a decision took the target to zero replicas.
func (n *NativeHPA) ScaledToZero() bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool {
		return c.Type == autoscalingv2.ScaledToZero && c.Status == corev1.ConditionTrue
	})
}

// FieldWriter is one who wrote a field, as metadata.managedFields knows it.
type FieldWriter struct {
	// Manager names the program, such as "kube-controller-manager".
	Manager string
	// Applied is true where the field was given by a server-side apply, so that the manager goes on wanting its value.
	Applied bool
	// At is when the manager last changed one of its fields, in whole seconds of the API server's clock.
	At time.Time
}

func (r *Records) native(o *autoscalingv2.HorizontalPodAutoscaler) *NativeHPA {
	spec, status := o.Spec, o.Status // copies, so that nothing else of the object is kept
	ref := spec.ScaleTargetRef
	return &NativeHPA{
		Meta: r.meta(o), Generation: o.Generation, Controller: r.controller(o), CreatedAt: utc(o.CreationTimestamp),
		TargetAPIVersion: r.intern(ref.APIVersion), TargetKind: r.intern(ref.Kind), TargetName: ref.Name,
		Unobserved: o.Annotations[ObserveAnnotation] == "false", HealthOff: o.Annotations[policy.HealthOffAnnotation],
		Spec: &spec, Status: &status, StatusWriters: r.statusWriters(o.ManagedFields),
	}
}

// statusWriters returns who wrote through the status subresource.
func (r *Records) statusWriters(entries []metav1.ManagedFieldsEntry) []FieldWriter {
	var out []FieldWriter
	for i := range entries {
		if entries[i].Subresource == "status" {
			out = append(out, r.fieldWriter(&entries[i]))
		}
	}
	return out
}

// withWriters notes who owns the spec.replicas of what can be a target by itself.
func (r *Records) withWriters(owner *Owner, o metav1.Object) *Owner {
	if owner.Controller.Kind != "" {
		return owner
	}
	entries := o.GetManagedFields()
	for i := range entries {
		if e := &entries[i]; e.Subresource != "status" && e.FieldsV1 != nil && ownsReplicas(e.FieldsV1.GetRawBytes()) {
			owner.ReplicasWriters = append(owner.ReplicasWriters, r.fieldWriter(e))
		}
	}
	return owner
}

// scaledAt returns when spec.replicas was last written, zero where nobody owns it. One entry of the managed fields has one
// time for all its fields: of a ReplicaSet that a Deployment controls nothing else is written once it is an older one.
func scaledAt(entries []metav1.ManagedFieldsEntry) time.Time {
	var at time.Time
	for i := range entries {
		e := &entries[i]
		if e.Subresource == "status" || e.FieldsV1 == nil || !ownsReplicas(e.FieldsV1.GetRawBytes()) {
			continue
		}
		if t := utcPtr(e.Time); t.After(at) {
			at = t
		}
	}
	return at
}

func (r *Records) fieldWriter(e *metav1.ManagedFieldsEntry) FieldWriter {
	return FieldWriter{Manager: r.intern(e.Manager), Applied: e.Operation == metav1.ManagedFieldsOperationApply, At: utcPtr(e.Time)}
}

// ownsReplicas reports whether a set of fields has spec.replicas in it. Most have not, and are not parsed.
func ownsReplicas(fields []byte) bool {
	if !bytes.Contains(fields, []byte(`"f:replicas"`)) {
		return false
	}
	var set struct {
		Spec struct {
			Replicas json.RawMessage `json:"f:replicas"`
		} `json:"f:spec"`
	}
	return json.Unmarshal(fields, &set) == nil && set.Spec.Replicas != nil
}
