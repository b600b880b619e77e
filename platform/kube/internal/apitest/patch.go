package apitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// errPatch is what the API server says of a JSON patch that cannot be applied, and no more.
var errPatch = errors.New("the server rejected our request due to an error in our request")

// patch changes a stored object by a merge patch, a strategic merge patch or a JSON patch. What a subresource does not own stays:
// of status only the status is changed, of resize only the spec.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, req request, name string, stored Object) {
	raw, err := io.ReadAll(r.Body)
	var next Object
	if err == nil {
		next, err = patched(stored, types.PatchType(r.Header.Get("Content-Type")), raw)
	}
	if err != nil {
		Refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, err.Error())
		return
	}
	switch was, is := metaOf(stored), metaOf(next); {
	case is["uid"] != was["uid"]:
		Refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, fmt.Sprintf("metadata.uid: Invalid value: %v: field is immutable", is["uid"]))
		return
	case is["resourceVersion"] != was["resourceVersion"]:
		Refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
		return
	}
	for sub, field := range map[string]string{"status": "status", "resize": "spec"} {
		if req.sub == sub {
			whole := clone(stored)
			whole[field], next = next[field], whole
		}
	}
	if dry(r) {
		answer(w, http.StatusOK, next)
		return
	}
	answer(w, http.StatusOK, s.store(req.key, name, next))
}

// dry reports whether the request asks for a dry run.
func dry(r *http.Request) bool { return r.URL.Query().Get("dryRun") == metav1.DryRunAll }

func patched(stored Object, kind types.PatchType, raw []byte) (Object, error) {
	next := clone(stored)
	switch kind { //nolint:exhaustive // nothing is applied
	case types.JSONPatchType:
		var ops []operation
		if err := json.Unmarshal(raw, &ops); err != nil {
			return nil, errPatch
		}
		for _, op := range ops {
			if !op.apply(next) {
				return nil, errPatch
			}
		}
		return next, nil
	case types.StrategicMergePatchType:
		shapes := map[any]any{
			"Pod": corev1.Pod{}, "Service": corev1.Service{}, "Deployment": appsv1.Deployment{}, "StatefulSet": appsv1.StatefulSet{}, "DaemonSet": appsv1.DaemonSet{},
		}
		shape, ok := shapes[stored["kind"]]
		if !ok {
			return nil, fmt.Errorf("a strategic merge patch of %v is not supported", stored["kind"])
		}
		var body Object
		if err := json.Unmarshal(raw, &body); err != nil {
			return nil, err //nolint:wrapcheck // told to the client as it is
		}
		return strategicpatch.StrategicMergeMapPatch(next, body, shape) //nolint:wrapcheck // the same
	case types.MergePatchType:
		var body Object
		if err := json.Unmarshal(raw, &body); err != nil {
			return nil, err //nolint:wrapcheck // the same
		}
		merge(next, body)
		return next, nil
	default:
		return nil, fmt.Errorf("a patch of type %q is not supported", kind)
	}
}

// merge applies a merge patch (RFC 7386).
func merge(into, patch Object) {
	for key, value := range patch {
		inner, ok := value.(Object)
		switch {
		case value == nil:
			delete(into, key)
		case ok:
			below, is := into[key].(Object)
			if !is {
				below = Object{}
				into[key] = below
			}
			merge(below, inner)
		default:
			into[key] = value
		}
	}
}

// operation of a JSON patch (RFC 6902), on members of objects.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func (o *operation) apply(to Object) bool {
	parts := strings.Split(strings.TrimPrefix(o.Path, "/"), "/")
	for i, p := range parts {
		p = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
		present, has := to[p]
		if i < len(parts)-1 {
			below, is := present.(Object)
			if !is {
				return false
			}
			to = below
			continue
		}
		switch o.Op {
		case "test":
			return has && reflect.DeepEqual(present, o.Value)
		case "replace":
			to[p] = o.Value
			return has
		case "add":
			to[p] = o.Value
			return true
		case "remove":
			delete(to, p)
			return has
		}
	}
	return false
}
