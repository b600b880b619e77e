package local

import (
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/local/spec"
	"k8s.io/apimachinery/pkg/labels"
)

// Config is what the configuration file says.
type Config struct {
	Service spec.Service
	// Autoscalers of the service; at most one is useful.
	Autoscalers []control.Autoscaler
	// Policies for healing; the first that selects the service counts.
	Policies []HealingPolicy
}

// HealingPolicy is a policy with what it selects.
type HealingPolicy struct {
	healing.Policy
	// Selector on the labels of the service; nil or empty selects nothing.
	Selector labels.Selector
}

func (h *HealingPolicy) selects(l map[string]string) bool {
	return h.Selector != nil && !h.Selector.Empty() && h.Selector.Matches(labels.Set(l))
}
