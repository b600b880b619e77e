package cli

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// around is how long before an incident began, and after it ended, the workload's history belongs to its postmortem.
const around = 30 * time.Minute

func newPostmortem() *cobra.Command {
	var f sourceFlags
	cmd := &cobra.Command{
		Use:   "postmortem INCIDENT",
		Short: "Write an incident as a Markdown document to go on from",
		Long: "Write an incident as a Markdown document to go on from: what happened, why, what was done and what was refused, the logs, and\n" +
			"the timeline of the workload from half an hour before it.",
		Example: "  homeostat postmortem web-oomkilled-5f1c -n demo -o markdown > postmortem.md",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("postmortem takes the name of one incident, got %d", len(args))
			}
			output := f.output
			if output != "" && output != "markdown" {
				return usagef("--output %q is not allowed: markdown, or leave it out; `homeostat incident NAME -o json` is for machines", output)
			}
			f.output = ""
			r, ns, err := f.open()
			if err != nil {
				return err
			}
			in, err := find(cmd, r, ns, args[0])
			if err != nil {
				return err
			}
			t, err := f.timeline(cmd.Context(), r, in.Workload)
			if err != nil {
				return err
			}
			end := in.ResolvedAt
			if end.IsZero() {
				end = time.Now()
			}
			moments := slices.DeleteFunc(t.Moments, func(m report.Moment) bool {
				return m.At.Before(in.StartedAt.Add(-around)) || m.At.After(end.Add(around))
			})
			return report.Postmortem(cmd.OutOrStdout(), in, moments, t.Notes, time.Now())
		},
	}
	f.add(cmd)
	cmd.Flags().Lookup("output").Usage = "markdown; it is the default, too"
	return cmd
}

// newIncident is incidents with a name, as people say it.
func newIncident() *cobra.Command {
	var f sourceFlags
	cmd := &cobra.Command{
		Use:     "incident NAME",
		Short:   "Show one incident: cause, confidence, evidence, timeline, what was done and what was refused and why",
		Example: "  homeostat incident web-oomkilled-5f1c -n demo",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("incident takes one name, got %d", len(args))
			}
			r, ns, err := f.open()
			if err != nil {
				return err
			}
			in, err := find(cmd, r, ns, args[0])
			if err != nil {
				return err
			}
			return printed(cmd, f.output, in, func(w io.Writer) error { return report.Incident(w, *in, time.Now()) })
		},
	}
	f.add(cmd)
	return cmd
}

// find returns the incident of that name.
func find(cmd *cobra.Command, r reader, ns, name string) (*incident.Incident, error) {
	list, err := r.Incidents(cmd.Context(), ns)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(i incident.Incident) bool { return i.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("incident %q not found%s; `homeostat incidents` lists them", name, in(ns))
	}
	return &list[i], nil
}
