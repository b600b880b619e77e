package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/adopt"
)

// adoptFlags are the flags of adopt.
type adoptFlags struct {
	kubeconfig, context, namespace string
	swap, allowChange              bool
	timeout                        time.Duration
}

func newAdopt() *cobra.Command {
	var f adoptFlags
	cmd := &cobra.Command{
		Use:   "adopt hpa/NAME",
		Short: "Print the Autoscaler for a HorizontalPodAutoscaler, or swap the two",
		Long: "Prints the Autoscaler that scales as the HorizontalPodAutoscaler does, to be reviewed and applied. With --swap it puts it in the\n" +
			"HPA's place: it waits until the Autoscaler decides for the same number of replicas, and puts the HPA back if anything goes wrong.",
		Example: "  homeostat adopt hpa/web -n demo > web.yaml\n  homeostat adopt hpa/web -n demo --swap",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := nativeName(args)
			if err != nil {
				return err
			}
			return f.run(cmd, name)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; default: KUBECONFIG, then ~/.kube/config")
	fl.StringVar(&f.context, "context", "", "context of the kubeconfig")
	fl.StringVarP(&f.namespace, "namespace", "n", "", "namespace; default: the context's")
	fl.BoolVar(&f.swap, "swap", false, "put the Autoscaler in the place of the HPA")
	fl.BoolVar(&f.allowChange, "allow-change", false, "with --swap: although the number of replicas changes by it")
	fl.DurationVar(&f.timeout, "timeout", adopt.DefaultTimeout, "with --swap: how long the Autoscaler may take until it decides as the HPA does")
	return cmd
}

// nativeName reads hpa/NAME.
func nativeName(args []string) (string, error) {
	if len(args) != 1 {
		return "", usagef("adopt takes one argument such as hpa/web, got %d", len(args))
	}
	kind, name, found := strings.Cut(args[0], "/")
	if !found || name == "" || !slices.Contains([]string{"hpa", "horizontalpodautoscaler", "horizontalpodautoscalers"}, kind) {
		return "", usagef("adopt %q is not allowed: hpa/NAME", args[0])
	}
	return name, nil
}

func (f *adoptFlags) run(cmd *cobra.Command, name string) error {
	if !f.swap && (f.allowChange || cmd.Flags().Changed("timeout")) {
		return usagef("--allow-change and --timeout only go with --swap")
	}
	if f.timeout <= 0 {
		return usagef("--timeout %s is not allowed: more than 0s", f.timeout)
	}
	cfg, ns, err := restConfig(f.kubeconfig, f.context)
	if err != nil {
		return err
	}
	if f.namespace != "" {
		ns = f.namespace
	}
	c, err := adopt.Connect(cfg, ns)
	if err != nil {
		return err
	}
	if f.swap {
		swap := adopt.Swap{Cluster: c, Name: name, Timeout: f.timeout, AllowChange: f.allowChange, Out: cmd.OutOrStdout()}
		return swap.Run(cmd.Context())
	}
	h, err := c.Natives.Get(cmd.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("hpa %q not found%s", name, in(ns))
	}
	if err != nil {
		return fmt.Errorf("read hpa/%s: %w", name, err)
	}
	plan := adopt.For(h)
	doc, err := plan.YAML()
	if err != nil {
		return err
	}
	if _, err := cmd.OutOrStdout().Write(doc); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if plan.Invalid != nil {
		return fmt.Errorf("autoscaler/%s would be refused: %w", name, plan.Invalid)
	}
	return nil
}
