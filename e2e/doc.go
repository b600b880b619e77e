// Package e2e holds the end-to-end tests: Homeostat in pods of a real Kubernetes, with the manifests and the RBAC that
// users get, in front of workloads that really fail.
//
// They need a cluster (KUBECONFIG) whose nodes have the images, and are behind the build tag e2e; `make e2e` makes all
// that and runs them. Nothing is faked: failures are made by demoapp in its pods and by ending processes, and what is
// asserted is read from the API server, as a user would. A deadline here bounds how long something may take before it
// counts as not happening; how fast it happens is the business of the benchmarks.
package e2e
