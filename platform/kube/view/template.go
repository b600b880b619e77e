package view

import (
	"encoding/json"
	"hash/fnv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// restartedAnnotation is what kubectl rollout restart writes into the template.
const restartedAnnotation = "kubectl.kubernetes.io/restartedAt"

// Template is what is kept of a pod template to say later what a rollout changed: the images in words, everything else
// as fingerprints.
type Template struct {
	Containers  []TemplateContainer
	Volumes     uint64
	RestartedAt string
	// Images are "name=image" and MemoryLimits bytes by container, 0 for none. They are shared and must not be changed.
	Images       []string
	MemoryLimits map[string]int64
}

// TemplateContainer is one container of a Template.
type TemplateContainer struct {
	Name, Image                              string
	Command, Environment, Resources, Probing uint64
}

func (r *Records) template(t *corev1.PodTemplateSpec) *Template {
	out := &Template{
		Volumes: fingerprint(t.Spec.Volumes), RestartedAt: t.Annotations[restartedAnnotation],
		Containers: make([]TemplateContainer, 0, len(t.Spec.InitContainers)+len(t.Spec.Containers)),
	}
	out.Images = make([]string, 0, cap(out.Containers))
	limits := make(map[string]int64, cap(out.Containers))
	for _, list := range [][]corev1.Container{t.Spec.InitContainers, t.Spec.Containers} {
		for i := range list {
			c := &list[i]
			out.Containers = append(out.Containers, TemplateContainer{
				Name: r.intern(c.Name), Image: r.intern(c.Image),
				Command:     fingerprint([]any{c.Command, c.Args, c.WorkingDir}),
				Environment: fingerprint([]any{c.Env, c.EnvFrom}),
				Resources:   fingerprint(c.Resources),
				Probing:     fingerprint([]any{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe}),
			})
			out.Images = append(out.Images, r.intern(c.Name+"="+c.Image))
			limits[r.intern(c.Name)] = c.Resources.Limits.Memory().Value()
		}
	}
	out.MemoryLimits = r.internLimits(limits)
	return out
}

// fingerprint hashes the JSON of v. Two templates that differ have the same one by accident once in 2^64.
func fingerprint(v any) uint64 {
	h := fnv.New64a()
	_ = json.NewEncoder(h).Encode(v) //nolint:errchkjson // API types always marshal, and the hash takes every write
	return h.Sum64()
}

// diff says in a phrase what is different in t against old: "image web:1.4 -> web:1.5, environment of proxy". Empty when
// nothing of what is compared is.
func (t *Template) diff(old *Template) string {
	if t == nil || old == nil {
		return ""
	}
	before := make(map[string]*TemplateContainer, len(old.Containers))
	for i := range old.Containers {
		before[old.Containers[i].Name] = &old.Containers[i]
	}
	var parts []string
	for i := range t.Containers {
		c := &t.Containers[i]
		b := before[c.Name]
		delete(before, c.Name)
		if b == nil {
			parts = append(parts, "new container "+c.Name+" with image "+c.Image)
			continue
		}
		parts = append(parts, c.diff(b, len(t.Containers) > 1)...)
	}
	for i := range old.Containers {
		if name := old.Containers[i].Name; before[name] != nil {
			parts = append(parts, "container "+name+" removed")
		}
	}
	if t.Volumes != old.Volumes {
		parts = append(parts, "volumes changed")
	}
	if len(parts) == 0 && t.RestartedAt != old.RestartedAt {
		parts = append(parts, "restarted by kubectl rollout restart")
	}
	return strings.Join(parts, ", ")
}

func (c *TemplateContainer) diff(old *TemplateContainer, named bool) []string {
	of := ""
	if named {
		of = " of " + c.Name
	}
	var parts []string
	if c.Image != old.Image {
		parts = append(parts, "image"+of+" "+old.Image+" -> "+c.Image)
	}
	for _, p := range []struct {
		word     string
		now, was uint64
	}{
		{"command", c.Command, old.Command},
		{"environment", c.Environment, old.Environment},
		{"resources", c.Resources, old.Resources},
		{"probes", c.Probing, old.Probing},
	} {
		if p.now != p.was {
			parts = append(parts, p.word+of+" changed")
		}
	}
	return parts
}
