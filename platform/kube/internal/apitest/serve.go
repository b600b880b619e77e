package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// request is one request to an object or a list.
type request struct {
	key, namespace, name, sub string
	kind                      kind
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if r.Method != http.MethodGet {
		s.writes = append(s.writes, r.Method+" "+r.URL.Path)
	}
	hooks, down := s.hooks, s.down
	s.mu.Unlock()
	if down {
		Refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the server is down")
		return
	}
	for _, h := range hooks {
		if h(w, r) {
			return
		}
	}
	if r.URL.Path == "/readyz" {
		_, _ = w.Write([]byte("ok"))
		return
	}
	req, ok := s.parse(r.URL.Path)
	switch {
	case !ok:
		s.discover(w, r.URL.Path)
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r, req)
	case r.Method == http.MethodGet && req.sub == "":
		s.read(w, req)
	default:
		s.write(w, r, req)
	}
}

// parse reads /api/v1/namespaces/NS/pods/NAME/SUB and its shorter forms.
func (s *Server) parse(path string) (request, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	n := 3
	if parts[0] == "api" {
		n = 2
	}
	if len(parts) <= n {
		return request{}, false
	}
	prefix, rest := "/"+strings.Join(parts[:n], "/"), parts[n:]
	var req request
	if rest[0] == "namespaces" && len(rest) > 2 {
		req.namespace, rest = rest[1], rest[2:]
	}
	req.key = prefix + " " + rest[0]
	k, ok := s.kinds[req.key]
	if !ok {
		return request{}, false
	}
	req.kind = k
	if len(rest) > 1 {
		req.name = rest[1]
	}
	if len(rest) > 2 {
		req.sub = rest[2]
	}
	return req, true
}

func (s *Server) read(w http.ResponseWriter, req request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.name != "" {
		o, ok := s.objects[req.key][req.namespace+"/"+req.name]
		if !ok {
			s.notFound(w, req)
			return
		}
		answer(w, http.StatusOK, o)
		return
	}
	items := []Object{}
	for _, o := range s.objects[req.key] {
		if req.namespace == "" || metaOf(o)["namespace"] == req.namespace {
			items = append(items, o)
		}
	}
	answer(w, http.StatusOK, Object{
		"apiVersion": apiVersion(req.kind), "kind": req.kind.kind + "List",
		"metadata": Object{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	})
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request, req request) {
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		Refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is not supported")
		return
	}
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	me := &watcher{kind: req.key, namespace: req.namespace, events: make(chan Object, 10_000), gone: make(chan struct{})}
	s.mu.Lock()
	if since > 0 && since < s.forgotten {
		s.mu.Unlock()
		Refuse(w, http.StatusGone, metav1.StatusReasonExpired, "too old resource version")
		return
	}
	s.watchers[me] = struct{}{}
	for _, gone := range s.removed { // what was removed or written between the list and the watch
		if gone.key == req.key && gone.version > since && (req.namespace == "" || metaOf(gone.object)["namespace"] == req.namespace) {
			me.events <- Object{"type": "DELETED", "object": gone.object}
		}
	}
	for _, o := range s.objects[req.key] {
		v, _ := strconv.Atoi(fmt.Sprint(metaOf(o)["resourceVersion"]))
		if v > since && (req.namespace == "" || metaOf(o)["namespace"] == req.namespace) {
			me.events <- Object{"type": "MODIFIED", "object": clone(o)}
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, me)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-me.gone:
			return
		case e := <-me.events:
			if err := json.NewEncoder(w).Encode(e); err != nil || flush.Flush() != nil {
				return
			}
		}
	}
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, req request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := req.namespace + "/" + req.name
	stored, exists := s.objects[req.key][name]
	if req.name != "" && !exists {
		s.notFound(w, req)
		return
	}
	if r.Method == http.MethodPatch {
		s.patch(w, r, req, name, stored)
		return
	}
	body := Object{}
	if r.Method != http.MethodGet {
		var err error
		if body, err = readObject(r.Body); err != nil {
			Refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
			return
		}
	}
	switch {
	case r.Method == http.MethodPost && req.name == "":
		s.create(w, req, body)
	case req.sub == "eviction", r.Method == http.MethodDelete:
		s.end(w, req, name, stored, body)
	case req.sub == "scale":
		s.scale(w, r, req, name, stored, body)
	case r.Method == http.MethodPut:
		s.update(w, req, name, stored, body)
	default:
		Refuse(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, r.Method+" "+r.URL.Path)
	}
}

func (s *Server) create(w http.ResponseWriter, req request, body Object) {
	metaOf(body)["namespace"] = req.namespace
	name := nameOf(body)
	if _, exists := s.objects[req.key][name]; exists {
		Refuse(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, name+" already exists")
		return
	}
	body["apiVersion"], body["kind"] = apiVersion(req.kind), req.kind.kind
	answer(w, http.StatusCreated, s.store(req.key, name, body))
}

