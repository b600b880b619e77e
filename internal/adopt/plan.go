package adopt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/policy"
)

// FromAnnotation of an Autoscaler names the HorizontalPodAutoscaler that it was made from, as "hpa/NAME UID".
const FromAnnotation = "homeostat.dev/adopted-from"

// Plan is the Autoscaler for a HorizontalPodAutoscaler, and what there is to say about it.
type Plan struct {
	// Autoscaler has no status and no version, so that it can be created.
	Autoscaler *v1alpha1.Autoscaler
	// Notes say in one sentence each what is not as it was, or cannot be carried over.
	Notes []string
	// Invalid says why the Autoscaler would be refused, nil if it would not.
	Invalid error
	// Blocked says why the one cannot take the other's place, nil if it can.
	Blocked error
}

// For plans the Autoscaler for h, with the same name, labels and annotations.
func For(h *autoscalingv2.HorizontalPodAutoscaler) Plan {
	a := &v1alpha1.Autoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindAutoscaler},
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: h.Name},
		Spec:       policy.FromHPA(&h.Spec),
	}
	p := Plan{Autoscaler: a, Blocked: blocked(h)}
	health, invalid := policy.HealthOff(h.Annotations[policy.HealthOffAnnotation])
	a.Spec.Health = health
	var left []string
	a.Labels, left = carried(h.Labels, "labels", left)
	a.Annotations, left = carried(h.Annotations, "annotations", left)
	if len(left) > 0 {
		p.Notes = append(p.Notes, "left out, because they tie the HPA to what applies it: "+strings.Join(left, ", "))
	}
	if keeper := keeperOf(h); keeper != "" {
		p.Notes = append(p.Notes, keeper+" keeps the HPA: put the Autoscaler in its place there too, or the HPA comes back")
	}
	if len(h.OwnerReferences) > 0 {
		p.Notes = append(p.Notes, "left out: metadata.ownerReferences")
	}
	p.Notes = append(p.Notes,
		"spec.health: every rule is on; with all of them false the decisions are those of Kubernetes",
		"the flags of kube-controller-manager (--horizontal-pod-autoscaler-*) cannot be read: where yours are not the defaults, say so in "+
			"spec.timing and spec.behavior",
		"what the HPA remembers cannot be read: stabilization windows begin with the present number of replicas, rate limits with none used up",
	)
	if p.Invalid = invalid; invalid == nil {
		_, p.Invalid = policy.Autoscaling(&a.Spec)
	}
	return p
}

// blocked says why the HorizontalPodAutoscaler cannot be taken away.
func blocked(h *autoscalingv2.HorizontalPodAutoscaler) error {
	if owner := metav1.GetControllerOfNoCopy(h); owner != nil {
		return fmt.Errorf("hpa/%s belongs to %s %s, which would make it anew: remove that one instead", h.Name, owner.Kind, owner.Name)
	}
	if h.DeletionTimestamp != nil {
		return fmt.Errorf("hpa/%s is being deleted already", h.Name)
	}
	if len(h.Finalizers) > 0 {
		return fmt.Errorf("hpa/%s has finalizers (%s), so that it would not be gone at once", h.Name, strings.Join(h.Finalizers, ", "))
	}
	if asleep(&h.Status) {
		return fmt.Errorf("hpa/%s has scaled its target to zero, which the Autoscaler would take for switched off and leave there: "+
			"swap them while the target has a replica", h.Name)
	}
	return nil
}

// asleep reports whether the HorizontalPodAutoscaler has taken the last replica away, and only itself knows that it was not somebody else.
func asleep(s *autoscalingv2.HorizontalPodAutoscalerStatus) bool {
	return s.DesiredReplicas == 0 && slices.ContainsFunc(s.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool {
		return c.Type == autoscalingv2.ScaledToZero && c.Status == corev1.ConditionTrue
	})
}

// carried returns the labels or annotations without those that tie the object to what applies it, which are added to left.
func carried(from map[string]string, field string, left []string) (map[string]string, []string) {
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(from)) {
		switch {
		case key == corev1.LastAppliedConfigAnnotation, key == FromAnnotation, strings.HasPrefix(key, "autoscaling.alpha.kubernetes.io/"):
			// no words about it: it only says again what is in the spec or the status
		case ties(key):
			left = append(left, field+"."+key)
		default:
			out[key] = from[key]
		}
	}
	if len(out) == 0 {
		return nil, left
	}
	return out, left
}

func ties(key string) bool {
	for _, prefix := range []string{"meta.helm.sh/", "helm.sh/", "argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return key == "app.kubernetes.io/managed-by" || key == "app.kubernetes.io/instance"
}

// keeperOf names what would make the HorizontalPodAutoscaler anew, empty where nothing shows.
func keeperOf(h *autoscalingv2.HorizontalPodAutoscaler) string {
	switch {
	case h.Annotations["argocd.argoproj.io/tracking-id"] != "":
		app, _, _ := strings.Cut(h.Annotations["argocd.argoproj.io/tracking-id"], ":")
		return "Argo CD's Application " + app
	case h.Labels["kustomize.toolkit.fluxcd.io/name"] != "":
		return "Flux's Kustomization " + h.Labels["kustomize.toolkit.fluxcd.io/name"]
	case h.Annotations["meta.helm.sh/release-name"] != "":
		return "Helm's release " + h.Annotations["meta.helm.sh/release-name"]
	default:
		return ""
	}
}

// YAML returns the Autoscaler as a document that can be applied, with the notes as comments above it.
func (p *Plan) YAML() ([]byte, error) {
	var b strings.Builder
	comment := func(indent, text string) {
		for i, line := range wrap(text, 110) {
			if i > 0 {
				line = "  " + line
			}
			b.WriteString("# " + indent + line + "\n")
		}
	}
	comment("", fmt.Sprintf("Made from hpa/%s. While both are there, the Autoscaler is refused: `homeostat adopt hpa/%s --swap` swaps them.",
		p.Autoscaler.Name, p.Autoscaler.Name))
	for _, fault := range faults(p.Invalid) {
		comment("", "NOT VALID: "+fault)
	}
	if p.Blocked != nil {
		comment("", "CANNOT BE SWAPPED: "+p.Blocked.Error())
	}
	for _, n := range p.Notes {
		comment("", "- "+n)
	}
	doc, err := document(p.Autoscaler)
	if err != nil {
		return nil, err
	}
	return append([]byte(b.String()), doc...), nil
}

// faults returns the single errors of an aggregate.
func faults(err error) []string {
	if err == nil {
		return nil
	}
	var many interface{ Errors() []error }
	if !errors.As(err, &many) {
		return []string{err.Error()}
	}
	var out []string
	for _, e := range many.Errors() {
		out = append(out, e.Error())
	}
	return out
}

// document writes what a person would: no status, and no field that is empty.
func document(obj any) ([]byte, error) {
	raw, err := yaml.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	delete(tree, "status")
	prune(tree)
	raw, err = yaml.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	return raw, nil
}

// prune takes away what is null or an empty mapping. An empty list of a selector's or a policy's own stays.
func prune(tree map[string]any) {
	for key, value := range tree {
		if m, ok := value.(map[string]any); ok {
			prune(m)
			if len(m) == 0 {
				delete(tree, key)
			}
		}
		if value == nil {
			delete(tree, key)
		}
	}
}

// wrap breaks a text between words into lines of at most width bytes, where a word is not longer by itself.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
