package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/internal/logs/loki"
	"github.com/homeostat/homeostat/internal/lokipush"
	"github.com/homeostat/homeostat/internal/report"
)

const (
	// chainSince is how far back Loki is asked without --since; Loki allows 30 days by default.
	chainSince = 24 * time.Hour
	// mostLines bounds what is read from Loki.
	mostLines = 1000
	// lokiTimeout of the command: a person waits, no incident does.
	lokiTimeout = 30 * time.Second
	// eventsPage is how many events are asked for at once.
	eventsPage = 500
)

// chainFlags say which id is followed, and where beside the cluster.
type chainFlags struct {
	id, journal, loki, tenant string
}

func (c *chainFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&c.id, "id", "", "follow one decision (d-…) or incident (NAMESPACE/NAME) instead of a workload")
	fl.StringVar(&c.journal, "journal", "", "with --id: a journal's file to look in too")
	fl.StringVar(&c.loki, "loki", "", "with --id: address of a Loki to look in too, such as http://127.0.0.1:3100")
	fl.StringVar(&c.tenant, "loki-tenant", "", "with --loki: tenant to ask as (X-Scope-OrgID)")
}

// check refuses flags that do not go together.
func (c *chainFlags) check(args []string) error {
	switch {
	case c.id == "" && (c.journal != "" || c.loki != "" || c.tenant != ""):
		return usagef("--journal, --loki and --loki-tenant go with --id")
	case c.id != "" && len(args) > 0:
		return usagef("--id %q and %s exclude each other", c.id, args[0])
	case c.tenant != "" && c.loki == "":
		return usagef("--loki-tenant goes with --loki")
	case strings.Count(c.id, "/") > 1 || strings.HasPrefix(c.id, "/") || strings.HasSuffix(c.id, "/"):
		return usagef("--id %q is not allowed: d- and ten hexadecimal digits, NAMESPACE/NAME or NAME of an incident", c.id)
	}
	return nil
}

// chainOut is what timeline --id prints for machines.
type chainOut struct {
	ID      string          `json:"id"`
	Moments []report.Moment `json:"moments"`
	Notes   []string        `json:"notes,omitempty"`
}

// chain follows the id through all that can be read. What cannot be read is a note, as long as something else can.
func (c *chainFlags) chain(ctx context.Context, f *sourceFlags, since time.Duration, now time.Time) (chainOut, error) {
	out := chainOut{ID: c.id, Moments: []report.Moment{}}
	if err := c.fromPlatform(ctx, f, &out); err != nil {
		if c.journal == "" && c.loki == "" {
			return out, err
		}
		out.Notes = append(out.Notes, err.Error())
	}
	if c.journal != "" {
		if err := c.fromJournal(&out); err != nil {
			return out, err
		}
	}
	if c.loki != "" {
		if err := c.fromLoki(ctx, &out, now.Add(-cmp.Or(since, chainSince)), now); err != nil {
			return out, err
		}
	}
	out.Moments, out.Notes = newer(out.Moments, out.Notes, since, now)
	out.Moments = report.Order(out.Moments)
	return out, nil
}

// fromPlatform adds the change in a status or the incident, and the events with the id. An incident's name gets its namespace.
func (c *chainFlags) fromPlatform(ctx context.Context, f *sourceFlags, out *chainOut) error {
	r, ns, err := f.open()
	if err != nil {
		return err
	}
	if cluster.IsDecisionID(out.ID) {
		err = out.fromChanges(ctx, r, ns)
	} else {
		ns, err = out.fromIncidents(ctx, r, ns)
	}
	if err != nil || f.state != "" {
		return err // a local run has no events that are kept
	}
	return c.fromEvents(ctx, f, ns, out)
}

func (out *chainOut) fromChanges(ctx context.Context, r reader, ns string) error {
	list, err := r.Autoscalers(ctx, ns)
	if err != nil {
		return err
	}
	for _, a := range list {
		of := slices.DeleteFunc(slices.Clone(a.Changes), func(ch report.Change) bool { return ch.ID != out.ID })
		for _, m := range report.MomentsOfChanges(of) {
			m.Object = a.Target.String()
			out.Moments = append(out.Moments, m)
		}
	}
	return nil
}

// fromIncidents returns the namespace of the incident, or the one that was given.
func (out *chainOut) fromIncidents(ctx context.Context, r reader, ns string) (string, error) {
	name := out.ID
	if space, rest, found := strings.Cut(out.ID, "/"); found {
		ns, name = space, rest
	} else if ns != "" {
		out.ID = cluster.IncidentID(ns, name)
	}
	list, err := r.Incidents(ctx, ns)
	if err != nil {
		return ns, err
	}
	for _, in := range list {
		if in.Name == name && (ns == "" || in.Namespace == ns) {
			ns, out.ID = in.Namespace, cluster.IncidentID(in.Namespace, in.Name)
			out.Moments = append(out.Moments, report.MomentsOf(&in)...)
		}
	}
	return ns, nil
}

