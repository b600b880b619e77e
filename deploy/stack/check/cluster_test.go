package check

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// build returns what `kubectl apply -k` would send, each object strictly decoded into its type. CustomResourceDefinitions are left out.
func build(t *testing.T, folder string) []runtime.Object {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatalf("kustomize %s: %v", folder, err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var out []runtime.Object
	for _, r := range built.Resources() {
		if r.GetKind() == "CustomResourceDefinition" {
			continue
		}
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
			continue
		}
		out = append(out, object)
	}
	return out
}

// withHomeostat builds the kustomization that docs/monitor.md shows.
func withHomeostat(t *testing.T) []runtime.Object {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	deploy, err := filepath.Abs(filepath.Join(root, "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	deploy, err = filepath.Rel(dir, deploy)
	if err != nil {
		t.Fatal(err)
	}
	text := "kind: Kustomization\nresources: [" + deploy + "/base]\ncomponents: [" + deploy + "/stack/homeostat]\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return build(t, dir)
}

// of returns the objects of one type by name.
func of[T metav1.Object](objects []runtime.Object) map[string]T {
	out := map[string]T{}
	for _, o := range objects {
		if one, ok := o.(T); ok {
			out[one.GetName()] = one
		}
	}
	return out
}

// workload is an object with pods.
type workload struct {
	namespace, name string
	labels          map[string]string
	spec            corev1.PodSpec
}

func workloads(objects []runtime.Object) []workload {
	var out []workload
	for _, o := range of[*appsv1.StatefulSet](objects) {
		out = append(out, workload{o.Namespace, o.Name, o.Spec.Template.Labels, o.Spec.Template.Spec})
	}
	for _, o := range of[*appsv1.DaemonSet](objects) {
		out = append(out, workload{o.Namespace, o.Name, o.Spec.Template.Labels, o.Spec.Template.Spec})
	}
	for _, o := range of[*appsv1.Deployment](objects) {
		out = append(out, workload{o.Namespace, o.Name, o.Spec.Template.Labels, o.Spec.Template.Spec})
	}
	return out
}

const (
	clusterFolder = "../kubernetes"
	logsFolder    = "../logs"
)

func clusterStack(t *testing.T) stack {
	t.Helper()
	objects := append(build(t, clusterFolder), build(t, logsFolder)...)
	maps := of[*corev1.ConfigMap](objects)
	services := of[*corev1.Service](objects)
	out := stack{name: "cluster", programs: map[string]program{}, homeostat: "../homeostat/config.yaml"}
	out.known = func(hostPort string) bool {
		host, port, _ := strings.Cut(hostPort, ":")
		service, there := services[strings.TrimSuffix(strings.TrimSuffix(host, ".svc"), ".monitoring")]
		return there && strings.Contains(host, ".monitoring") && slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool {
			return strconv.Itoa(int(p.Port)) == port
		})
	}
	for _, w := range workloads(objects) {
		container := w.spec.Containers[0]
		p := program{image: container.Image, args: container.Args, files: mounted(t, w, maps)}
		if s := services[w.name]; s != nil {
			for _, port := range s.Spec.Ports {
				p.ports = append(p.ports, int(port.Port))
			}
		}
		out.programs[w.name] = p
	}
	return out
}

// mounted returns what the container finds of ConfigMaps, by path.
func mounted(t *testing.T, w workload, configs map[string]*corev1.ConfigMap) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	put := func(at, name string, items []corev1.KeyToPath) {
		c, there := configs[name]
		if !there {
			t.Errorf("%s mounts the ConfigMap %s, which is not there", w.name, name)
			return
		}
		if items == nil {
			for key := range c.Data {
				items = append(items, corev1.KeyToPath{Key: key, Path: key})
			}
		}
		for _, i := range items {
			text, there := c.Data[i.Key]
			if !there {
				t.Errorf("%s wants %s of the ConfigMap %s, which has %q", w.name, i.Key, name, slices.Sorted(maps.Keys(c.Data)))
			}
			out[path.Join(at, i.Path)] = []byte(text)
		}
	}
	for _, m := range w.spec.Containers[0].VolumeMounts {
		for _, v := range w.spec.Volumes {
			switch {
			case v.Name != m.Name:
			case v.ConfigMap != nil:
				put(m.MountPath, v.ConfigMap.Name, v.ConfigMap.Items)
			case v.Projected != nil:
				for _, s := range v.Projected.Sources {
					put(m.MountPath, s.ConfigMap.Name, s.ConfigMap.Items)
				}
			}
		}
	}
	return out
}

