package apitest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Object is an object as JSON.
type Object = map[string]any

// Hook answers a request in place of the server, or returns false. path has no query; it is called without a lock held.
type Hook func(w http.ResponseWriter, r *http.Request) bool

// Server is the API server. Its methods are safe for concurrent use.
type Server struct {
	http  *httptest.Server
	pipes *pipes // nil: it listens on the network

	mu       sync.Mutex
	version  int
	kinds    map[string]kind              // by path prefix and resource: "/apis/apps/v1 deployments"
	objects  map[string]map[string]Object // by the same, then by namespace/name
	watchers map[*watcher]struct{}
	removed  []removal
	// forgotten is the newest version whose deletion is not kept any more.
	forgotten int
	hooks     []Hook
	writes    []string
	down      bool
}

type kind struct {
	prefix, resource, kind string
	namespaced, scale      bool
}

// removal is a deletion, for those who listed before it and watch after it.
type removal struct {
	key     string
	version int
	object  Object
}

// maxRemoved bounds how many deletions are kept. Who watches from before the oldest of them has to list again.
const maxRemoved = 200

type watcher struct {
	kind, namespace string
	events          chan Object
	gone            chan struct{}
}

// New starts a server that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := newServer()
	s.http = httptest.NewServer(s)
	s.endWith(tb)
	return s
}

func newServer() *Server {
	s := &Server{version: 100, kinds: map[string]kind{}, objects: map[string]map[string]Object{}, watchers: map[*watcher]struct{}{}}
	for _, k := range kinds() {
		s.kinds[k.prefix+" "+k.resource] = k
		s.objects[k.prefix+" "+k.resource] = map[string]Object{}
	}
	return s
}

func (s *Server) endWith(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() {
		s.CloseWatches()
		s.http.Close()
	})
}

func kinds() []kind {
	apps, batch, own := "/apis/apps/v1", "/apis/batch/v1", "/apis/homeostat.dev/v1alpha1"
	return []kind{
		{"/api/v1", "pods", "Pod", true, false},
		{"/api/v1", "nodes", "Node", false, false},
		{"/api/v1", "events", "Event", true, false},
		{"/api/v1", "configmaps", "ConfigMap", true, false},
		{"/api/v1", "services", "Service", true, false},
		{"/apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice", true, false},
		{"/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", true, false},
		{"/apis/autoscaling.k8s.io/v1", "verticalpodautoscalers", "VerticalPodAutoscaler", true, false},
		{apps, "deployments", "Deployment", true, true},
		{apps, "replicasets", "ReplicaSet", true, true},
		{apps, "statefulsets", "StatefulSet", true, true},
		{apps, "daemonsets", "DaemonSet", true, false},
		{apps, "controllerrevisions", "ControllerRevision", true, false},
		{batch, "jobs", "Job", true, false},
		{"/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true, false},
		{own, "autoscalers", "Autoscaler", true, false},
		{own, "healingpolicies", "HealingPolicy", true, false},
		{own, "incidents", "Incident", true, false},
		{"/apis/keda.sh/v1alpha1", "scaledobjects", "ScaledObject", true, false},
		{"/apis/example.dev/v1", "widgets", "Widget", true, true},
	}
}

// Config returns a client configuration for the server.
func (s *Server) Config() *rest.Config {
	c := &rest.Config{Host: s.http.URL, QPS: 1000, Burst: 1000}
	if s.pipes != nil {
		c.Dial = s.pipes.dial
	}
	return c
}

// Hook adds a hook; the newest is asked first.
func (s *Server) Hook(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = slices.Insert(s.hooks, 0, h)
}

// SetDown makes the server answer every request with 503, ends every watch, and back.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.CloseWatches()
	}
}

// CloseWatches ends every open watch, as a server does now and then.
func (s *Server) CloseWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		close(w.gone)
		delete(s.watchers, w)
	}
}

// Writes returns the requests so far that were to change something, as "METHOD /path".
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// ForgetWrites drops what Writes would return.
func (s *Server) ForgetWrites() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = nil
}

