//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// create sends the object of a file to the API server, which checks it and stores nothing.
func create(ctx context.Context, t *testing.T, text []byte) error {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal(text, &object.Object); err != nil {
		t.Fatal(err)
	}
	resources := map[string]schema.GroupVersionResource{
		v1alpha1.KindAutoscaler:    v1alpha1.GroupVersion().WithResource(v1alpha1.ResourceAutoscalers),
		v1alpha1.KindHealingPolicy: v1alpha1.GroupVersion().WithResource(v1alpha1.ResourceHealingPolicies),
	}
	resource, ok := resources[object.GetKind()]
	if !ok {
		t.Fatalf("kind %q is not expected", object.GetKind())
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	_, err := env.objects.Resource(resource).Namespace(namespace).Create(ctx, &object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// What is wrong is refused when it is written, and the message names the field. The first line of each file says what the
// message must contain.
func TestInvalidObjectsAreRefusedByName(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../deploy/testdata/invalid/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("only %d files: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		err = create(t.Context(), t, text)
		if err == nil {
			t.Errorf("%s is accepted", file)
			continue
		}
		for want := range strings.SplitSeq(strings.TrimPrefix(first, "# "), "|") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the message lacks %q: %v", file, want, err)
			}
		}
	}
}

func TestValidObjectsAreAccepted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../deploy/testdata/valid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range append(files, "../demoapp/manifests/autoscaler.yaml", "../demoapp/manifests/healingpolicy.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := create(t.Context(), t, text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What the controller may do is asked of the API server, for the service account that it runs under.
func TestControllerMayDoLittle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verb, group, resource, subresource, namespace string
		want                                          bool
	}{
		{"delete", "", "pods", "", "default", false},
		{"deletecollection", "", "pods", "", "default", false},
		{"create", "", "pods", "", "default", false},
		{"create", "", "pods", "exec", "default", false},
		{"get", "", "secrets", "", "default", false},
		{"get", "", "configmaps", "", system, false},
		{"get", "", "nodes", "proxy", "", false},
		{"update", "", "nodes", "", "", false},
		{"update", "apps", "deployments", "", "default", false},
		{"delete", "apps", "deployments", "", "default", false},
		{"update", "homeostat.dev", "autoscalers", "", "default", false},
		{"update", "homeostat.dev", "healingpolicies", "", "default", false},
		{"update", "coordination.k8s.io", "leases", "", "kube-system", false},
		{"delete", "policy", "poddisruptionbudgets", "", "default", false},
		{"*", "*", "*", "", "", false},
		{"create", "", "pods", "proxy", "default", false},
		{"patch", "", "nodes", "", "", false},
		{"patch", "apps", "replicasets", "", "default", false},
		{"create", "", "pods", "eviction", "default", true},
		// The component remedies:
		{"patch", "", "pods", "", "default", true},
		{"patch", "apps", "deployments", "", "default", true},
		{"patch", "", "services", "", "default", true},
		{"get", "", "pods", "proxy", "default", true},
		{"update", "apps", "deployments", "scale", "default", true},
		{"update", "homeostat.dev", "autoscalers", "status", "default", true},
	} {
		review, err := env.kube.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + system + ":" + controller,
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: c.verb, Group: c.group, Resource: c.resource, Subresource: c.subresource, Namespace: c.namespace,
				},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != c.want {
			t.Errorf("%s %s/%s %s in %q: allowed is %t, want %t", c.verb, c.group, c.resource, c.subresource, c.namespace, review.Status.Allowed, c.want)
		}
	}
}

func TestControllerRunsWithoutPrivilege(t *testing.T) {
	t.Parallel()
	pods, err := env.controllers(t.Context())
	if err != nil || len(pods) == 0 {
		t.Fatalf("%d controllers: %v", len(pods), err)
	}
	for i := range pods {
		spec := &pods[i].Spec
		if p := spec.SecurityContext; p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.RunAsUser == nil || *p.RunAsUser == 0 {
			t.Errorf("%s may run as root: %+v", pods[i].Name, p)
		}
		if spec.HostNetwork || spec.HostPID || spec.HostIPC {
			t.Errorf("%s shares namespaces of the node", pods[i].Name)
		}
		for j := range spec.Containers {
			c := spec.Containers[j].SecurityContext
			if c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
				t.Errorf("%s can write to its root file system: %+v", pods[i].Name, c)
			}
			if c == nil || c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || c.Capabilities == nil || len(c.Capabilities.Drop) == 0 {
				t.Errorf("%s can get privilege: %+v", pods[i].Name, c)
			}
		}
		for _, v := range spec.Volumes {
			if v.HostPath != nil {
				t.Errorf("%s mounts %s of the node", pods[i].Name, v.HostPath.Path)
			}
		}
	}
}
