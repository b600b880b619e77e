package policy

import (
	"errors"
	"fmt"
	"io"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// File is what ParseFile found in a file, each kind in the file's order.
type File struct {
	Autoscalers     []v1alpha1.Autoscaler
	HealingPolicies []v1alpha1.HealingPolicy
	// Others are the documents of other API groups.
	Others []Document
}

// ParseFile reads a stream of YAML documents and checks the Autoscalers and HealingPolicies in it as the API server
// does: their specs convert without an error afterwards. Every fault of the file is one line of the error, with the line
// of the file, the field, its value and what is allowed. Fields that are not given stay so; Autoscaling and Healing know
// their defaults.
func ParseFile(r io.Reader) (File, error) {
	docs, err := Documents(r)
	if err != nil {
		return File{}, err
	}
	var f File
	var faults []error
	first := map[string]int{}
	for i := range docs {
		d := &docs[i]
		id := d.APIVersion + " " + d.Kind + " " + d.Name
		if line, twice := first[id]; twice {
			faults = append(faults, fmt.Errorf("line %d: metadata.name: the %s %q is there twice, first on line %d", d.line("metadata.name"), d.Kind, d.Name, line))
			continue
		}
		first[id] = d.Line
		faults = append(faults, f.add(d))
	}
	if err := errors.Join(faults...); err != nil {
		return File{}, err
	}
	return f, nil
}

func (f *File) add(d *Document) error {
	switch {
	case d.APIVersion == v1alpha1.APIVersion && d.Kind == v1alpha1.KindAutoscaler:
		var a v1alpha1.Autoscaler
		if err := d.decodeNamed(&a); err != nil {
			return err
		}
		if _, err := Autoscaling(&a.Spec); err != nil {
			return d.withLines(err)
		}
		f.Autoscalers = append(f.Autoscalers, a)
	case d.APIVersion == v1alpha1.APIVersion && d.Kind == v1alpha1.KindHealingPolicy:
		var p v1alpha1.HealingPolicy
		if err := d.decodeNamed(&p); err != nil {
			return err
		}
		if _, err := Healing(p.Namespace, p.Name, &p.Spec); err != nil {
			return d.withLines(err)
		}
		f.HealingPolicies = append(f.HealingPolicies, p)
	case d.APIVersion == v1alpha1.APIVersion:
		return fmt.Errorf("line %d: kind: %q is not allowed: must be %s or %s", d.line("kind"), d.Kind, v1alpha1.KindAutoscaler, v1alpha1.KindHealingPolicy)
	case d.APIVersion == v1alpha1.Group || strings.HasPrefix(d.APIVersion, v1alpha1.Group+"/"):
		return fmt.Errorf("line %d: apiVersion: %q is not allowed: must be %s", d.line("apiVersion"), d.APIVersion, v1alpha1.APIVersion)
	default:
		f.Others = append(f.Others, *d)
	}
	return nil
}

func (d *Document) decodeNamed(into any) error {
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.Name == "" {
		return fmt.Errorf("line %d: metadata.name: required", d.line("metadata.name"))
	}
	return nil
}

// withLines puts the line of the file before each fault of a spec.
func (d *Document) withLines(err error) error {
	var all utilerrors.Aggregate
	if !errors.As(err, &all) {
		return fmt.Errorf("line %d: %w", d.Line, err)
	}
	faults := make([]error, 0, len(all.Errors()))
	for _, e := range all.Errors() {
		line := d.Line
		if fault, ok := errors.AsType[*field.Error](e); ok {
			line = d.line(fault.Field)
		}
		faults = append(faults, fmt.Errorf("line %d: %w", line, e))
	}
	return errors.Join(faults...)
}
