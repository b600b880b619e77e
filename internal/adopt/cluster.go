package adopt

import (
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	typedautoscalingv2 "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/homeostat/homeostat/api/client"
	"github.com/homeostat/homeostat/api/v1alpha1"
)

// Natives reads and writes the HorizontalPodAutoscalers of one namespace; client-go's typed client does.
type Natives interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*autoscalingv2.HorizontalPodAutoscaler, error)
	Create(ctx context.Context, h *autoscalingv2.HorizontalPodAutoscaler, opts metav1.CreateOptions) (*autoscalingv2.HorizontalPodAutoscaler, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
}

// Autoscalers reads and writes the Autoscalers of one namespace; the typed client of api/client does.
type Autoscalers interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*v1alpha1.Autoscaler, error)
	Create(ctx context.Context, a *v1alpha1.Autoscaler, opts metav1.CreateOptions) (*v1alpha1.Autoscaler, error)
	Update(ctx context.Context, a *v1alpha1.Autoscaler, opts metav1.UpdateOptions) (*v1alpha1.Autoscaler, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
}

// Targets reads the number of replicas that a target in one namespace asks for.
type Targets interface {
	Replicas(ctx context.Context, target autoscalingv2.CrossVersionObjectReference) (int32, error)
}

// Cluster is one namespace of a cluster.
type Cluster struct {
	Natives     Natives
	Autoscalers Autoscalers
	Targets     Targets
}

// Connect returns a namespace of the cluster that cfg reaches. The API server is not asked.
func Connect(cfg *rest.Config, namespace string) (Cluster, error) {
	natives, err := typedautoscalingv2.NewForConfig(cfg)
	if err != nil {
		return Cluster{}, fmt.Errorf("make client: %w", err)
	}
	own, err := client.New(cfg)
	if err != nil {
		return Cluster{}, fmt.Errorf("make client: %w", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return Cluster{}, fmt.Errorf("make client: %w", err)
	}
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return Cluster{}, fmt.Errorf("make client: %w", err)
	}
	return Cluster{
		Natives:     natives.HorizontalPodAutoscalers(namespace),
		Autoscalers: own.Autoscalers(namespace),
		Targets: &targets{
			objects: objects, namespace: namespace, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds)),
		},
	}, nil
}

// targets reads scales, and writes none.
type targets struct {
	objects   dynamic.Interface
	namespace string
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

// Replicas reads the target's scale.
func (t *targets) Replicas(ctx context.Context, ref autoscalingv2.CrossVersionObjectReference) (int32, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return 0, fmt.Errorf("read target: parse apiVersion %q: %w", ref.APIVersion, err)
	}
	m, err := t.mapper.RESTMapping(schema.GroupKind{Group: gv.Group, Kind: ref.Kind})
	if err != nil {
		return 0, fmt.Errorf("read target: find kind %s of %s: %w", ref.Kind, ref.APIVersion, err)
	}
	scale, err := t.objects.Resource(m.Resource).Namespace(t.namespace).Get(ctx, ref.Name, metav1.GetOptions{}, "scale")
	if err != nil {
		return 0, fmt.Errorf("read target: %w", err)
	}
	n, _, err := unstructured.NestedInt64(scale.Object, "spec", "replicas") // zero is left out
	if err != nil {
		return 0, fmt.Errorf("read target: %w", err)
	}
	return int32(n), nil //nolint:gosec // the API server has it as 32 bits
}
