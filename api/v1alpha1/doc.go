// Package v1alpha1 holds the Go types of the objects of the API group homeostat.dev: Autoscaler, HealingPolicy and
// Incident.
//
// The types are data: what a field means and which values it may have is said here, in comments and in the markers from
// which the CRDs in deploy/crds are generated. Nothing here decides or converts: package internal/policy turns specs
// into what the engines work with, package internal/policy/record writes their results into the statuses.
//
// +groupName=homeostat.dev
// +kubebuilder:object:generate=true
package v1alpha1

//go:generate go tool -modfile=../../go.tools.mod controller-gen object paths=. crd output:crd:dir=../../deploy/crds
