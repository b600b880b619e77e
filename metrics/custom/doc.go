// Package custom is the source of the metrics that other programs of the cluster serve through the API server: those of
// pods and other objects (custom.metrics.k8s.io, v1beta2 or v1beta1) and those of things outside of the cluster
// (external.metrics.k8s.io).
//
// It asks as Kubernetes' own autoscaler does, with the types, codecs and conversions of k8s.io/metrics. The clients of
// that module take no context, so that requests are made here. An API that is not installed is told as that, and asked
// for again after half a minute.
//
// Limits: an empty list is an error, as in Kubernetes' own autoscaler; thousandths are rounded up, as there. How often
// the answers change, and how old they are, is up to who serves them.
package custom
