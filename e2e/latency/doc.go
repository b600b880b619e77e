// Package latency measures how long things take from a failure on, with Homeostat in its pods of a real Kubernetes: until its incident
// is stored with the log of what died, beside a plain watch on pods and beside kubectl; and until all replicas are ready again, with
// Homeostat off, observing and acting.
//
// It asserts only that what is measured happened at all; the figures are printed as tables for docs/performance.md. It needs a
// cluster (KUBECONFIG) whose nodes have the images, and is behind the build tag e2e; hack/latency.sh and hack/mttr.sh make all that
// and run it.
package latency
