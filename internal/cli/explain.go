package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/decisions"
	"github.com/homeostat/homeostat/internal/report"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	sourceFlags
	controllerFlags
}

func newExplain() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain autoscaler/NAME | hpa/NAME",
		Short: "Say why a workload has the number of replicas that it has",
		Long: "Say why a workload has the number of replicas that it has: the last decision with every step of it, and the last changes. Of a\n" +
			"HorizontalPodAutoscaler: what it did, what Homeostat would do, and what of it the HPA cannot see.\n" +
			"The last decision comes from the controller that leads, through the API server; without it, from the status of the object.",
		Example: "  homeostat explain autoscaler/web -n demo\n  homeostat explain hpa/web -n demo -o json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("explain takes one argument such as autoscaler/web, got %d", len(args))
			}
			short, name, found := strings.Cut(args[0], "/")
			kind, known := decisions.KindOf(short)
			if !found || name == "" || !known {
				return usagef("explain %q is not allowed: autoscaler/NAME or hpa/NAME", args[0])
			}
			if err := f.checkExplain(kind); err != nil {
				return err
			}
			if kind == decisions.KindHPA {
				return f.native(cmd, name)
			}
			return f.own(cmd, name)
		},
	}
	f.sourceFlags.add(cmd)
	f.controllerFlags.add(cmd)
	return cmd
}

func (f *explainFlags) checkExplain(kind string) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.state == "" {
		return f.checkAddress()
	}
	switch {
	case kind == decisions.KindHPA:
		return usagef("explain hpa/NAME is not allowed with --state: a local run has no HorizontalPodAutoscalers")
	case f.url != "":
		return usagef("--controller %q and --state exclude each other", f.url)
	}
	return nil
}

// own explains an Autoscaler, or with --all-namespaces every one of that name.
func (f *explainFlags) own(cmd *cobra.Command, name string) error {
	ctx := cmd.Context()
	r, ns, err := f.open()
	if err != nil {
		return err
	}
	list, err := r.Autoscalers(ctx, ns)
	if err != nil {
		return err
	}
	var named []report.Autoscaler
	var there []string
	for _, a := range list {
		there = append(there, a.Ref.Name)
		if a.Ref.Name == name {
			named = append(named, a)
		}
	}
	if len(named) == 0 {
		return fmt.Errorf("autoscaler %q not found%s; there %s", name, in(ns), names(there))
	}
	for i := range named {
		a := &named[i]
		if f.state == "" {
			if err := f.ask(ctx, a); err != nil {
				return err
			}
		}
		if err := f.printNext(cmd, i > 0, a, func(w io.Writer) error { return report.Explain(w, *a, time.Now()) }); err != nil {
			return err
		}
	}
	return nil
}

// ask adds what the controller has in memory to what the status says. That it has nothing is no error but a note.
func (f *explainFlags) ask(ctx context.Context, a *report.Autoscaler) error {
	cfg, _, err := f.cluster()
	if err != nil {
		return err
	}
	e, err := f.lastDecision(ctx, cfg, a.Ref)
	if err != nil {
		a.Note = err.Error()
		return nil //nolint:nilerr // it is told in the note
	}
	a.Take(e)
	return nil
}

// native explains a HorizontalPodAutoscaler, or with --all-namespaces every one of that name.
func (f *explainFlags) native(cmd *cobra.Command, name string) error {
	ctx := cmd.Context()
	cfg, ns, err := f.cluster()
	if err != nil {
		return err
	}
	r, err := openNatives(cfg)
	if err != nil {
		return err
	}
	list, err := r.list(ctx, ns)
	if err != nil {
		return err
	}
	there := make([]string, 0, len(list))
	for i := range list {
		there = append(there, list[i].Name)
	}
	if !slices.Contains(there, name) {
		return fmt.Errorf("hpa %q not found%s; there %s", name, in(ns), names(there))
	}
	shown := false
	for i := range list {
		if list[i].Name != name {
			continue
		}
		h, err := r.describe(ctx, &list[i])
		if err != nil {
			return err
		}
		if e, err := f.lastDecision(ctx, cfg, h.Ref); err != nil {
			h.Note = err.Error()
		} else {
			h.Consider(e)
		}
		if err := f.printNext(cmd, shown, h, func(w io.Writer) error { return report.ExplainHPA(w, h, time.Now()) }); err != nil {
			return err
		}
		shown = true
	}
	return nil
}

// printNext prints one of possibly several objects: another document of YAML, or for people another paragraph.
func (f *explainFlags) printNext(cmd *cobra.Command, another bool, v any, people func(w io.Writer) error) error {
	if between := map[string]string{"": "\n", "yaml": "---\n"}[f.output]; another {
		if _, err := io.WriteString(cmd.OutOrStdout(), between); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return printed(cmd, f.output, v, people)
}
