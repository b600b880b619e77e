package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
	kjson "sigs.k8s.io/json"
)

// Decode reads the document into the value that into points to, by its JSON field names. It is strict: a field that the
// value does not have (the case of letters counts) and a value of the wrong type are errors that name line and field.
func (d *Document) Decode(into any) error {
	strict, err := d.decode(len(d.nodes), into)
	if err != nil {
		return d.locate(err, reflect.TypeOf(into))
	}
	faults := make([]error, 0, len(strict))
	for _, s := range strict {
		faults = append(faults, d.strictError(s))
	}
	return errors.Join(faults...)
}

// decode reads only the first n nodes of the document; the others are null, which is like not given.
func (d *Document) decode(n int, into any) (strict []error, err error) {
	raw, err := json.Marshal(render(d.Node, &n))
	if err != nil {
		return nil, fmt.Errorf("write document as json: %w", err)
	}
	return kjson.UnmarshalStrict(raw, into)
}

// locate names the field whose value made decoding fail: the first one without which all before it decode. Not every
// type's errors name their field (a duration's and a quantity's do not), so it is found by search.
func (d *Document) locate(err error, into reflect.Type) error {
	fails := func(n int) error {
		_, err := d.decode(n, reflect.New(into.Elem()).Interface())
		return err
	}
	n := 1 + sort.Search(len(d.nodes)-1, func(i int) bool { return fails(i+1) != nil })
	if e := fails(n); e != nil {
		err = e
	}
	at := d.nodes[n-1]
	return fmt.Errorf("line %d: %s: %s", at.line, orDocument(at.path), wrongValue(at.node, err))
}

func orDocument(path string) string {
	if path == "" {
		return "document"
	}
	return path
}

func wrongValue(n *yaml.Node, err error) string {
	value := "this"
	switch n.Kind {
	case yaml.MappingNode:
		value = "a mapping"
	case yaml.SequenceNode:
		value = "a list"
	case yaml.ScalarNode:
		value = fmt.Sprintf("%q", n.Value)
	case yaml.AliasNode, yaml.DocumentNode: // a document has neither inside
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s is not allowed: must be %s", value, kindOf(wrong.Type))
	}
	return fmt.Sprintf("%s is not allowed: %s", value, strings.TrimPrefix(err.Error(), "json: "))
}

func kindOf(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the others are called by their own names
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of at most %d bits", t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "a mapping"
	default:
		return "a " + t.Kind().String()
	}
}

// strictError rewrites an error such as `unknown field "spec.foo"`.
func (d *Document) strictError(err error) error {
	what, quoted, ok := strings.Cut(err.Error(), ` "`)
	path, found := strings.CutSuffix(quoted, `"`)
	if !ok || !found {
		return fmt.Errorf("line %d: %w", d.Line, err)
	}
	return fmt.Errorf("line %d: %s: %s", d.line(path), path, what)
}

// render returns the node as what encoding/json takes, as far as left reaches; it counts nodes as index lists them.
func render(n *yaml.Node, left *int) any {
	if *left <= 0 {
		return nil
	}
	*left--
	switch n.Kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = render(n.Content[i+1], left)
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			out = append(out, render(item, left))
		}
		return out
	case yaml.ScalarNode:
		v, err := scalar(n)
		if err != nil {
			return nil // index has refused the document
		}
		return v
	case yaml.AliasNode, yaml.DocumentNode:
		return nil // index has refused the document
	default:
		return nil
	}
}

// scalar returns the value as JSON has it. A timestamp stays the text that it is in the file.
func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!str", "!!timestamp":
		return n.Value, nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, fmt.Errorf("%q is not allowed: %w", n.Value, err)
		}
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return nil, fmt.Errorf("%q is not allowed: must be a finite number", n.Value)
		}
		return v, nil
	default:
		return nil, fmt.Errorf("tag %s is not allowed: write the value without it", n.ShortTag())
	}
}
