package local

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"gopkg.in/yaml.v3"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/internal/schedule"
	"github.com/homeostat/homeostat/platform/local/spec"
)

// Config is what the configuration file says.
type Config struct {
	Service spec.Service
	// Autoscalers of the service; at most one. Schedules are that one's.
	Autoscalers []control.Autoscaler
	Schedules   schedule.Set
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

// Load reads the file at path; see Read.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("open local configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	c, err := Read(f)
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// Read reads a stream of YAML documents: one Service of local.homeostat.dev/v1alpha1 (package spec), at most one Autoscaler and any
// number of HealingPolicies of homeostat.dev/v1alpha1 (package policy), in any order. The namespace of the latter two is
// left out or "local". Of an Autoscaler's metrics only those of type Resource can be served, and no appMetrics: the rest
// comes from sources that only a cluster has. An error names the line, the field, the value and what is allowed, one line for each fault.
func Read(r io.Reader) (Config, error) {
	content, err := io.ReadAll(io.LimitReader(r, policy.MaxFileBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("read documents: %w", err)
	}
	file, err := policy.ParseFile(bytes.NewReader(content))
	if err != nil {
		return Config{}, err
	}
	all, err := policy.Documents(bytes.NewReader(content)) // again, for the lines
	if err != nil {
		return Config{}, err
	}
	var c Config
	if c.Service, err = readService(file.Others); err != nil {
		return Config{}, err
	}
	at := func(kind, name string, path ...string) int { return lineOf(all, kind, name, path...) }
	for i := range file.Autoscalers {
		if err := c.addAutoscaler(&file.Autoscalers[i], at); err != nil {
			return Config{}, err
		}
	}
	for i := range file.HealingPolicies {
		if err := c.addHealingPolicy(&file.HealingPolicies[i], at); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// readService reads the one document that is not of the cluster's API group.
func readService(documents []policy.Document) (spec.Service, error) {
	var found *policy.Document
	for i := range documents {
		d := &documents[i]
		switch {
		case d.APIVersion != spec.APIVersion || d.Kind != spec.Kind:
			return spec.Service{}, fmt.Errorf("line %d: kind: %q of apiVersion %q is not known; allowed are %s of %s, and %s and %s of %s", d.Line, d.Kind,
				d.APIVersion, spec.Kind, spec.APIVersion, v1alpha1.KindAutoscaler, v1alpha1.KindHealingPolicy, v1alpha1.APIVersion)
		case found != nil:
			return spec.Service{}, fmt.Errorf("line %d: kind: a second %s; allowed is one in a file", d.Line, spec.Kind)
		}
		found = d
	}
	if found == nil {
		return spec.Service{}, fmt.Errorf("line 1: there is no document of kind %s and apiVersion %s; exactly one is needed", spec.Kind, spec.APIVersion)
	}
	return spec.Parse(found.Node)
}

// finder returns the line of a field of the object of that kind and name.
type finder func(kind, name string, path ...string) int

func (c *Config) addAutoscaler(a *v1alpha1.Autoscaler, at finder) error {
	kind := v1alpha1.KindAutoscaler
	if err := checkMeta(kind, &a.ObjectMeta, at); err != nil {
		return err
	}
	p, err := policy.Autoscaling(&a.Spec)
	if err != nil {
		return fmt.Errorf("line %d: %w", at(kind, a.Name), err)
	}
	mode, err := policy.Mode(&a.Spec)
	if err != nil {
		return fmt.Errorf("line %d: %w", at(kind, a.Name), err)
	}
	if err := checkServed(a, at); err != nil {
		return err
	}
	if c.Schedules, err = policy.Schedules(&a.Spec); err != nil {
		return fmt.Errorf("line %d: %w", at(kind, a.Name), err)
	}
	t := a.Spec.ScaleTargetRef
	switch {
	case len(c.Autoscalers) > 0:
		return fmt.Errorf("line %d: metadata.name: %q is a second %s for the one service; allowed is one", at(kind, a.Name, "metadata", "name"), a.Name, kind)
	case t.Kind != spec.Kind || t.Name != c.Service.Name:
		return fmt.Errorf("line %d: spec.scaleTargetRef: %s/%s is not in the file; allowed is kind %s and name %s",
			at(kind, a.Name, "spec", "scaleTargetRef"), t.Kind, t.Name, spec.Kind, c.Service.Name)
	case p.Max > spec.MaxReplicas:
		return fmt.Errorf("line %d: spec.maxReplicas: %d is too large; allowed is 1 to %d on one machine",
			at(kind, a.Name, "spec", "maxReplicas"), p.Max, spec.MaxReplicas)
	}
	c.Autoscalers = append(c.Autoscalers, control.Autoscaler{
		Ref:        cluster.Ref{Kind: kind, Namespace: Namespace, Name: a.Name},
		Target:     cluster.Ref{Kind: t.Kind, Namespace: Namespace, Name: t.Name},
		Generation: 1, Mode: mode, Policy: p, Period: policy.Period(&a.Spec),
	})
	return nil
}

// checkServed refuses what an Autoscaler can say and this platform has no source for.
func checkServed(a *v1alpha1.Autoscaler, at finder) error {
	for i := range a.Spec.Metrics {
		if t := a.Spec.Metrics[i].Type; t != autoscalingv2.ResourceMetricSourceType {
			return fmt.Errorf("line %d: spec.metrics[%d].type: %q is not known here; allowed is %s: other metrics need a cluster",
				at(v1alpha1.KindAutoscaler, a.Name, "spec", "metrics"), i, t, autoscalingv2.ResourceMetricSourceType)
		}
	}
	if a.Spec.AppMetrics != nil {
		return fmt.Errorf("line %d: spec.appMetrics: not known here; leave it out: the usage of the processes is read from the system",
			at(v1alpha1.KindAutoscaler, a.Name, "spec", "appMetrics"))
	}
	return nil
}

func (c *Config) addHealingPolicy(h *v1alpha1.HealingPolicy, at finder) error {
	kind := v1alpha1.KindHealingPolicy
	if err := checkMeta(kind, &h.ObjectMeta, at); err != nil {
		return err
	}
	p, err := policy.Healing(Namespace, h.Name, &h.Spec)
	if err != nil {
		return fmt.Errorf("line %d: %w", at(kind, h.Name), err)
	}
	selector, err := policy.Selector(&h.Spec)
	if err != nil {
		return fmt.Errorf("line %d: %w", at(kind, h.Name), err)
	}
	c.Policies = append(c.Policies, HealingPolicy{Policy: p, Selector: selector})
	return nil
}

func checkMeta(kind string, m *metav1.ObjectMeta, at finder) error {
	if problems := validation.IsDNS1123Subdomain(m.Name); len(problems) > 0 {
		return fmt.Errorf("line %d: metadata.name: %q is no name: %s", at(kind, m.Name, "metadata", "name"), m.Name, problems[0])
	}
	if m.Namespace != "" && m.Namespace != Namespace {
		return fmt.Errorf("line %d: metadata.namespace: %q is not known here; allowed is %s, or leave it out",
			at(kind, m.Name, "metadata", "namespace"), m.Namespace, Namespace)
	}
	return nil
}

// lineOf returns the line of a field, or of the nearest one above it that is there.
func lineOf(all []policy.Document, kind, name string, path ...string) int {
	for i := range all {
		if all[i].Kind != kind || all[i].Name != name {
			continue
		}
		line, n := all[i].Line, all[i].Node
		for _, step := range path {
			at := keyOf(n, step)
			if at < 0 {
				break
			}
			line, n = n.Content[at].Line, n.Content[at+1]
		}
		return line
	}
	return 1
}

// keyOf returns where the key is in a mapping, -1 where it is not.
func keyOf(n *yaml.Node, key string) int {
	if n.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}