// Put creates or replaces an object and returns it as it is stored. The object must have its apiVersion and kind.
func (s *Server) Put(tb testing.TB, obj any) Object {
	tb.Helper()
	raw, err := json.Marshal(obj)
	if err != nil {
		tb.Fatal(err)
	}
	var o Object
	if err := json.Unmarshal(raw, &o); err != nil {
		tb.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.kindOf(o)
	if !ok {
		tb.Fatalf("apitest: no kind %v %v", o["apiVersion"], o["kind"])
	}
	return s.store(key, nameOf(o), o)
}

// Remove deletes an object.
func (s *Server) Remove(tb testing.TB, resource, namespace, name string) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.kinds {
		if strings.HasSuffix(key, " "+resource) {
			s.remove(key, namespace+"/"+name)
		}
	}
}

// Get reads an object into out and reports whether there is one.
func (s *Server) Get(tb testing.TB, resource, namespace, name string, out any) bool {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.kinds {
		if !strings.HasSuffix(key, " "+resource) {
			continue
		}
		o, ok := s.objects[key][namespace+"/"+name]
		if ok {
			decode(tb, o, out)
		}
		return ok
	}
	tb.Fatalf("apitest: no resource %s", resource)
	return false
}

// Names returns the names of the objects of a resource, sorted.
func (s *Server) Names(resource string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for key := range s.kinds {
		if strings.HasSuffix(key, " "+resource) {
			out = append(out, slices.Sorted(maps.Keys(s.objects[key]))...)
		}
	}
	return out
}

// List reads all objects of a resource, sorted by namespace and name.
func List[T any](tb testing.TB, s *Server, resource string) []T {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []T
	for key := range s.kinds {
		if !strings.HasSuffix(key, " "+resource) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.objects[key])) {
			var one T
			decode(tb, s.objects[key][name], &one)
			out = append(out, one)
		}
	}
	return out
}

func decode(tb testing.TB, o Object, out any) {
	tb.Helper()
	raw, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) kindOf(o Object) (string, bool) {
	for key, k := range s.kinds {
		if o["kind"] == k.kind && strings.HasSuffix(k.prefix, "/"+fmt.Sprint(o["apiVersion"])) {
			return key, true
		}
	}
	return "", false
}

func metaOf(o Object) Object {
	m, ok := o["metadata"].(Object)
	if !ok {
		m = Object{}
		o["metadata"] = m
	}
	return m
}

func nameOf(o Object) string {
	m := metaOf(o)
	ns, _ := m["namespace"].(string)
	name, _ := m["name"].(string)
	return ns + "/" + name
}

// store keeps o under a new version and tells the watchers. The lock must be held.
func (s *Server) store(key, name string, o Object) Object {
	s.version++
	m := metaOf(o)
	m["resourceVersion"] = strconv.Itoa(s.version)
	if m["uid"] == nil {
		m["uid"] = fmt.Sprintf("uid-%d", s.version)
	}
	old, existed := s.objects[key][name]
	if existed && m["creationTimestamp"] == nil {
		m["creationTimestamp"] = metaOf(old)["creationTimestamp"]
	}
	if m["creationTimestamp"] == nil {
		m["creationTimestamp"] = metav1.Now().UTC().Format("2006-01-02T15:04:05Z")
	}
	if m["generation"] == nil {
		m["generation"] = 1
	}
	s.objects[key][name] = o
	what := "ADDED"
	if existed {
		what = "MODIFIED"
	}
	s.tell(key, what, o)
	return o
}

func (s *Server) remove(key, name string) {
	o, ok := s.objects[key][name]
	if !ok {
		return
	}
	delete(s.objects[key], name)
	s.version++
	if len(s.removed) == maxRemoved {
		s.forgotten = s.removed[0].version
		s.removed = slices.Delete(s.removed, 0, 1)
	}
	s.removed = append(s.removed, removal{key: key, version: s.version, object: clone(o)})
	s.tell(key, "DELETED", o)
}

func (s *Server) tell(key, what string, o Object) {
	ns, _ := metaOf(o)["namespace"].(string)
	for w := range s.watchers {
		if w.kind == key && (w.namespace == "" || w.namespace == ns) {
			w.events <- Object{"type": what, "object": clone(o)}
		}
	}
}

// clone copies an object, so that what is sent is not what is changed next.
func clone(o Object) Object {
	raw, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	var out Object
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

func readObject(r io.Reader) (Object, error) {
	var o Object
	err := json.NewDecoder(r).Decode(&o)
	return o, err //nolint:wrapcheck // told to the client as it is
}
