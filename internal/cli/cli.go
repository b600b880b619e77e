// Package cli is the command line: flags and arguments in, one call into the wiring or the printing, an exit code out.
//
// The exit codes: 0 done, 1 it did not work (or replay found a difference), 2 the call was wrong. Errors go to standard error as one line. The package decides nothing
// and prints through package report.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

// Run runs the command line and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ended, ok := errors.AsType[exitError](err); ok {
		return ended.code
	}
	_, _ = fmt.Fprintf(stderr, "homeostat: %v\n", err) // there is nowhere else to say it
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

// exitError is the exit code of a command that has said itself what there is to say.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usageError is an error of the call, which exits with 2.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error { return usageError{msg: fmt.Sprintf(format, args...)} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "homeostat",
		// Of a name with a space cobra takes the first word alone, which is kubectl's.
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: commandName()},
		Short:       "Scale and heal workloads, and say why",
		Long: "Homeostat keeps workloads at their set point: one controller that scales them, heals them, and can say of everything\n" +
			"it did, and did not do, why. Try `homeostat demo`: it needs no cluster.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2 // letters
	root.AddCommand(newRun(), newExplain(), newIncidents(), newIncident(), newTimeline(), newWhy(), newPostmortem(),
		newReplay(), newAdopt(), newDemo(), newDemoApp(), newVersion())
	for _, cmd := range root.Commands() {
		cmd.Example = strings.ReplaceAll(cmd.Example, "homeostat ", commandName()+" ")
	}
	return root
}

// commandName is how the command was called: kubectl runs the plugin as kubectl-homeostat.
func commandName() string {
	if filepath.Base(os.Args[0]) == "kubectl-homeostat" {
		return "kubectl homeostat"
	}
	return "homeostat"
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	}
}

// noCommand refuses what is no command, with those that may have been meant.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		meant = ", perhaps " + strings.Join(near, " or ") + " is meant"
	}
	return usagef("there is no command %q%s; see %s --help", args[0], meant, cmd.CommandPath())
}

// noArgs is cobra.NoArgs with an error of the call.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
