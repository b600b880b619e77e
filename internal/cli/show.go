package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// A reader reads what a controller has stored, wherever that is. An empty namespace means every namespace.
type reader interface {
	Autoscalers(ctx context.Context, namespace string) ([]report.Autoscaler, error)
	Incidents(ctx context.Context, namespace string) ([]incident.Incident, error)
}

// sourceFlags say where to read from; the same for every command that reads.
type sourceFlags struct {
	kubeconfig, context, namespace, state, output string
	all                                           bool
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; default: KUBECONFIG, then ~/.kube/config")
	fl.StringVar(&f.context, "context", "", "context of the kubeconfig")
	fl.StringVarP(&f.namespace, "namespace", "n", "", "namespace; default: the context's")
	fl.BoolVarP(&f.all, "all-namespaces", "A", false, "every namespace")
	fl.StringVar(&f.state, "state", "", "read the state folder of a local run instead of a cluster")
	fl.StringVarP(&f.output, "output", "o", "", "json for machines; default: text for people")
}

// open returns the reader and the namespace to read.
func (f *sourceFlags) open() (reader, string, error) {
	if f.output != "" && f.output != "json" {
		return nil, "", usagef("--output %q is not allowed: json, or leave it out", f.output)
	}
	if f.all && f.namespace != "" {
		return nil, "", usagef("--namespace %q and --all-namespaces exclude each other", f.namespace)
	}
	if f.state != "" {
		r, err := openState(f.state)
		return r, "", err
	}
	rest, ns, err := restConfig(f.kubeconfig, f.context)
	if err != nil {
		return nil, "", err
	}
	if f.namespace != "" {
		ns = f.namespace
	}
	if f.all {
		ns = ""
	}
	r, err := openCluster(rest)
	return r, ns, err
}

func newExplain() *cobra.Command {
	var f sourceFlags
	cmd := &cobra.Command{
		Use:     "explain autoscaler/NAME",
		Short:   "Say why a workload has the number of replicas that it has",
		Example: "  homeostat explain autoscaler/web -n demo\n  homeostat explain autoscaler/web -o json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("explain takes one argument such as autoscaler/web, got %d", len(args))
			}
			kind, name, found := strings.Cut(args[0], "/")
			if !found || name == "" || !slices.Contains([]string{"autoscaler", "autoscalers", "as"}, kind) {
				return usagef("explain %q is not allowed: autoscaler/NAME", args[0])
			}
			r, ns, err := f.open()
			if err != nil {
				return err
			}
			list, err := r.Autoscalers(cmd.Context(), ns)
			if err != nil {
				return err
			}
			named := slices.DeleteFunc(slices.Clone(list), func(a report.Autoscaler) bool { return a.Ref.Name != name })
			if len(named) == 0 {
				return fmt.Errorf("autoscaler %q not found%s; there %s", name, in(ns), names(list))
			}
			return f.printAutoscalers(cmd, named)
		},
	}
	f.add(cmd)
	return cmd
}

// printAutoscalers prints one, or with --all-namespaces every one of that name.
func (f *sourceFlags) printAutoscalers(cmd *cobra.Command, list []report.Autoscaler) error {
	for _, a := range list {
		var err error
		if f.output == "json" {
			err = report.JSON(cmd.OutOrStdout(), a)
		} else {
			err = report.Explain(cmd.OutOrStdout(), a, time.Now())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func in(ns string) string {
	if ns == "" {
		return ""
	}
	return fmt.Sprintf(" in namespace %q", ns)
}

// names says which autoscalers there are, because a typing error is the usual reason for asking for one that is not.
func names(list []report.Autoscaler) string {
	if len(list) == 0 {
		return "are none"
	}
	var all []string
	for _, a := range list {
		all = append(all, a.Ref.Name)
	}
	slices.Sort(all)
	return "are " + strings.Join(slices.Compact(all), ", ")
}

func newIncidents() *cobra.Command {
	var f sourceFlags
	var active bool
	cmd := &cobra.Command{
		Use:     "incidents [NAME]",
		Short:   "List incidents, or show one with its cause, evidence and timeline",
		Example: "  homeostat incidents -A\n  homeostat incidents web-oomkilled-5f1c -n demo\n  homeostat incidents -o json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("incidents takes at most one name, got %d", len(args))
			}
			r, ns, err := f.open()
			if err != nil {
				return err
			}
			list, err := r.Incidents(cmd.Context(), ns)
			if err != nil {
				return err
			}
			if active {
				list = slices.DeleteFunc(list, func(i incident.Incident) bool { return !i.State.Active() })
			}
			if len(args) == 0 {
				return f.printList(cmd, list)
			}
			i := slices.IndexFunc(list, func(i incident.Incident) bool { return i.Name == args[0] })
			if i < 0 {
				return fmt.Errorf("incident %q not found%s; `homeostat incidents` lists them", args[0], in(ns))
			}
			if f.output == "json" {
				return report.JSON(cmd.OutOrStdout(), list[i])
			}
			return report.Incident(cmd.OutOrStdout(), list[i], time.Now())
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&active, "active", false, "only those that are not resolved")
	return cmd
}

func (f *sourceFlags) printList(cmd *cobra.Command, list []incident.Incident) error {
	if f.output == "json" {
		if list == nil {
			list = []incident.Incident{} // an empty list, not null
		}
		return report.JSON(cmd.OutOrStdout(), list)
	}
	return report.Incidents(cmd.OutOrStdout(), list, time.Now())
}