func everything(t *testing.T) []runtime.Object {
	t.Helper()
	return slices.Concat(build(t, clusterFolder), build(t, logsFolder), withHomeostat(t))
}

// The API server would refuse the pods otherwise.
func TestPodsKeepToThePodSecurityOfTheirNamespace(t *testing.T) {
	t.Parallel()
	objects := everything(t)
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	namespaces := of[*corev1.Namespace](objects)
	for _, w := range workloads(objects) {
		level := api.Level(namespaces[w.namespace].Labels[api.EnforceLevelLabel])
		if want := map[bool]api.Level{true: api.LevelPrivileged, false: api.LevelRestricted}[w.name == "alloy"]; level != want {
			t.Errorf("%s runs in %s, which enforces %q and not %s", w.name, w.namespace, level, want)
		}
		spec := w.spec
		for _, r := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &metav1.ObjectMeta{}, &spec) {
			if !r.Allowed {
				t.Errorf("%s: %s: %s", w.name, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		if policyOf := w.spec.Containers[0].SecurityContext; !*policyOf.ReadOnlyRootFilesystem || *policyOf.AllowPrivilegeEscalation || len(policyOf.Capabilities.Add) > 0 {
			t.Errorf("%s: %+v", w.name, policyOf)
		}
	}
}

func TestContainersHaveResourcesAndProbes(t *testing.T) {
	t.Parallel()
	ws := workloads(everything(t))
	if len(ws) != 6 {
		t.Errorf("%d workloads", len(ws))
	}
	for _, w := range ws {
		for _, c := range w.spec.Containers {
			if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: resources %+v", w.name, c.Resources)
			}
			if c.ReadinessProbe == nil || c.LivenessProbe == nil {
				t.Errorf("%s: readiness %v, liveness %v", w.name, c.ReadinessProbe, c.LivenessProbe)
			}
			for _, m := range c.VolumeMounts {
				// Those of volumeClaimTemplates are named data.
				if m.Name != "data" && !slices.ContainsFunc(w.spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
					t.Errorf("%s mounts %s, which is no volume", w.name, m.Name)
				}
			}
		}
	}
}

func TestServicesFindTheirPods(t *testing.T) {
	t.Parallel()
	objects := everything(t)
	ws := workloads(objects)
	services := of[*corev1.Service](objects)
	if len(services) != 5 {
		t.Errorf("%d services", len(services))
	}
	for _, s := range services {
		i := slices.IndexFunc(ws, func(w workload) bool {
			return w.namespace == s.Namespace && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(w.labels))
		})
		if i < 0 {
			t.Errorf("the Service %s finds no pod", s.Name)
			continue
		}
		for _, p := range s.Spec.Ports {
			if !slices.ContainsFunc(ws[i].spec.Containers[0].Ports, func(c corev1.ContainerPort) bool {
				return c.Name == p.TargetPort.String() && (c.ContainerPort == p.Port)
			}) {
				t.Errorf("the Service %s leads to port %s, and its pods have none", s.Name, p.TargetPort.String())
			}
		}
	}
}

// rights are verbs by resource.
type rights map[string][]string

func rightsOf(rules []rbacv1.PolicyRule) rights {
	out := rights{}
	for _, r := range rules {
		for _, resource := range r.Resources {
			out[resource] = append(out[resource], r.Verbs...)
		}
	}
	return out
}

