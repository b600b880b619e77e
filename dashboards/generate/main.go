// Command generate writes the dashboards into the folder that is its argument, one file each, and fails where the lint finds
// anything. It removes nothing.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/homeostat/homeostat/dashboards"
	"github.com/homeostat/homeostat/dashboards/grafana"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is a command
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: generate FOLDER")
	}
	all := dashboards.All()
	if found := grafana.Lint(all...); len(found) > 0 {
		return errors.New(strings.Join(found, "\n"))
	}
	for _, d := range all {
		out, err := d.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(args[0], dashboards.File(d)), out, 0o644); err != nil { //nolint:gosec // everybody may read it
			return fmt.Errorf("write dashboard: %w", err)
		}
	}
	return nil
}