// end deletes an object or evicts a pod, if the preconditions hold.
func (s *Server) end(w http.ResponseWriter, req request, name string, stored, body Object) {
	options := body
	if o, ok := body["deleteOptions"].(Object); ok {
		options = o
	}
	if p, ok := options["preconditions"].(Object); ok {
		m := metaOf(stored)
		if uid := p["uid"]; uid != nil && uid != m["uid"] {
			Refuse(w, http.StatusConflict, metav1.StatusReasonConflict,
				fmt.Sprintf("Precondition failed: UID in precondition: %v, UID in object meta: %v", uid, m["uid"]))
			return
		}
		if v := p["resourceVersion"]; v != nil && v != m["resourceVersion"] {
			Refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the ResourceVersion in the precondition does not match")
			return
		}
	}
	if options["dryRun"] == nil {
		s.remove(req.key, name)
	}
	answer(w, http.StatusCreated, Object{"apiVersion": "v1", "kind": "Status", "status": "Success"})
}

func (s *Server) update(w http.ResponseWriter, req request, name string, stored, body Object) {
	if v := metaOf(body)["resourceVersion"]; v != nil && v != metaOf(stored)["resourceVersion"] {
		Refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
		return
	}
	if req.sub == "status" {
		next := clone(stored)
		next["status"] = body["status"]
		body = next
	}
	metaOf(body)["uid"] = metaOf(stored)["uid"]
	answer(w, http.StatusOK, s.store(req.key, name, body))
}

func (s *Server) scale(w http.ResponseWriter, r *http.Request, req request, name string, stored, body Object) {
	if r.Method == http.MethodPut {
		if metaOf(body)["resourceVersion"] != metaOf(stored)["resourceVersion"] {
			Refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
			return
		}
		next := clone(stored)
		spec, _ := body["spec"].(Object)
		replicas, given := spec["replicas"]
		if !given { // zero is left out of a scale, and not of what is scaled
			replicas = float64(0)
		}
		next["spec"].(Object)["replicas"] = replicas //nolint:forcetypeassert // what is scaled has a spec
		if stored = next; !dry(r) {
			stored = s.store(req.key, name, next)
		}
	}
	spec, _ := stored["spec"].(Object)
	answer(w, http.StatusOK, Object{
		"apiVersion": "autoscaling/v1", "kind": "Scale",
		"metadata": Object{
			"name": req.name, "namespace": req.namespace, "resourceVersion": metaOf(stored)["resourceVersion"], "uid": metaOf(stored)["uid"],
		},
		"spec":   Object{"replicas": spec["replicas"]},
		"status": Object{"replicas": spec["replicas"], "selector": "app=" + req.name},
	})
}

// discover answers what a client asks to learn which kinds there are.
func (s *Server) discover(w http.ResponseWriter, path string) {
	path = strings.TrimSuffix(path, "/")
	var resources []Object
	groups := map[string]Object{}
	for _, k := range s.kinds {
		if k.prefix == path {
			resources = append(resources, Object{"name": k.resource, "kind": k.kind, "namespaced": k.namespaced, "verbs": []string{"get"}})
			if k.scale {
				resources = append(resources, Object{
					"name": k.resource + "/scale", "kind": "Scale", "group": "autoscaling", "version": "v1", "namespaced": true, "verbs": []string{"get"},
				})
			}
		}
		if gv, ok := strings.CutPrefix(k.prefix, "/apis/"); ok {
			group, version, _ := strings.Cut(gv, "/")
			v := Object{"groupVersion": gv, "version": version}
			groups[group] = Object{"name": group, "versions": []Object{v}, "preferredVersion": v}
		}
	}
	switch {
	case path == "/api":
		answer(w, http.StatusOK, Object{"kind": "APIVersions", "versions": []string{"v1"}})
	case path == "/apis":
		list := []Object{}
		for _, g := range groups {
			list = append(list, g)
		}
		answer(w, http.StatusOK, Object{"apiVersion": "v1", "kind": "APIGroupList", "groups": list})
	case resources != nil:
		gv := strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
		answer(w, http.StatusOK, Object{"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": gv, "resources": resources})
	default:
		Refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, path+" does not exist")
	}
}

func (s *Server) notFound(w http.ResponseWriter, req request) {
	Refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", req.kind.resource, req.name))
}

func apiVersion(k kind) string {
	return strings.TrimPrefix(strings.TrimPrefix(k.prefix, "/apis/"), "/api/")
}

// Refuse answers with a Status; causes are the messages of its details.
func Refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string, causes ...string) {
	status := Object{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": string(reason), "message": message,
	}
	if len(causes) > 0 {
		list := make([]Object, len(causes))
		for i, c := range causes {
			list[i] = Object{"message": c}
		}
		status["details"] = Object{"causes": list}
	}
	answer(w, code, status)
}

func answer(w http.ResponseWriter, code int, o Object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o) //nolint:errchkjson // a client that is gone needs no answer
}
