// Package client holds the typed clients of the API group homeostat.dev, on client-go's generic ones.
//
// It reads and writes objects and knows nothing of what they mean. It keeps no cache: ListWatch is what an informer is
// built from. Incidents have no status subresource: UpdateStatus on them answers "not found", Update writes all.
package client

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// The typed clients. Their methods are Get, List, Watch, Create, Update, UpdateStatus, Patch and Delete.
type (
	// Autoscalers reads and writes Autoscalers of one namespace.
	Autoscalers = gentype.ClientWithList[*v1alpha1.Autoscaler, *v1alpha1.AutoscalerList]
	// HealingPolicies reads and writes HealingPolicies of one namespace.
	HealingPolicies = gentype.ClientWithList[*v1alpha1.HealingPolicy, *v1alpha1.HealingPolicyList]
	// Incidents reads and writes Incidents of one namespace.
	Incidents = gentype.ClientWithList[*v1alpha1.Incident, *v1alpha1.IncidentList]
)

// Client gives the typed clients. It is safe for concurrent use.
type Client struct {
	rest  rest.Interface
	codec runtime.ParameterCodec
}

// New returns a client for the API server of cfg, which is copied. An error means that cfg itself is wrong; the server
// is not asked.
func New(cfg *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	gv := v1alpha1.GroupVersion()
	c := rest.CopyConfig(cfg)
	c.GroupVersion = &gv
	c.APIPath = "/apis"
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	// Custom resources are served as JSON, never as protobuf, which the configuration of a whole program may ask for.
	c.ContentType = runtime.ContentTypeJSON
	c.AcceptContentTypes = runtime.ContentTypeJSON
	if c.UserAgent == "" {
		c.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	r, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("make client for %s: %w", gv, err)
	}
	return &Client{rest: r, codec: runtime.NewParameterCodec(scheme)}, nil
}

// Autoscalers returns the client for the Autoscalers of a namespace; an empty one means all, for List and Watch only.
func (c *Client) Autoscalers(namespace string) *Autoscalers {
	return gentype.NewClientWithList(v1alpha1.ResourceAutoscalers, c.rest, c.codec, namespace,
		func() *v1alpha1.Autoscaler { return &v1alpha1.Autoscaler{} },
		func() *v1alpha1.AutoscalerList { return &v1alpha1.AutoscalerList{} })
}

// HealingPolicies returns the client for the HealingPolicies of a namespace; an empty one means all, for List and Watch
// only.
func (c *Client) HealingPolicies(namespace string) *HealingPolicies {
	return gentype.NewClientWithList(v1alpha1.ResourceHealingPolicies, c.rest, c.codec, namespace,
		func() *v1alpha1.HealingPolicy { return &v1alpha1.HealingPolicy{} },
		func() *v1alpha1.HealingPolicyList { return &v1alpha1.HealingPolicyList{} })
}

// Incidents returns the client for the Incidents of a namespace; an empty one means all, for List and Watch only.
func (c *Client) Incidents(namespace string) *Incidents {
	return gentype.NewClientWithList(v1alpha1.ResourceIncidents, c.rest, c.codec, namespace,
		func() *v1alpha1.Incident { return &v1alpha1.Incident{} },
		func() *v1alpha1.IncidentList { return &v1alpha1.IncidentList{} })
}

// ListerWatcher is the half of a typed client that an informer needs.
type ListerWatcher[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// ListWatch returns what an informer over the objects of the typed client reads from, such as
//
//	cache.NewSharedIndexInformer(client.ListWatch(c.Incidents("")), &v1alpha1.Incident{}, 0, cache.Indexers{})
func ListWatch[L runtime.Object](c ListerWatcher[L]) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return c.List(ctx, opts)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return c.Watch(ctx, opts)
		},
	}, c)
}
