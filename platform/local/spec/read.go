package spec

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// field reads the value of one field.
type field func(n *yaml.Node, path string) error

// lineError is an error in a document, at a line of the file.
func lineError(line int, field, format string, args ...any) error {
	return fmt.Errorf("line %d: %s: %s", max(line, 1), field, fmt.Sprintf(format, args...))
}

// object reads a mapping with the given fields and returns which of them it has.
func object(n *yaml.Node, path string, fields map[string]field) (map[string]bool, error) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil, lineError(n.Line, cmp.Or(path, "document"), "%s is no mapping; allowed are the fields %s", describe(n), names(fields))
	}
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		read, known := fields[key.Value]
		switch {
		case !known || key.Kind != yaml.ScalarNode:
			return nil, lineError(key.Line, at, "is no known field; allowed are %s", names(fields))
		case given[key.Value]:
			return nil, lineError(key.Line, at, "is given twice; allowed is once")
		}
		given[key.Value] = true
		if err := read(value, at); err != nil {
			return nil, err
		}
	}
	return given, nil
}

// nested is an object in a field; the required fields must be there.
func nested(fields map[string]field, need ...string) field {
	return func(n *yaml.Node, path string) error {
		given, err := object(n, path, fields)
		if err != nil {
			return err
		}
		return required(n, path, given, need...)
	}
}

func required(n *yaml.Node, path string, given map[string]bool, need ...string) error {
	for _, name := range need {
		if !given[name] {
			return lineError(n.Line, join(path, name), "is missing and required")
		}
	}
	return nil
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

func names(fields map[string]field) string {
	return strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode:
	}
	if n.Kind == 0 || n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

func scalar(n *yaml.Node, path string) (string, error) {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", lineError(n.Line, path, "%s is no single value; allowed is one", describe(n))
	}
	return n.Value, nil
}

func sequence(n *yaml.Node, path string) ([]*yaml.Node, error) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		return nil, lineError(n.Line, path, "%s is no list; allowed is a list", describe(n))
	}
	return n.Content, nil
}

func text(into *string) field {
	return func(n *yaml.Node, path string) error {
		value, err := scalar(n, path)
		*into = value
		return err
	}
}

func oneOf(allowed string) field {
	return func(n *yaml.Node, path string) error {
		value, err := scalar(n, path)
		if err == nil && value != allowed {
			err = lineError(n.Line, path, "%q is not known here; allowed is %s", value, allowed)
		}
		return err
	}
}

func list(into *[]string) field {
	return func(n *yaml.Node, path string) error {
		items, err := sequence(n, path)
		if err != nil {
			return err
		}
		for i, item := range items {
			value, err := scalar(item, path+"["+strconv.Itoa(i)+"]")
			if err != nil {
				return err
			}
			*into = append(*into, value)
		}
		if len(items) == 0 || (*into)[0] == "" {
			return lineError(n.Line, path, "is empty; allowed is a program and its arguments")
		}
		return nil
	}
}

func labels(into *map[string]string) field {
	return func(n *yaml.Node, path string) error {
		n = resolve(n)
		if n.Kind != yaml.MappingNode {
			return lineError(n.Line, path, "%s is no mapping; allowed are names with values", describe(n))
		}
		*into = map[string]string{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := join(path, key.Value)
			value, err := scalar(n.Content[i+1], at)
			if err != nil {
				return err
			}
			problems := append(validation.IsQualifiedName(key.Value), validation.IsValidLabelValue(value)...)
			if len(problems) > 0 {
				return lineError(key.Line, at, "%q is no label; allowed is what Kubernetes allows: %s", value, problems[0])
			}
			if _, twice := (*into)[key.Value]; twice {
				return lineError(key.Line, at, "is given twice; allowed is once")
			}
			(*into)[key.Value] = value
		}
		return nil
	}
}

func number[T int | int32](into *T, lo, hi T) field {
	return func(n *yaml.Node, path string) error {
		value, err := scalar(n, path)
		if err != nil {
			return err
		}
		v, err := strconv.ParseInt(value, 10, 32)
		if err != nil || T(v) < lo || T(v) > hi {
			return lineError(n.Line, path, "%q is no such number; allowed is %d to %d", value, lo, hi)
		}
		*into = T(v)
		return nil
	}
}

func duration(into *time.Duration, lo, hi time.Duration) field {
	return func(n *yaml.Node, path string) error {
		value, err := scalar(n, path)
		if err != nil {
			return err
		}
		d, err := time.ParseDuration(value)
		if err != nil || d < lo || d > hi {
			return lineError(n.Line, path, "%q is no such duration; allowed is %v to %v, such as 500ms or 1m30s", value, lo, hi)
		}
		*into = d
		return nil
	}
}

func quantity(lo, hi int64, into *int64, read func(*resource.Quantity) int64, allowed string) field {
	return func(n *yaml.Node, path string) error {
		value, err := scalar(n, path)
		if err != nil {
			return err
		}
		q, err := resource.ParseQuantity(value)
		if err != nil || read(&q) < lo || read(&q) > hi {
			return lineError(n.Line, path, "%q is no such quantity; allowed is %s", value, allowed)
		}
		*into = read(&q)
		return nil
	}
}

func address(into *string) field {
	return func(n *yaml.Node, path string) error {
		value, err := scalar(n, path)
		if err != nil {
			return err
		}
		_, port, err := net.SplitHostPort(value)
		if p, perr := strconv.Atoi(port); err != nil || perr != nil || p < 0 || p > 65535 {
			return lineError(n.Line, path, "%q is no address; allowed is host:port, such as 127.0.0.1:8080", value)
		}
		*into = value
		return nil
	}
}
