// Command generate writes what is generated about Homeostat's own metrics: the tables of docs/metrics.md from the table in package telemetry, and
// the PrometheusRule beside the plain file of alert rules. It writes nothing else, and nothing where both are up to date.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/homeostat/homeostat/internal/telemetry"
)

const (
	pagePath  = "docs/metrics.md"
	rulesPath = "alerts/rules/homeostat.yaml"
	rulePath  = "alerts/rules/homeostat-prometheusrule.yaml"
)

func main() {
	root := flag.String("root", ".", "`folder` of the repository")
	flag.Parse()
	if err := run(*root, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "generate:", err) // nobody is left to tell
		os.Exit(1)                                       //nolint:forbidigo // this is a command
	}
}

// run writes both files beneath root, and says on out which ones changed.
func run(root string, out io.Writer) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for _, path := range []string{pagePath, rulePath} {
		full := filepath.Join(root, path)
		if old, err := os.ReadFile(full); err == nil && bytes.Equal(old, files[path]) {
			continue
		}
		if err := os.WriteFile(full, files[path], 0o644); err != nil { //nolint:gosec // a file of the repository, for everybody
			return fmt.Errorf("write %s: %w", path, err)
		}
		if _, err := fmt.Fprintln(out, path); err != nil {
			return fmt.Errorf("print %s: %w", path, err)
		}
	}
	return nil
}

// generate returns what both files should be, by their paths.
func generate(root string) (map[string][]byte, error) {
	page, err := os.ReadFile(filepath.Join(root, pagePath))
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	rules, err := os.ReadFile(filepath.Join(root, rulesPath))
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if page, err = fillPage(page, telemetry.Metrics()); err != nil {
		return nil, fmt.Errorf("fill %s: %w", pagePath, err)
	}
	return map[string][]byte{pagePath: page, rulePath: wrapRules(rules)}, nil
}