// The whole of what the stack may do in a cluster.
func TestTheStackMayReadWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	objects := everything(t)
	list := []string{"list", "watch"}
	for name, want := range map[string]rights{
		"homeostat-monitor-prometheus": {"nodes": list, "nodes/metrics": {"get"}},
		"homeostat-monitor-alloy":      {"pods": list},
	} {
		if got := rightsOf(of[*rbacv1.ClusterRole](objects)[name].Rules); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := rightsOf(of[*rbacv1.Role](objects)["homeostat-monitor-prometheus"].Rules); !maps.EqualFunc(got, rights{"pods": list}, slices.Equal) {
		t.Errorf("in homeostat-system: %v", got)
	}
	accounts := of[*corev1.ServiceAccount](objects)
	for _, b := range of[*rbacv1.ClusterRoleBinding](objects) {
		bound(t, b.Name, b.Subjects, accounts)
	}
	for _, b := range of[*rbacv1.RoleBinding](objects) {
		bound(t, b.Name, b.Subjects, accounts)
	}
	for _, w := range workloads(objects) {
		asks := w.name == "prometheus" || w.name == "alloy" || w.name == "homeostat"
		if off := w.spec.AutomountServiceAccountToken; asks != (off == nil || *off) {
			t.Errorf("%s has the token of its ServiceAccount: %v", w.name, off)
		}
		if asks && accounts[w.spec.ServiceAccountName].GetNamespace() != w.namespace {
			t.Errorf("%s is %q, which is no ServiceAccount of %s", w.name, w.spec.ServiceAccountName, w.namespace)
		}
	}
}

func bound(t *testing.T, name string, subjects []rbacv1.Subject, accounts map[string]*corev1.ServiceAccount) {
	t.Helper()
	for _, s := range subjects {
		if accounts[s.Name].GetNamespace() != s.Namespace {
			t.Errorf("%s binds %s/%s, which is no ServiceAccount", name, s.Namespace, s.Name)
		}
	}
}

func TestPrometheusDiscoversHomeostat(t *testing.T) {
	t.Parallel()
	homeostat := of[*appsv1.Deployment](withHomeostat(t))["homeostat"]
	p := clusterStack(t).programs["prometheus"]
	_, byJob := discovered(t, p.files[p.configured(t, "--config.file")])
	d := byJob["homeostat"][0]
	if d.Role != "pod" || !slices.Equal(d.Namespaces.Names, []string{homeostat.Namespace}) {
		t.Errorf("%+v, and Homeostat is in %s", d, homeostat.Namespace)
	}
	selector, err := labels.Parse(d.Selectors[0].Label)
	if err != nil || d.Selectors[0].Role != d.Role || !selector.Matches(labels.Set(homeostat.Spec.Template.Labels)) {
		t.Errorf("%+v does not select %v (%v)", d.Selectors, homeostat.Spec.Template.Labels, err)
	}
	if name := homeostat.Spec.Template.Spec.Containers[0].Ports[0].Name; name != "http" {
		t.Errorf("the port is called %s, and http is kept", name)
	}
	if byJob["cadvisor"][0].Role != "node" {
		t.Errorf("%+v", byJob["cadvisor"])
	}
}

// Homeostat and the log shipper get through the policies, to the ports that they are configured with.
func TestThePoliciesLetInWhoeverIsConfigured(t *testing.T) {
	t.Parallel()
	objects := everything(t)
	policies := of[*networkingv1.NetworkPolicy](objects)
	homeostat := of[*appsv1.Deployment](objects)["homeostat"]
	from := policies["homeostat"].Spec.Ingress[0]
	var open []int
	for _, p := range from.Ports {
		open = append(open, p.Port.IntValue())
	}
	var listening []int
	for _, s := range of[*corev1.Service](objects) {
		if s.Namespace == "monitoring" {
			listening = append(listening, int(s.Spec.Ports[0].Port))
		}
	}
	slices.Sort(open)
	slices.Sort(listening)
	if !slices.Equal(open, listening) {
		t.Errorf("open to Homeostat are %v, the stack listens on %v", open, listening)
	}
	if namespace := from.From[0].NamespaceSelector.MatchLabels[corev1.LabelMetadataName]; namespace != homeostat.Namespace {
		t.Errorf("open to %s, and Homeostat is in %s", namespace, homeostat.Namespace)
	}
	if pods, err := metav1.LabelSelectorAsSelector(from.From[0].PodSelector); err != nil || !pods.Matches(labels.Set(homeostat.Spec.Template.Labels)) {
		t.Errorf("%v does not select Homeostat (%v)", pods, err)
	}
	shipper := policies["log-shipper"].Spec.Ingress[0].From[0].NamespaceSelector.MatchLabels[corev1.LabelMetadataName]
	if alloy := of[*appsv1.DaemonSet](objects)["alloy"]; alloy.Namespace != shipper {
		t.Errorf("Loki is open to %s, and Alloy is in %s", shipper, alloy.Namespace)
	}
}
