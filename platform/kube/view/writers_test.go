package view

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestOwners(t *testing.T) {
	at := noon.Add(-time.Hour)
	wrote := func(manager, subresource string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, Time: new(metav1.NewTime(at))}
	}
	type set = map[string]string
	for name, tc := range map[string]struct {
		annotations, labels set
		fields              []metav1.ManagedFieldsEntry
		controller          string
		vpa                 string
		want                []cluster.Owner
	}{
		"nobody": {labels: set{"app": "web"}, fields: []metav1.ManagedFieldsEntry{wrote("kubectl-client-side-apply", "")}},
		"Argo CD by its tracking id": {
			annotations: set{"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"},
			fields:      []metav1.ManagedFieldsEntry{wrote("argocd-controller", "")},
			want:        []cluster.Owner{{Kind: cluster.OwnerArgoCD, Name: "application shop", Since: at}},
		},
		"Argo CD by its label, which it wrote": {
			labels: set{"app.kubernetes.io/instance": "shop"}, fields: []metav1.ManagedFieldsEntry{wrote("argocd-controller", "")},
			want: []cluster.Owner{{Kind: cluster.OwnerArgoCD, Name: "application shop", Since: at}},
		},
		"the label that everybody writes": {
			labels: set{"app.kubernetes.io/instance": "shop"}, fields: []metav1.ManagedFieldsEntry{wrote("kubectl", ""), wrote("argocd-controller", "status")},
		},
		"Flux by a kustomization": {
			labels: set{"kustomize.toolkit.fluxcd.io/name": "apps"}, fields: []metav1.ManagedFieldsEntry{wrote("kustomize-controller", "")},
			want: []cluster.Owner{{Kind: cluster.OwnerFlux, Name: "kustomization apps", Since: at}},
		},
		"Flux by way of Helm": {
			labels:      set{"helm.toolkit.fluxcd.io/name": "web", "app.kubernetes.io/managed-by": "Helm"},
			annotations: set{"meta.helm.sh/release-name": "web"},
			want:        []cluster.Owner{{Kind: cluster.OwnerFlux, Name: "helm release web"}},
		},
		"Helm": {
			labels: set{"app.kubernetes.io/managed-by": "Helm"}, annotations: set{"meta.helm.sh/release-name": "web"},
			fields: []metav1.ManagedFieldsEntry{wrote("helm", "")},
			want:   []cluster.Owner{{Kind: cluster.OwnerHelm, Name: "release web", Since: at}},
		},
		"Helm's annotation without its label": {annotations: set{"meta.helm.sh/release-name": "web"}},
		"an operator": {
			controller: "Shop", want: []cluster.Owner{{Kind: cluster.OwnerOperator, Name: "shop web"}},
		},
		"a vertical autoscaler beside Helm": {
			labels: set{"app.kubernetes.io/managed-by": "Helm"}, annotations: set{"meta.helm.sh/release-name": "web"}, vpa: "web",
			want: []cluster.Owner{{Kind: cluster.OwnerHelm, Name: "release web"}, {Kind: cluster.OwnerVPA, Name: "grow"}},
		},
		"the vertical autoscaler of another": {vpa: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployment("web", 1)
			d.Annotations, d.Labels, d.ManagedFields = tc.annotations, tc.labels, tc.fields
			if tc.controller != "" {
				d.OwnerReferences = []metav1.OwnerReference{{Kind: tc.controller, Name: "web", UID: "u", Controller: new(true)}}
			}
			s := sources(t, d)
			if tc.vpa != "" {
				s.VPAs = []VPA{{Namespace: "shop", Name: "grow", TargetKind: "Deployment", TargetName: tc.vpa}}
			}
			for range 2 { // a look changes nothing that the next one sees
				ws := Workloads(s, noon)
				if diff := cmp.Diff(tc.want, ws[0].Owners); diff != "" {
					t.Fatalf("owners (-want +got):\n%s", diff)
				}
				if ws[0].Ref.Kind != cluster.KindDeployment {
					t.Errorf("the workload is %s", ws[0].Ref)
				}
			}
		})
	}
}

func TestPodsOfAnOperatorHaveNoOtherOwner(t *testing.T) {
	ws := Workloads(sources(t, runningPod("kafka-0", "KafkaSet", "kafka"), runningPod("bare")), noon)
	want := []cluster.Owner{{Kind: cluster.OwnerOperator, Name: "kafkaset kafka"}}
	if diff := cmp.Diff(want, workload(t, ws, "kafka").Owners); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if got := workload(t, ws, "bare").Owners; got != nil {
		t.Errorf("a bare pod belongs to %+v", got)
	}
}

func TestProfile(t *testing.T) {
	for text, want := range map[string]Profile{
		"6060": {6060, "/debug/pprof"}, "6060/": {6060, "/debug/pprof"}, " 6060/internal/pprof/ ": {6060, "/internal/pprof"},
		"65535/a": {65535, "/a"},
		"":        {}, "0": {}, "65536": {}, "-1": {}, "web": {}, "6060/../secret": {}, "6060/a//b": {}, "6060/a?b": {}, "6060/a%2e": {},
		"http://x": {}, "6060/a b": {},
	} {
		var port int32
		var path string
		d := deployment("web", 1)
		d.Spec.Template.Annotations = map[string]string{ProfileAnnotation: text}
		w := Workloads(sources(t, d), noon)[0]
		port, path = w.ProfilePort, w.ProfilePath
		if port != want.Port || path != want.Path {
			t.Errorf("%q gives %d%s, want %d%s", text, port, path, want.Port, want.Path)
		}
		bare := runningPod("bare")
		bare.Annotations = d.Spec.Template.Annotations
		if w := Workloads(sources(t, bare), noon)[0]; w.ProfilePort != want.Port || w.ProfilePath != want.Path {
			t.Errorf("%q on a bare pod gives %d%s", text, w.ProfilePort, w.ProfilePath)
		}
	}
}

func FuzzProfile(f *testing.F) {
	for _, s := range []string{"6060", "6060/debug/pprof", "6060/../x", "99999", "1/\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parseProfile(text)
		if !ok {
			return
		}
		if p.Port < 1 || p.Port > 65535 || len(p.Path) < 2 || p.Path[0] != '/' {
			t.Fatalf("%q gives %+v", text, p)
		}
		again, ok := parseProfile(strings.TrimSpace(strings.SplitN(text, "/", 2)[0]) + p.Path)
		if !ok || again != p {
			t.Fatalf("%q gives %+v, and that written out %+v", text, p, again)
		}
	})
}
