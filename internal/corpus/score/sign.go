package score

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/internal/corpus"
)

// note looks for the first sign of the failure in a line, and counts warnings.
func (o *Outcome) note(l *corpus.Line) {
	if l.At.Before(o.Recording.Label.Began) {
		return
	}
	sign := false
	switch {
	case l.Usage != nil:
		sign = l.Usage.OOMEvents > 0
	case l.Kind == "Event":
		var ev struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
		}
		sign = json.Unmarshal(l.Object, &ev) == nil && ev.Type == corev1.EventTypeWarning
		if sign {
			o.Warnings++
		}
	case len(l.Object) > 0 && l.Type != corpus.Deleted:
		sign = unwell(l)
	}
	if sign && o.SignAt.IsZero() {
		o.SignAt = l.At
	}
}

// status is what tells of a failure in the status of any kind of object.
type status struct {
	Status struct {
		Conditions     []condition              `json:"conditions"`
		Containers     []corev1.ContainerStatus `json:"containerStatuses"`
		InitContainers []corev1.ContainerStatus `json:"initContainerStatuses"`
		Ephemeral      []corev1.ContainerStatus `json:"ephemeralContainerStatuses"`
		Phase          string                   `json:"phase"`
	} `json:"status"`
}

type condition struct{ Type, Status, Reason string }

// unwell reports whether the object's status names a failure. What is only not ready yet is none.
func unwell(l *corpus.Line) bool {
	var s status
	if json.Unmarshal(l.Object, &s) != nil {
		return false
	}
	for _, c := range s.Status.Conditions {
		switch {
		case c.Status == "True" && (c.Type == "ReplicaFailure" || c.Type == "Failed" || c.Type == "FailureTarget" ||
			c.Type == string(corev1.DisruptionTarget) || c.Type == string(corev1.PodResizePending)),
			c.Status == "False" && (c.Type == "Progressing" || c.Type == "ScalingActive" || c.Type == string(corev1.PodScheduled)),
			l.Kind == "Node" && c.Type == string(corev1.NodeReady) && c.Status != "True",
			c.Reason == "ReadinessGatesNotReady":
			return true
		}
	}
	if l.Kind != "Pod" {
		return false
	}
	if s.Status.Phase == string(corev1.PodFailed) {
		return true
	}
	for _, c := range slices.Concat(s.Status.Containers, s.Status.InitContainers, s.Status.Ephemeral) {
		if dead(c.State.Terminated) || dead(c.LastTerminationState.Terminated) || c.RestartCount > 0 {
			return true
		}
		if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return true
		}
	}
	return false
}

func dead(t *corev1.ContainerStateTerminated) bool { return t != nil && t.ExitCode != 0 }
