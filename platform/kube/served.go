package kube

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"github.com/homeostat/homeostat/platform/kube/view"
)

const (
	// serveEvery is how often the VerticalPodAutoscalers are listed, and each resizeEvery-th time it is asked whether pods can
	// be resized: an upgrade of the API server changes that.
	serveEvery   = time.Minute
	resizeEvery  = 10
	serveTimeout = 10 * time.Second
)

// served knows what only some clusters serve: VerticalPodAutoscalers, and the resizing of running pods. It is a minute old at
// most, and never in anybody's way: what is not served is not there. Which VerticalPodAutoscalers must not be read, or were never
// read, is known too: a resize beside one that nobody sees would be undone, or undo it.
type served struct {
	objects    dynamic.Interface
	discovery  discovery.DiscoveryInterface
	namespaces []string
	log        *slog.Logger

	mu        sync.Mutex
	vpas      map[string][]view.VPA // by the namespace that was listed; none where the kind is not served
	resizable bool
	said      bool
}

func newServed(objects dynamic.Interface, d discovery.DiscoveryInterface, namespaces []string, log *slog.Logger) *served {
	return &served{objects: objects, discovery: d, namespaces: namespaces, log: log, vpas: map[string][]view.VPA{}}
}

// run asks until ctx is done, and closes first after the first time.
func (s *served) run(ctx context.Context, first chan<- struct{}) {
	tick := time.NewTicker(serveEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%resizeEvery == 0 {
			s.askResizable(ctx)
		}
		for _, ns := range s.namespaces {
			s.listVPAs(ctx, ns)
		}
		if n == 0 {
			close(first)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// known returns what was read last, and the namespaces whose VerticalPodAutoscalers are not known; "" stands for all.
func (s *served) known() (vpas []view.VPA, unread []string, resizable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, namespace := range s.namespaces {
		list, read := s.vpas[namespace]
		vpas = append(vpas, list...)
		if !read {
			unread = append(unread, namespace)
		}
	}
	return vpas, unread, s.resizable
}

// askResizable looks for the subresource among those that are served. Without an answer what was known stays.
func (s *served) askResizable(ctx context.Context) {
	list, err := discovery.ToDiscoveryInterfaceWithContext(s.discovery).ServerResourcesForGroupVersionWithContext(ctx, "v1")
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resizable = slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "pods/resize" })
}

func (s *served) listVPAs(ctx context.Context, namespace string) {
	ctx, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	kind := schema.GroupVersionResource{Group: "autoscaling.k8s.io", Version: "v1", Resource: "verticalpodautoscalers"}
	list, err := s.objects.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.vpas[namespace] = vpasOf(list.Items)
	case apierrors.IsNotFound(err):
		s.vpas[namespace] = nil
	case apierrors.IsForbidden(err):
		delete(s.vpas, namespace)
		if !s.said {
			s.said = true
			s.log.WarnContext(ctx, "kind must not be read, so that what it would tell is not known",
				"kind", "verticalpodautoscalers.autoscaling.k8s.io", "error", err)
		}
	}
}

// vpasOf returns those that may change what they target: any mode but Off. What is missing or of another type is left empty,
// and then fits no workload.
func vpasOf(items []unstructured.Unstructured) []view.VPA {
	var out []view.VPA
	for i := range items {
		o := items[i].Object
		mode, _, _ := unstructured.NestedString(o, "spec", "updatePolicy", "updateMode")
		if mode == "Off" {
			continue
		}
		v := view.VPA{Namespace: items[i].GetNamespace(), Name: items[i].GetName()}
		v.TargetKind, _, _ = unstructured.NestedString(o, "spec", "targetRef", "kind")
		v.TargetName, _, _ = unstructured.NestedString(o, "spec", "targetRef", "name")
		out = append(out, v)
	}
	return out
}
