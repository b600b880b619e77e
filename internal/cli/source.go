package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/homeostat/homeostat/api/client"
	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/internal/report"
	"github.com/homeostat/homeostat/platform/local"
)

// restConfig returns how the cluster is reached, as kubectl finds it, and the namespace of the context.
func restConfig(kubeconfig, kubecontext string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubecontext})
	cfg, err := loader.ClientConfig()
	if given := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); clientcmd.IsEmptyConfig(err) && given != "" && kubeconfig == "" {
		return nil, "", fmt.Errorf("no cluster is configured: KUBECONFIG is %q, where no cluster is to be found", given)
	}
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", errors.New("no cluster is configured: set KUBECONFIG, give --kubeconfig, or read a local run with --state DIR")
	}
	if err != nil {
		return nil, "", fmt.Errorf("read kubeconfig: %w", err)
	}
	ns, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("read kubeconfig: %w", err)
	}
	return cfg, ns, nil
}

// inCluster reads the objects of a cluster.
type inCluster struct{ client *client.Client }

func openCluster(cfg *rest.Config) (reader, error) {
	c, err := client.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return inCluster{client: c}, nil
}

func (r inCluster) Autoscalers(ctx context.Context, namespace string) ([]report.Autoscaler, error) {
	list, err := r.client.Autoscalers(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, installed("list autoscalers", err)
	}
	out := make([]report.Autoscaler, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, describe(&list.Items[i]))
	}
	return out, nil
}

func (r inCluster) Incidents(ctx context.Context, namespace string) ([]incident.Incident, error) {
	list, err := r.client.Incidents(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, installed("list incidents", err)
	}
	out := make([]incident.Incident, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, record.ReadIncident(&list.Items[i]))
	}
	return out, nil
}

// installed explains the usual reason for which a kind is not known.
func installed(what string, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: Homeostat's kinds are not in this cluster: install it first (deploy/README.md)", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func describe(a *v1alpha1.Autoscaler) report.Autoscaler {
	t := a.Spec.ScaleTargetRef
	out := report.Autoscaler{
		Ref:    cluster.Ref{Kind: "Autoscaler", Namespace: a.Namespace, Name: a.Name},
		Target: cluster.Ref{Kind: t.Kind, Namespace: a.Namespace, Name: t.Name},
		Mode:   cmp.Or(string(a.Spec.Mode), string(v1alpha1.ModeActive)),
		Min:    1, Max: a.Spec.MaxReplicas, Source: report.FromStatus,
	}
	if a.Spec.MinReplicas != nil {
		out.Min = *a.Spec.MinReplicas
	}
	if rec, ok := record.Recommendation(&a.Status); ok {
		out.Decision = &rec
	}
	for _, c := range a.Status.LastChanges {
		out.Changes = append(out.Changes, report.Change{At: c.Time.Time, From: c.From, To: c.To, Reason: c.Reason, Message: c.Message, Written: true, ID: c.ID})
	}
	out.Conditions = record.Conditions(a.Status.Conditions)
	return out
}

// inState reads the state folder of a local run.
type inState struct{ state *local.State }

func openState(dir string) (reader, error) {
	s, err := local.OpenState(dir)
	if err != nil {
		return nil, err
	}
	return inState{state: s}, nil
}

func (r inState) Autoscalers(context.Context, string) ([]report.Autoscaler, error) {
	var out []report.Autoscaler
	for _, a := range r.state.Autoscalers() {
		one := report.Autoscaler{Ref: a.Ref, Target: a.Target, Mode: string(a.Mode), Min: a.Min, Max: a.Max, Source: report.FromState, Decision: a.Decision, Error: a.Error}
		if a.Decision != nil {
			one.Conditions = slices.Clone(a.Decision.Conditions)
		}
		for _, c := range a.Changes {
			one.Changes = append(one.Changes, report.Change{At: c.At, From: c.From, To: c.To, Reason: string(c.Reason), Message: c.Message, Written: true, ID: c.ID})
		}
		out = append(out, one)
	}
	return out, nil
}

func (r inState) Incidents(context.Context, string) ([]incident.Incident, error) {
	return r.state.Incidents(), nil
}
