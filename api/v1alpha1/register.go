package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The group, its version, the kinds and their resource names.
const (
	Group   = "homeostat.dev"
	Version = "v1alpha1"
	// APIVersion is what an object's apiVersion says.
	APIVersion = Group + "/" + Version

	KindAutoscaler    = "Autoscaler"
	KindHealingPolicy = "HealingPolicy"
	KindIncident      = "Incident"

	ResourceAutoscalers     = "autoscalers"
	ResourceHealingPolicies = "healingpolicies"
	ResourceIncidents       = "incidents"
)

// GroupVersion returns the group and version of the types of this package.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}

// AddToScheme registers the types of this package with the scheme. It always returns nil; the error is there so that
// it can stand in a runtime.SchemeBuilder.
func AddToScheme(s *runtime.Scheme) error {
	gv := GroupVersion()
	s.AddKnownTypes(gv,
		&Autoscaler{}, &AutoscalerList{},
		&HealingPolicy{}, &HealingPolicyList{},
		&Incident{}, &IncidentList{},
	)
	metav1.AddToGroupVersion(s, gv)
	return nil
}
