package write

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
)

// SaveIncident creates the incident, or replaces the version that in.Version names, and returns the object as it is
// stored then. What others wrote into the metadata of that version (known, which may be nil) stays. control.ErrConflict
// if it exists already, was changed in between, or is gone.
func (w *Writer) SaveIncident(ctx context.Context, in *incident.Incident, known *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	obj := record.Incident(in)
	incidents := w.own.Incidents(in.Namespace)
	var stored *v1alpha1.Incident
	var err error
	if in.Version == "" {
		stored, err = incidents.Create(ctx, obj, metav1.CreateOptions{})
	} else {
		if known != nil && known.ResourceVersion == in.Version {
			keepMetadata(obj, known)
		}
		stored, err = incidents.Update(ctx, obj, metav1.UpdateOptions{})
	}
	switch {
	case err == nil:
		return stored, nil
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), in.Version != "" && apierrors.IsNotFound(err):
		return nil, fmt.Errorf("save incident %s/%s: %w", in.Namespace, in.Name, control.ErrConflict)
	default:
		return nil, fmt.Errorf("save incident %s/%s: %w", in.Namespace, in.Name, err)
	}
}

func keepMetadata(obj, known *v1alpha1.Incident) {
	labels := maps.Clone(known.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, obj.Labels)
	obj.Labels = labels
	obj.Annotations, obj.OwnerReferences, obj.Finalizers = known.Annotations, known.OwnerReferences, known.Finalizers
}

// RemoveIncident deletes exactly the version of the incident that is given; one that was changed in between stays.
func (w *Writer) RemoveIncident(ctx context.Context, o *v1alpha1.Incident) error {
	err := w.own.Incidents(o.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &o.UID, ResourceVersion: &o.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove incident %s/%s: %w", o.Namespace, o.Name, err)
	}
	return nil
}
