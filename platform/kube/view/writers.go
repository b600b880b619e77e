package view

import (
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Annotations that users write for this controller.
const (
	// CanaryAnnotation on a Deployment names the Deployment of the same namespace that it is the canary of.
	CanaryAnnotation = "homeostat.dev/canary-of"
	// BlueGreenAnnotation on a Service is the key of its selector whose value tells the tracks apart.
	BlueGreenAnnotation = "homeostat.dev/blue-green"
	// ProfileAnnotation on a pod template says where the pods offer pprof: "6060" or "6060/debug/pprof".
	ProfileAnnotation = "homeostat.dev/pprof"
)

// DefaultProfilePath is where net/http/pprof serves.
const DefaultProfilePath = "/debug/pprof"

// maxProfilePath bounds the path of a ProfileAnnotation.
const maxProfilePath = 200

// The marks by which those who write the specs of others know their own objects, from their documentation: Argo CD (Resource
// Tracking), Flux (kustomize-controller and helm-controller set the labels on all that they apply), Helm 3 (it adopts nothing
// without the annotation and the label).
const (
	argoTracking     = "argocd.argoproj.io/tracking-id"
	argoInstance     = "argocd.argoproj.io/instance"
	commonInstance   = "app.kubernetes.io/instance"
	argoManager      = "argocd-controller"
	argoApplication  = "argocd-application-controller"
	fluxKustomize    = "kustomize.toolkit.fluxcd.io/name"
	fluxHelm         = "helm.toolkit.fluxcd.io/name"
	kustomizeManager = "kustomize-controller"
	fluxHelmManager  = "helm-controller"
	helmRelease      = "meta.helm.sh/release-name"
	helmManagedBy    = "app.kubernetes.io/managed-by"
	helmManager      = "helm"
)

// writers returns who else writes the object's spec, by the marks on it. It reads the names and times of the managed fields,
// which are dropped afterwards.
func (r *Records) writers(o metav1.Object, c Controller) []cluster.Owner {
	set, notes := o.GetLabels(), o.GetAnnotations()
	since := func(managers ...string) time.Time { return wroteAt(o.GetManagedFields(), managers...) }
	var out []cluster.Owner
	add := func(kind cluster.OwnerKind, name string, at time.Time) {
		out = append(out, cluster.Owner{Kind: kind, Name: r.intern(name), Since: at})
	}
	argo := since(argoManager, argoApplication)
	tracked, _, _ := strings.Cut(notes[argoTracking], ":") // application:group/kind:namespace/name
	switch {
	case tracked != "":
		add(cluster.OwnerArgoCD, "application "+tracked, argo)
	case set[argoInstance] != "":
		add(cluster.OwnerArgoCD, "application "+set[argoInstance], argo)
	case set[commonInstance] != "" && !argo.IsZero(): // the label alone means nothing: everybody sets it
		add(cluster.OwnerArgoCD, "application "+set[commonInstance], argo)
	}
	if name := set[fluxKustomize]; name != "" {
		add(cluster.OwnerFlux, "kustomization "+name, since(kustomizeManager))
	}
	switch name := set[fluxHelm]; {
	case name != "": // Flux lets Helm write, and decides what
		add(cluster.OwnerFlux, "helm release "+name, since(fluxHelmManager, helmManager))
	case notes[helmRelease] != "" && set[helmManagedBy] == "Helm":
		add(cluster.OwnerHelm, "release "+notes[helmRelease], since(helmManager))
	}
	if c.Kind != "" && !builtIn(c.Kind) {
		add(cluster.OwnerOperator, strings.ToLower(c.Kind)+" "+c.Name, time.Time{})
	}
	return out
}

// wroteAt returns when one of the managers last wrote something else than a status, zero for never.
func wroteAt(entries []metav1.ManagedFieldsEntry, managers ...string) time.Time {
	var at time.Time
	for i := range entries {
		e := &entries[i]
		if e.Subresource == "status" {
			continue
		}
		for _, m := range managers {
			if t := utcPtr(e.Time); e.Manager == m && t.After(at) {
				at = t
			}
		}
	}
	return at
}

// builtIn reports whether a controller of that kind is a part of Kubernetes.
func builtIn(kind string) bool {
	return watched(kind) || kind == KindCronJob || kind == "Node" || kind == "ReplicationController" || kind == cluster.KindPod
}

// profile reads the ProfileAnnotation; nil where there is none, or none that can be followed.
func (r *Records) profile(annotations map[string]string) *Profile {
	text := annotations[ProfileAnnotation]
	if text == "" {
		return nil
	}
	out, ok := parseProfile(text)
	if !ok {
		return nil
	}
	out.Path = r.intern(out.Path)
	return &out
}

// parseProfile reads PORT or PORT/PATH.
func parseProfile(text string) (Profile, bool) {
	number, path, found := strings.Cut(strings.TrimSpace(text), "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return Profile{}, false
	}
	path = strings.Trim(path, "/")
	if !found || path == "" {
		return Profile{Port: int32(port), Path: DefaultProfilePath}, true
	}
	if len(path) > maxProfilePath {
		return Profile{}, false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.Trim(part, pathCharacters) != "" {
			return Profile{}, false
		}
	}
	return Profile{Port: int32(port), Path: "/" + path}, true
}

// pathCharacters may stand in a part of a path without being escaped (RFC 3986, unreserved characters).
const pathCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
