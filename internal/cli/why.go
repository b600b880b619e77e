package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
	"github.com/homeostat/homeostat/platform/kube/view"
)

func newWhy() *cobra.Command {
	var f sourceFlags
	cmd := &cobra.Command{
		Use:   "why pod/NAME",
		Short: "Say why a pod restarted, or is not there any more",
		Long: "Say why a pod restarted, or is not there any more: from its status, the incidents that name it, and its events. It works for a\n" +
			"pod that is gone as long as an incident or an event remembers it.",
		Example: "  homeostat why pod/web-7c9d-x2x4k -n demo",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := workloadArg("why", args, "pod/NAME")
			if err != nil {
				return err
			}
			r, ref, err := f.one("why", ref)
			if err != nil {
				return err
			}
			y, err := f.why(cmd.Context(), r, ref)
			if err != nil {
				return err
			}
			return printed(cmd, f.output, y, func(w io.Writer) error { return report.ExplainPod(w, y, time.Now()) })
		},
	}
	f.add(cmd)
	return cmd
}

func (f *sourceFlags) why(ctx context.Context, r reader, ref cluster.Ref) (*report.Why, error) {
	y := &report.Why{Replica: ref}
	incidents, err := f.allIncidents(ctx, r, ref.Namespace)
	if err != nil {
		return nil, err
	}
	for _, in := range incidents {
		if (in.Namespace == ref.Namespace || f.state != "") && report.Names(&in, ref.Name) {
			y.Incidents = append(y.Incidents, in)
		}
	}
	slices.SortFunc(y.Incidents, func(a, b incident.Incident) int {
		return cmp.Or(a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.Name, b.Name))
	})
	if f.state != "" {
		y.Unseen = true
		y.Notes = append(y.Notes, "a local run stores no replicas: only its incidents are known, and the replica may run")
		return y, nil
	}
	cfg, _, err := f.cluster()
	if err != nil {
		return nil, err
	}
	h, err := openHistory(cfg)
	if err != nil {
		return nil, err
	}
	var note string
	if y.Events, note, err = h.events(ctx, ref); err != nil {
		return nil, err
	}
	if note != "" {
		y.Notes = append(y.Notes, note)
	}
	return y, h.pod(ctx, y)
}

// pod adds the pod as it is now, and what is to be found on it.
func (h history) pod(ctx context.Context, y *report.Why) error {
	pod, err := h.core.Pods(y.Replica.Namespace).Get(ctx, y.Replica.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if apierrors.IsForbidden(err) {
		y.Unseen = true
		y.Notes = append(y.Notes, "the pod may not be read, so whether it is there is not known: "+err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("get pod: %w", err)
	}
	rec, err := view.NewRecords().Transform(pod)
	if err != nil {
		return fmt.Errorf("read pod: %w", err)
	}
	p, ok := rec.(*view.Pod)
	if !ok {
		return errors.New("read pod: it is not one")
	}
	replica := p.Replica
	replica.Events = slices.Clone(y.Events)
	slices.Reverse(replica.Events) // newest first there
	y.Exists, y.Pod = true, &replica
	w := &cluster.Workload{Ref: ownerOf(pod), Desired: 1, Replicas: []cluster.Replica{replica}}
	now := time.Now()
	y.Findings = healing.Detect(healing.Input{Workload: w, Policy: healing.DefaultPolicy()}, now)
	return nil
}

// ownerOf returns the pod's controller, or the pod itself.
func ownerOf(pod *corev1.Pod) cluster.Ref {
	if o := metav1.GetControllerOf(pod); o != nil {
		return cluster.Ref{Kind: o.Kind, Namespace: pod.Namespace, Name: o.Name}
	}
	return cluster.Ref{Kind: cluster.KindPod, Namespace: pod.Namespace, Name: pod.Name}
}
