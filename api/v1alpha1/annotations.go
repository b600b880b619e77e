package v1alpha1

// What remedies leave on the objects that they change, so that a person sees what was done and can undo it.
const (
	// LabelQuarantined is on a pod that was taken out of its Services and its owner; its value is that of the incident.
	LabelQuarantined = "homeostat.dev/quarantined"
	// AnnotationQuarantinedLabels on such a pod has the labels that were taken away, as a JSON object.
	AnnotationQuarantinedLabels = "homeostat.dev/quarantined-labels"
	// AnnotationRemediation on a workload, a Service or an Autoscaler is the id of the remediation that changed it last.
	AnnotationRemediation = "homeostat.dev/remediation"
	// AnnotationReplicasBefore on an aborted canary is the number of replicas that it had.
	AnnotationReplicasBefore = "homeostat.dev/replicas-before"
	// AnnotationHealFloor on an Autoscaler raises its minimum for a time, such as "6 until 2026-03-01T13:00:00Z".
	AnnotationHealFloor = "homeostat.dev/heal-floor"
)
