package policy

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds of a file of documents. They are far above what people write.
const (
	MaxFileBytes = 1 << 20
	maxNodes     = 20_000 // of one document
	maxDepth     = 100
)

// Document is one YAML document that says what it is.
type Document struct {
	APIVersion, Kind string
	// Name is metadata.name, empty where there is none.
	Name string
	// Line of the file on which the document begins.
	Line int
	// Node is the document's mapping, with the lines of the file.
	Node *yaml.Node

	lines map[string]int
	nodes []entry
}

// entry is one node of a document with its path, such as spec.metrics[0].type.
type entry struct {
	path string
	line int
	node *yaml.Node
}

// Documents splits a YAML stream of at most MaxFileBytes. Every document must be a mapping with apiVersion and kind;
// empty ones are left out. Keys must be strings and must not be repeated; anchors may stand there, aliases and merge keys
// are refused. Errors name the line.
func Documents(r io.Reader) ([]Document, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	if len(raw) > MaxFileBytes {
		return nil, fmt.Errorf("read documents: more than %d bytes, which is what is allowed", MaxFileBytes)
	}
	var docs []Document
	dec := yaml.NewDecoder(strings.NewReader(string(raw)))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read documents: %w", err)
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 || n.Content[0].ShortTag() == "!!null" {
			continue
		}
		d, err := newDocument(n.Content[0])
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
}

func newDocument(n *yaml.Node) (Document, error) {
	if n.Kind != yaml.MappingNode {
		return Document{}, fmt.Errorf("line %d: a document must be a mapping with apiVersion and kind", n.Line)
	}
	d := Document{Line: n.Line, Node: n, lines: map[string]int{}}
	if err := d.index(n, "", n.Line, 0); err != nil {
		return Document{}, err
	}
	for _, f := range []struct {
		path string
		to   *string
	}{{"apiVersion", &d.APIVersion}, {"kind", &d.Kind}, {"metadata.name", &d.Name}} {
		for _, e := range d.nodes {
			if e.path == f.path && e.node.ShortTag() == "!!str" {
				*f.to = e.node.Value
			}
		}
	}
	switch {
	case d.APIVersion == "":
		return Document{}, fmt.Errorf("line %d: apiVersion: required, as text", d.line("apiVersion"))
	case d.Kind == "":
		return Document{}, fmt.Errorf("line %d: kind: required, as text", d.line("kind"))
	}
	return d, nil
}

// index lists the nodes of the document, each before its children, and refuses what JSON does not have.
func (d *Document) index(n *yaml.Node, path string, line, depth int) error {
	if len(d.nodes) >= maxNodes {
		return fmt.Errorf("line %d: the document has more than %d values, which is what is allowed", line, maxNodes)
	}
	if depth > maxDepth {
		return fmt.Errorf("line %d: nested deeper than %d levels, which is what is allowed", line, maxDepth)
	}
	d.nodes = append(d.nodes, entry{path: path, line: line, node: n})
	if _, ok := d.lines[path]; !ok {
		d.lines[path] = line
	}
	switch n.Kind {
	case yaml.MappingNode:
		return d.indexMapping(n, path, depth)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if err := d.index(item, fmt.Sprintf("%s[%d]", path, i), item.Line, depth+1); err != nil {
				return err
			}
		}
		return nil
	case yaml.ScalarNode:
		if _, err := scalar(n); err != nil {
			return fmt.Errorf("line %d: %s: %w", n.Line, path, err)
		}
		return nil
	case yaml.AliasNode, yaml.DocumentNode:
		return fmt.Errorf("line %d: %s: an alias (*%s) is not allowed: write the value itself", n.Line, path, n.Value)
	default:
		return fmt.Errorf("line %d: %s: not a value", n.Line, path)
	}
}

func (d *Document) indexMapping(n *yaml.Node, path string, depth int) error {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return fmt.Errorf("line %d: %s: key %q is not allowed: keys must be text", key.Line, path, key.Value)
		}
		child := key.Value
		if path != "" {
			child = path + "." + key.Value
		}
		if first, ok := seen[key.Value]; ok {
			return fmt.Errorf("line %d: %s: given twice, first on line %d", key.Line, child, first)
		}
		seen[key.Value] = key.Line
		if err := d.index(value, child, key.Line, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// line returns the line of the field with that path, or of what is nearest above it.
func (d *Document) line(path string) int {
	for path != "" {
		if l, ok := d.lines[path]; ok {
			return l
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return d.Line
}
