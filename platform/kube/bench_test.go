package kube

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// BenchmarkObserve1000 is what a pass costs before anything is decided: the list of a hundred Autoscalers in one namespace,
// and an observation of each, of ten pods.
func BenchmarkObserve1000(b *testing.B) {
	server := apitest.New(b)
	raw, err := os.ReadFile(filepath.Join("view", "testdata", "pods", "running.json"))
	if err != nil {
		b.Fatal(err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		b.Fatal(err)
	}
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().UTC()
	meta := func(name, uid string) apitest.Object {
		return apitest.Object{"namespace": "shop", "name": name, "uid": uid}
	}
	for d := range 100 {
		name := fmt.Sprint("web-", d)
		server.Put(b, apitest.Object{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name, "d-"+name),
			"spec": apitest.Object{"replicas": 10, "selector": matching(name), "template": podTemplate(name)},
		})
		set := meta(name+"-1", "rs-"+name)
		set["ownerReferences"] = owner("apps/v1", "Deployment", name, "d-"+name)
		server.Put(b, apitest.Object{
			"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": set,
			"spec": apitest.Object{"replicas": 10, "selector": matching(name), "template": podTemplate(name)},
		})
		server.Put(b, apitest.Object{
			"apiVersion": "homeostat.dev/v1alpha1", "kind": "Autoscaler", "metadata": meta(name, "as-"+name),
			"spec": apitest.Object{"maxReplicas": 20, "scaleTargetRef": apitest.Object{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}},
		})
		for i := range 10 {
			p := pod.DeepCopy()
			p.Name = fmt.Sprint(name, "-1-", i)
			p.UID, p.ResourceVersion = types.UID("pod-"+p.Name), ""
			p.Labels = map[string]string{"app": name, "pod-template-hash": "1"}
			p.OwnerReferences[0].UID = types.UID("rs-" + name)
			server.Put(b, p)
			for s := range 2 {
				store.Add(metrics.Key{Namespace: "shop", Pod: p.Name, Container: "web"}, "node-1",
					metrics.Sample{At: now.Add(time.Duration(s-1) * 15 * time.Second), CPUSeconds: float64(s), MemoryBytes: 1 << 20})
			}
		}
	}
	p, err := New(Options{REST: server.Config(), Store: store, Identity: "me"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Stop)
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second) // another pass
		list, err := p.Autoscalers(b.Context())
		if err != nil || len(list) != 100 {
			b.Fatalf("%d autoscalers, %v", len(list), err)
		}
		for _, a := range list {
			obs, err := p.Observe(b.Context(), a, now)
			if err != nil || len(obs.Replicas) != 10 {
				b.Fatalf("%d replicas, %v", len(obs.Replicas), err)
			}
		}
	}
}
