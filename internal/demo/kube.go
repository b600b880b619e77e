package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// The names of the demo app's objects and ports, as demoapp/manifests has them.
const (
	kubeName    = "web"
	servicePort = "80"
	podPort     = "8080"
)

// KubeOptions say where the demo app runs. REST, Namespace and Reader are required.
type KubeOptions struct {
	REST      *rest.Config
	Namespace string
	// URL of the demo app's Service, as it is reached from here; empty: through the API server's proxy.
	URL string
	// Reader reads the cluster's Autoscalers and Incidents.
	Reader Reader
}

// Kube is a Stage on a cluster where Homeostat and the demo app run already. It changes no object: faults are asked of
// pods through the API server's proxy.
type Kube struct {
	opts        KubeOptions
	pods        corev1.PodInterface
	deployments appsv1.DeploymentInterface
	records     *view.Records
	client      *http.Client
	base        string // of the API server
}

var _ Stage = (*Kube)(nil)

// NewKube returns a stage; Look says whether what it needs is there.
func NewKube(o KubeOptions) (*Kube, error) {
	cfg := rest.CopyConfig(o.REST)
	cfg.QPS, cfg.Burst = 50, 100 // three reads, five times a second
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	core, err := corev1.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	apps, err := appsv1.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &Kube{
		opts: o, pods: core.Pods(o.Namespace), deployments: apps.Deployments(o.Namespace), records: view.NewRecords(),
		client: client, base: strings.TrimRight(core.RESTClient().Get().AbsPath("/").URL().String(), "/"),
	}, nil
}

// Look implements Stage. An error says what is not there, and how it gets there.
func (k *Kube) Look(ctx context.Context) (View, error) {
	d, err := k.deployments.Get(ctx, kubeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return View{}, fmt.Errorf("deployment %s/%s is not there: deploy Homeostat and the demo app first (make demo does it all)",
			k.opts.Namespace, kubeName)
	}
	if err != nil {
		return View{}, fmt.Errorf("get deployment: %w", err)
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return View{}, fmt.Errorf("read selector of deployment: %w", err)
	}
	pods, err := k.pods.List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return View{}, fmt.Errorf("list pods: %w", err)
	}
	v := View{Desired: 1}
	if d.Spec.Replicas != nil {
		v.Desired = *d.Spec.Replicas
	}
	for i := range pods.Items {
		v.Replicas = append(v.Replicas, k.records.Pod(&pods.Items[i]).Replica)
	}
	slices.SortFunc(v.Replicas, func(a, b cluster.Replica) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.Name, b.Name))
	})
	return v, k.stored(ctx, &v)
}

// stored adds what Homeostat keeps about the workload.
func (k *Kube) stored(ctx context.Context, v *View) error {
	target := cluster.Ref{Kind: cluster.KindDeployment, Namespace: k.opts.Namespace, Name: kubeName}
	incidents, err := k.opts.Reader.Incidents(ctx, k.opts.Namespace)
	if err != nil {
		return err //nolint:wrapcheck // it names what it reads
	}
	v.Incidents = slices.DeleteFunc(incidents, func(in incident.Incident) bool { return !in.Workload.Same(target) })
	autoscalers, err := k.opts.Reader.Autoscalers(ctx, k.opts.Namespace)
	if err != nil {
		return err //nolint:wrapcheck // it names what it reads
	}
	for _, a := range autoscalers {
		if a.Target.Same(target) {
			v.Autoscaler = a
			return nil
		}
	}
	return errors.New("no Autoscaler scales " + target.String() + ": deploy hack/demo first (make demo does it all)")
}

// Ask implements Stage: through the API server's proxy to the pod.
func (k *Kube) Ask(ctx context.Context, replica, path string) error {
	_, err := get(ctx, k.client, k.proxy("pods", replica+":"+podPort)+path)
	return err
}

// Kill implements Stage: the process is told to end at once. Nobody outside the node could kill it without deleting the pod.
func (k *Kube) Kill(ctx context.Context, replica string) (string, error) {
	const path = "/crash?code=1"
	if err := k.Ask(ctx, replica, path); err != nil {
		return "", err
	}
	return "is told to crash (" + path + ")", nil
}

// Traffic implements Stage.
func (k *Kube) Traffic() Traffic {
	if k.opts.URL != "" {
		return Traffic{URL: k.opts.URL}
	}
	return Traffic{URL: k.proxy("services", kubeName+":"+servicePort), Transport: k.client.Transport}
}

// proxy is the address at the API server that leads to an object's port.
func (k *Kube) proxy(resource, nameAndPort string) string {
	return k.base + "/api/v1/namespaces/" + k.opts.Namespace + "/" + resource + "/" + nameAndPort + "/proxy"
}
