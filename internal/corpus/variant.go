package corpus

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Variant is how one failure is made, and its label.
type Variant struct {
	// Kind and Name are the file's folder and name.
	Kind string `json:"-"`
	Name string `json:"-"`
	// Manifests are the YAML documents that are applied first.
	Manifests []byte `json:"-"`

	Why     string   `json:"why"`
	Hard    string   `json:"hard,omitempty"`
	Derived string   `json:"derived,omitempty"`
	Want    []Want   `json:"want"`
	Also    []string `json:"also,omitempty"`
	Not     []string `json:"not,omitempty"`
	// Seconds is how long is recorded after the manifests are applied. Began is when, in seconds from there, the failure is set
	// off; 0 where the manifests are the failure.
	Seconds int     `json:"seconds"`
	Began   float64 `json:"began,omitempty"`
	// Settle waits until all of the manifests' Deployments and StatefulSets are ready before the time of the steps begins.
	Settle bool `json:"settle,omitempty"`
	// Nodes whose objects, and the events about them, are recorded.
	Nodes []string `json:"nodes"`
	// Group names what is done to a node: variants of one group run together, and no other group at the same time. Empty for a
	// variant that does nothing to a node.
	Group string `json:"group,omitempty"`
	// Steps are done while it is recorded, Cleanup at the end: a shell script with NS, kubectl, lab and the functions of the
	// recorder.
	Steps   []Step `json:"steps,omitempty"`
	Cleanup string `json:"cleanup,omitempty"`
}

// Step is a shell script that is run so many seconds after the manifests were applied.
type Step struct {
	After float64 `json:"after"`
	Run   string  `json:"run"`
}

// Namespace is the variant's own.
func (v *Variant) Namespace() string { return "corpus-" + strings.ToLower(v.Kind) + "-" + v.Name }

// Label returns the variant's label for a recording whose manifests were applied at that time.
func (v *Variant) Label(applied time.Time) Label {
	l := Label{Want: v.Want, Also: v.Also, Not: v.Not, Why: v.Why, Hard: v.Hard, Derived: v.Derived}
	if l.Want == nil {
		l.Want = []Want{}
	}
	if v.Began > 0 {
		l.Began = applied.Add(time.Duration(v.Began * float64(time.Second)))
	}
	return l
}

// maxSeconds is the longest recording that is allowed.
const maxSeconds = 900

// ReadVariant reads KIND/NAME.yaml: the variant, and after the first line of three dashes its manifests.
func ReadVariant(path string) (*Variant, error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("read variant: %w", err)
	}
	head, manifests, _ := bytes.Cut(text, []byte("\n---\n"))
	v := &Variant{
		Kind: filepath.Base(filepath.Dir(path)), Name: strings.TrimSuffix(filepath.Base(path), ".yaml"), Manifests: manifests,
	}
	if err := yaml.UnmarshalStrict(head, v); err != nil {
		return nil, fmt.Errorf("read variant %s: %w", path, err)
	}
	if err := v.validate(); err != nil {
		return nil, fmt.Errorf("read variant %s: %w", path, err)
	}
	return v, nil
}

func (v *Variant) validate() error {
	switch {
	case v.Why == "":
		return fmt.Errorf("why: %q is not allowed: must say what happens", v.Why)
	case v.Seconds < 10 || v.Seconds > maxSeconds:
		return fmt.Errorf("seconds: %d is not allowed: must be from 10 to %d", v.Seconds, maxSeconds)
	case len(v.Nodes) == 0:
		return fmt.Errorf("nodes: %q is not allowed: must name the nodes that are recorded", v.Nodes)
	case len(bytes.TrimSpace(v.Manifests)) == 0:
		return fmt.Errorf("manifests: %q is not allowed: must follow the variant after a line ---", v.Manifests)
	}
	for i, s := range v.Steps {
		if s.After < 0 || s.After > float64(v.Seconds) {
			return fmt.Errorf("steps[%d].after: %g is not allowed: must be from 0 to seconds, %d", i, s.After, v.Seconds)
		}
	}
	return nil
}

// ReadVariants reads every variant below a folder, sorted by kind and name.
func ReadVariants(folder string) ([]*Variant, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("find variants: %w", err)
	}
	slices.Sort(paths)
	out := make([]*Variant, 0, len(paths))
	for _, path := range paths {
		v, err := ReadVariant(path)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
