package kube

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/restmapper"
)

// remapEvery bounds how often the API server is asked anew for the kinds that it serves.
const remapEvery = 30 * time.Second

// mapper finds the resources of kinds. client-go's mapper reads the list of them once; this one reads it again for a kind that
// is not in it, so that one that was installed since is found.
type mapper struct {
	*restmapper.DeferredDiscoveryRESTMapper

	mu   sync.Mutex
	read time.Time // when the list was last thrown away
}

// RESTMapping returns the resource of a kind.
func (m *mapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	found, err := m.DeferredDiscoveryRESTMapper.RESTMapping(kind, versions...)
	if err == nil || !meta.IsNoMatchError(err) || !m.forget(time.Now()) {
		return found, err //nolint:wrapcheck // the caller expects meta's errors
	}
	return m.DeferredDiscoveryRESTMapper.RESTMapping(kind, versions...) //nolint:wrapcheck // the same
}

// forget throws the list away and reports that, unless that was done lately.
func (m *mapper) forget(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.read) < remapEvery {
		return false
	}
	m.read = now
	m.Reset()
	return true
}