func (c *chainFlags) fromEvents(ctx context.Context, f *sourceFlags, ns string, out *chainOut) error {
	cfg, _, err := f.cluster()
	if err != nil {
		return err
	}
	h, err := openHistory(cfg)
	if err != nil {
		return err
	}
	for page := (metav1.ListOptions{Limit: eventsPage}); ; {
		list, err := h.core.Events(ns).List(ctx, page)
		if apierrors.IsForbidden(err) {
			out.Notes = append(out.Notes, "events may not be read: "+err.Error())
			return nil
		}
		if err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		for i := range list.Items {
			e := &list.Items[i]
			if e.Annotations[cluster.IDAnnotation] != out.ID {
				continue
			}
			of := cluster.Ref{Kind: e.InvolvedObject.Kind, Namespace: e.InvolvedObject.Namespace, Name: e.InvolvedObject.Name}
			one := newest([]corev1.Event{*e}, 1)[0]
			out.Moments = append(out.Moments, report.Moment{At: one.Last, Kind: report.MomentEvent, Reason: one.Reason, Message: one.Message, Object: of.String()})
		}
		if page.Continue = list.Continue; page.Continue == "" {
			return nil
		}
	}
}

func (c *chainFlags) fromJournal(out *chainOut) error {
	file, err := os.Open(c.journal)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	bad := 0
	for r, err := range journal.Read(file) {
		switch {
		case err != nil:
			bad++
		case r.ID == out.ID:
			out.Moments = append(out.Moments, momentOf(report.MomentJournal, &r))
			out.samples(&r)
		}
	}
	if bad > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("lines of the journal that cannot be read: %d", bad))
	}
	return nil
}

// fromLoki adds the records that were pushed with the id. Loki has it as structured metadata, so that the reader is told so.
func (c *chainFlags) fromLoki(ctx context.Context, out *chainOut, from, to time.Time) error {
	r, err := loki.New(loki.Options{
		URL: c.loki, Tenant: c.tenant, Timeout: lokiTimeout, Now: time.Now,
		Labels: loki.Labels{Namespace: "app", Pod: lokipush.MetadataID, Container: "app", Structured: true},
	})
	if err != nil {
		return usagef("--loki: %v", err)
	}
	defer r.Close()
	lines, err := r.Window(ctx, logs.Query{
		Namespace: lokipush.App, Replicas: []string{out.ID}, Container: lokipush.App, From: from, To: to.Add(time.Minute),
		MaxLines: mostLines, MaxBytes: journal.MaxLine,
	})
	if err != nil {
		out.Notes = append(out.Notes, "loki: "+err.Error())
	}
	if len(lines) == mostLines {
		out.Notes = append(out.Notes, fmt.Sprintf("loki has more than the %d lines that are shown", mostLines))
	}
	for _, l := range lines {
		m := report.Moment{At: l.At, Kind: report.MomentLoki, Message: l.Text}
		for rec, err := range journal.Read(strings.NewReader(l.Text)) {
			if err == nil {
				m = momentOf(report.MomentLoki, &rec)
				out.samples(&rec)
			}
		}
		out.Moments = append(out.Moments, m)
	}
	return nil
}

// samples adds the samples that the decision was made from, with which its chain begins, once: the journal and Loki have the same record.
func (out *chainOut) samples(r *journal.Record) {
	if r.Decision == nil || slices.ContainsFunc(out.Moments, func(m report.Moment) bool { return m.Kind == report.MomentSample }) {
		return
	}
	list := r.Decision.Recommendation.Metrics
	for i := range list {
		if m := &list[i]; !m.Oldest.IsZero() {
			out.Moments = append(out.Moments, report.Moment{
				At: m.Oldest, Kind: report.MomentSample, Reason: string(m.Metric.Type), Object: r.Subject.String(), Message: "the oldest used: " + m.Message,
			})
		}
	}
}

// momentOf returns the moment that a record tells of.
func momentOf(kind string, r *journal.Record) report.Moment {
	m := report.Moment{At: r.Time, Kind: kind, Reason: r.Reason, Message: string(r.Kind) + ": " + r.Message, Object: r.Subject.String()}
	if r.Decision != nil {
		rec := &r.Decision.Recommendation
		m.Message = fmt.Sprintf("%s: %d → %d replicas: %s", r.Kind, rec.Current, rec.Desired, r.Message)
		if r.Decision.Error != "" {
			m.Message += " (not written: " + r.Decision.Error + ")"
		}
	}
	return m
}

// showChain runs timeline --id.
func showChain(cmd *cobra.Command, c *chainFlags, f *sourceFlags, since time.Duration) error {
	if err := f.check(); err != nil {
		return err
	}
	now := time.Now()
	out, err := c.chain(cmd.Context(), f, since, now)
	if err != nil {
		return err
	}
	return printed(cmd, f.output, out, func(w io.Writer) error { return report.Chain(w, out.ID, out.Moments, out.Notes, now) })
}
