// Package differential proves that the decisions of package hpa are those of the HorizontalPodAutoscaler of Kubernetes
// 1.36: its tests drive the real controller of k8s.io/kubernetes and hpa.Decide with the same generated clusters and
// compare every sync.
//
// It is a module of its own, so that nothing of k8s.io/kubernetes is among the requirements of the product, and holds
// tests and benchmarks only. README.md says how to run it and how to read a failure; docs/hpa-differences.md lists what
// may differ and why.
package differential
