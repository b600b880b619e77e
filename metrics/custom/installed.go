package custom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// How long it is remembered that an API is there, and that it is not.
const (
	foundFor   = time.Minute
	missingFor = 30 * time.Second
)

// NotInstalledError is the error of an API that the cluster does not have.
type NotInstalledError struct {
	// Group of the API.
	Group string
	// Versions that the cluster has of it, of which none is known here; empty: it has none.
	Versions []string
}

// Error says which API is not there.
func (e *NotInstalledError) Error() string {
	if len(e.Versions) > 0 {
		return fmt.Sprintf("the API %s has the versions %v in this cluster, of which none is known", e.Group, e.Versions)
	}
	return fmt.Sprintf("the API %s is not installed in this cluster", e.Group)
}

// installed remembers which version of an API there is.
type installed struct {
	group string
	known []schema.GroupVersion

	mu    sync.Mutex
	found schema.GroupVersion
	err   error // that it is not installed
	until time.Time
}

// version returns the version to use, or a *NotInstalledError.
func (i *installed) version(ctx context.Context, api rest.Interface, now time.Time) (schema.GroupVersion, error) {
	i.mu.Lock()
	found, err, until := i.found, i.err, i.until
	i.mu.Unlock()
	if now.Before(until) {
		return found, err
	}
	fresh, err := i.ask(ctx, api)
	if _, missing := errors.AsType[*NotInstalledError](err); err != nil && !missing {
		if !found.Empty() { // what is known is likely still true
			return found, nil
		}
		return found, fmt.Errorf("ask for the API %s: %w", i.group, plain(err))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.found, i.err, i.until = fresh, err, now.Add(foundFor)
	if err != nil {
		i.until = now.Add(missingFor)
	}
	return fresh, err
}

// ask returns the version that the API server prefers, or another one, of those that are known here.
func (i *installed) ask(ctx context.Context, api rest.Interface) (schema.GroupVersion, error) {
	body, err := raw(api.Get().AbsPath("/apis", i.group).Do(ctx))
	if apierrors.IsNotFound(err) {
		return schema.GroupVersion{}, &NotInstalledError{Group: i.group}
	}
	if err != nil {
		return schema.GroupVersion{}, err
	}
	var group metav1.APIGroup
	if err := json.Unmarshal(body, &group); err != nil {
		return schema.GroupVersion{}, fmt.Errorf("the answer cannot be read: %w", err)
	}
	served := append([]metav1.GroupVersionForDiscovery{group.PreferredVersion}, group.Versions...)
	names := make([]string, 0, len(group.Versions))
	for _, v := range served {
		gv := schema.GroupVersion{Group: i.group, Version: v.Version}
		if slices.Contains(i.known, gv) {
			return gv, nil
		}
		if v.Version != "" && !slices.Contains(names, v.Version) {
			names = append(names, v.Version)
		}
	}
	return schema.GroupVersion{}, &NotInstalledError{Group: i.group, Versions: names}
}
