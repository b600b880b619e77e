package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// timelineOut is what timeline prints for machines.
type timelineOut struct {
	Workload cluster.Ref     `json:"workload"`
	Moments  []report.Moment `json:"moments"`
	Notes    []string        `json:"notes,omitempty"`
}

func newTimeline() *cobra.Command {
	var f sourceFlags
	var c chainFlags
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "timeline deploy/NAME | sts/NAME | ds/NAME | job/NAME | pod/NAME | --id ID",
		Short: "Show scalings, rollouts, incidents and events of a workload in one list",
		Long: "Show scalings, rollouts, incidents with what was done about them, and events of one workload in one list, the oldest first.\n" +
			"Incidents are kept as long as the controller's configuration says, events by the cluster for an hour, rollouts as long as the\n" +
			"owner keeps the revision.\n\n" +
			"With --id, show one decision or incident through all that tells of it: the change in the status or the incident, the events, the\n" +
			"lines of a journal and those in Loki.",
		Example: "  homeostat timeline deploy/web -n demo\n  homeostat timeline sts/db --since 2h -o json\n" +
			"  homeostat timeline --id d-846b76909f --journal journal.jsonl\n  homeostat timeline --id demo/web-oomkilled-5f1c --loki http://127.0.0.1:3100",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if since < 0 {
				return usagef("--since %s is not allowed: must not be negative", since)
			}
			if err := c.check(args); err != nil {
				return err
			}
			if c.id != "" {
				return showChain(cmd, &c, &f, since)
			}
			ref, err := workloadArg("timeline", args, "deploy/NAME", "sts/NAME", "ds/NAME", "job/NAME", "pod/NAME", "service/NAME")
			if err != nil {
				return err
			}
			if f.state != "" && ref.Kind != cluster.KindService && ref.Kind != cluster.KindPod {
				return usagef("timeline %q is not allowed with --state: a local run has service/NAME and pod/NAME", args[0])
			}
			r, ref, err := f.one("timeline", ref)
			if err != nil {
				return err
			}
			out, err := f.timeline(cmd.Context(), r, ref)
			if err != nil {
				return err
			}
			out.Moments, out.Notes = newer(out.Moments, out.Notes, since, time.Now())
			return printed(cmd, f.output, out, func(w io.Writer) error { return report.Timeline(w, out.Workload, out.Moments, out.Notes, time.Now()) })
		},
	}
	f.add(cmd)
	c.add(cmd)
	cmd.Flags().DurationVar(&since, "since", 0, "only what is not older, such as 2h; default: all that is known")
	return cmd
}

// newer leaves out what is older than since, if that is not 0, and notes how much that was: an empty list would say that nothing is known.
func newer(list []report.Moment, notes []string, since time.Duration, now time.Time) ([]report.Moment, []string) {
	if since == 0 {
		return list, notes
	}
	all := len(list)
	list = slices.DeleteFunc(list, func(m report.Moment) bool { return now.Sub(m.At) > since })
	if older := all - len(list); older > 0 {
		notes = append(notes, fmt.Sprintf("left out as older than --since %s: %d", since, older))
	}
	return list, notes
}

// one opens the source of a command about one object, which needs one namespace.
func (f *sourceFlags) one(command string, ref cluster.Ref) (reader, cluster.Ref, error) {
	if f.all {
		return nil, ref, usagef("%s is about one object: --all-namespaces is not allowed, give --namespace", command)
	}
	r, ns, err := f.open()
	ref.Namespace = ns
	return r, ref, err
}

// timeline collects the moments of the workload from all that remembers any.
func (f *sourceFlags) timeline(ctx context.Context, r reader, ref cluster.Ref) (timelineOut, error) {
	incidents, err := f.allIncidents(ctx, r, ref.Namespace)
	if err != nil {
		return timelineOut{}, err
	}
	out := timelineOut{Workload: ref, Moments: []report.Moment{}}
	for _, in := range incidents {
		if f.state != "" && in.Workload.Name == ref.Name {
			out.Workload.Namespace, ref.Namespace = in.Workload.Namespace, in.Workload.Namespace
		}
	}
	for _, in := range about(incidents, ref) {
		out.Moments = append(out.Moments, momentsOf(&in, ref)...)
	}
	autoscalers, err := r.Autoscalers(ctx, ref.Namespace)
	if err != nil {
		return timelineOut{}, err
	}
	for _, a := range autoscalers {
		if a.Target.Kind == ref.Kind && a.Target.Name == ref.Name {
			out.Moments = append(out.Moments, report.MomentsOfChanges(a.Changes)...)
		}
	}
	if f.state == "" {
		cfg, _, err := f.cluster()
		if err != nil {
			return timelineOut{}, err
		}
		h, err := openHistory(cfg)
		if err != nil {
			return timelineOut{}, err
		}
		more, notes, err := h.moments(ctx, ref)
		if err != nil {
			return timelineOut{}, err
		}
		out.Moments, out.Notes = append(out.Moments, more...), notes
	}
	out.Moments = report.Order(out.Moments)
	return out, nil
}

// momentsOf returns the moments of the incident: all of the workload's own, and of one that it is a member of only that it is.
func momentsOf(in *incident.Incident, ref cluster.Ref) []report.Moment {
	if in.Workload.Same(ref) || namesPod(in, ref) {
		return report.MomentsOf(in)
	}
	for _, m := range in.Members {
		if m.Workload.Same(ref) {
			return []report.Moment{{
				At: m.Since, Kind: report.MomentIncident, Reason: string(in.Kind), Incident: in.Name, Object: in.Workload.String(),
				Message: in.Cause,
			}}
		}
	}
	return nil
}

// allIncidents returns the incidents of the namespace, and those about nodes and the cluster, which are in the controller's.
func (f *sourceFlags) allIncidents(ctx context.Context, r reader, namespace string) ([]incident.Incident, error) {
	all, err := r.Incidents(ctx, "")
	if err == nil || f.state != "" || !apierrors.IsForbidden(err) { // what does not answer is not asked, and waited for, twice
		return all, err
	}
	own, ownErr := r.Incidents(ctx, namespace) // whoever may not list all namespaces sees those of one
	if ownErr != nil {
		return nil, fmt.Errorf("%w (and in all namespaces: %w)", ownErr, err)
	}
	return own, nil
}
