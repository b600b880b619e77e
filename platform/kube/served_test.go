package kube

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// TestWhichVPAsAreNotKnown verifies that VerticalPodAutoscalers that must not be read are told from those that there are none of.
func TestWhichVPAsAreNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer := map[string]int{}
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		for namespace, code := range answer {
			if strings.HasSuffix(r.URL.Path, "/"+namespace+"/verticalpodautoscalers") {
				apitest.Refuse(rw, code, map[int]metav1.StatusReason{
					http.StatusForbidden: metav1.StatusReasonForbidden, http.StatusNotFound: metav1.StatusReasonNotFound,
				}[code], "no")
				return true
			}
		}
		return false
	})
	objects, err := dynamic.NewForConfig(w.Config())
	if err != nil {
		t.Fatal(err)
	}
	s := newServed(objects, nil, []string{"a", "b"}, slog.New(slog.DiscardHandler))
	if _, unread, _ := s.known(); !slices.Equal(unread, []string{"a", "b"}) {
		t.Errorf("before the first list %q are not known", unread)
	}
	for _, step := range []struct {
		name string
		code int // of the list of b; 0: it is given
		want []string
	}{
		{"broken before it was ever read", http.StatusInternalServerError, []string{"b"}},
		{"forbidden", http.StatusForbidden, []string{"b"}},
		{"not served", http.StatusNotFound, nil},
		{"forbidden again", http.StatusForbidden, []string{"b"}},
		{"read", 0, nil},
		{"broken, and what was read is known", http.StatusInternalServerError, nil},
	} {
		delete(answer, "b")
		if step.code != 0 {
			answer["b"] = step.code
		}
		for _, namespace := range []string{"a", "b"} {
			s.listVPAs(t.Context(), namespace)
		}
		if vpas, unread, _ := s.known(); !slices.Equal(unread, step.want) || !slices.Equal(vpas, []view.VPA(nil)) {
			t.Errorf("%s: %q are not known, and %v are", step.name, unread, vpas)
		}
	}
}
