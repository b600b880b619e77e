package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/internal/replay"
	"github.com/homeostat/homeostat/internal/report"
)

func newReplay() *cobra.Command {
	var file, output string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Decide again what a journal has recorded, with today's code or another policy",
		Long: "Decide each decision of a journal (- is standard input) again from its recorded inputs with the code of this program, and show where\n" +
			"the number, the reason or a step differs. The exit code is 1 if anything does, or if a line cannot be read.\n" +
			"With --policy, show what the Autoscalers of that file would have decided instead, each about the recorded autoscalers of its name.\n" +
			"Take that with care: the load and the number of replicas stay as they were recorded. The exit code is then 0.",
		Example: "  homeostat replay journal.jsonl\n  kubectl logs -n homeostat-system homeostat-7d9c-x2x9z | homeostat replay - --policy wider.yaml",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("replay takes one file, or - for standard input, got %d", len(args))
			}
			if err := checkOutput(output); err != nil {
				return err
			}
			var policies []replay.Policy
			if file != "" {
				var err error
				if policies, err = readPolicies(file); err != nil {
					return err
				}
			}
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("open journal: %w", err)
				}
				defer f.Close() //nolint:errcheck // it was only read
				in = f
			}
			if file != "" {
				return whatIf(cmd, in, policies, output)
			}
			return check(cmd, in, output)
		},
	}
	cmd.Flags().StringVar(&file, "policy", "", "file with the Autoscalers to decide with instead (YAML)")
	addOutput(cmd, &output)
	return cmd
}

func check(cmd *cobra.Command, in io.Reader, output string) error {
	c, err := replay.Check(journal.Read(in))
	if err != nil {
		return err
	}
	if err := printed(cmd, output, c, func(w io.Writer) error { return report.Comparison(w, c, time.Local) }); err != nil {
		return err
	}
	if !c.Same() {
		return exitError{code: 1}
	}
	return nil
}

func whatIf(cmd *cobra.Command, in io.Reader, policies []replay.Policy, output string) error {
	o, err := replay.WhatIf(journal.Read(in), policies)
	if err != nil {
		return err
	}
	return printed(cmd, output, o, func(w io.Writer) error { return report.Outlook(w, o, time.Local) })
}

// readPolicies reads the Autoscalers of a file.
func readPolicies(path string) ([]replay.Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open policy: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	docs, err := policy.ParseFile(f)
	if err != nil {
		return nil, usagef("--policy %s: %s", path, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if len(docs.Autoscalers) == 0 {
		return nil, usagef("--policy %s has no Autoscaler", path)
	}
	policies := make([]replay.Policy, 0, len(docs.Autoscalers))
	for i := range docs.Autoscalers {
		a := &docs.Autoscalers[i]
		p, err := policy.Autoscaling(&a.Spec)
		if err != nil {
			return nil, usagef("--policy %s: %s", path, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		policies = append(policies, replay.Policy{Namespace: a.Namespace, Name: a.Name, Policy: p})
	}
	return policies, nil
}
