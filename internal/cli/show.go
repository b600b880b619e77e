package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

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
	addOutput(cmd, &f.output)
}

// addOutput adds the flag that all commands have which print for people and for machines.
func addOutput(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(to, "output", "o", "", "json or yaml for machines; default: text for people")
}

func checkOutput(output string) error {
	if !slices.Contains([]string{"", "json", "yaml"}, output) {
		return usagef("--output %q is not allowed: json, yaml, or leave it out", output)
	}
	return nil
}

// printed prints v for machines, or calls people where nothing else is asked for.
func printed(cmd *cobra.Command, output string, v any, people func(w io.Writer) error) error {
	switch w := cmd.OutOrStdout(); output {
	case "json":
		return report.JSON(w, v)
	case "yaml":
		return report.YAML(w, v)
	default:
		return people(w)
	}
}

// check refuses flags that are not allowed.
func (f *sourceFlags) check() error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if f.all && f.namespace != "" {
		return usagef("--namespace %q and --all-namespaces exclude each other", f.namespace)
	}
	return nil
}

// cluster returns how the cluster is reached, and the namespace to read.
func (f *sourceFlags) cluster() (*rest.Config, string, error) {
	cfg, ns, err := restConfig(f.kubeconfig, f.context)
	if f.namespace != "" {
		ns = f.namespace
	}
	if f.all {
		ns = ""
	}
	return cfg, ns, err
}

// open returns the reader and the namespace to read.
func (f *sourceFlags) open() (reader, string, error) {
	if err := f.check(); err != nil {
		return nil, "", err
	}
	if f.state != "" {
		r, err := openState(f.state)
		return r, "", err
	}
	cfg, ns, err := f.cluster()
	if err != nil {
		return nil, "", err
	}
	r, err := openCluster(cfg)
	return r, ns, err
}

func in(ns string) string {
	if ns == "" {
		return ""
	}
	return fmt.Sprintf(" in namespace %q", ns)
}

// names says which there are, because a typing error is the usual reason for asking for one that is not.
func names(all []string) string {
	if len(all) == 0 {
		return "are none"
	}
	all = slices.Clone(all)
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
			if len(args) == 1 {
				one, err := find(cmd, r, ns, args[0])
				if err != nil {
					return err
				}
				return printed(cmd, f.output, one, func(w io.Writer) error { return report.Incident(w, *one, time.Now()) })
			}
			list, err := r.Incidents(cmd.Context(), ns)
			if err != nil {
				return err
			}
			resolved := 0
			if active {
				all := len(list)
				list = slices.DeleteFunc(list, func(i incident.Incident) bool { return !i.State.Active() })
				resolved = all - len(list)
			}
			return f.printList(cmd, list, ns, resolved)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&active, "active", false, "only those that are not resolved")
	return cmd
}

// printList prints the incidents of the namespace; resolved is how many of them were left out.
func (f *sourceFlags) printList(cmd *cobra.Command, list []incident.Incident, ns string, resolved int) error {
	if list == nil {
		list = []incident.Incident{} // for machines an empty list, not null
	}
	return printed(cmd, f.output, list, func(w io.Writer) error {
		if len(list) == 0 {
			return report.NoIncidents(w, ns, resolved)
		}
		return report.Incidents(w, list, time.Now())
	})
}
