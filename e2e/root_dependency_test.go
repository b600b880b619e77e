//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// A database cannot start, because its image does not exist. What waits for it at its start crash-loops, and what lost it is
// not ready: one trouble, so one root and two that wait. A restart of either would help nobody. Once the database runs, all
// three are over.
func TestDependentsWaitForTheirRoot(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "root")
	s.run(part{name: "page", replicas: 2})
	pages := s.awaitPart("page", 2)
	address := s.serve("db", map[string]string{"app": "db"}, nil)
	s.run(part{name: "db", replicas: 1, change: func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Image = "localhost/no-such-image:1"
	}})
	s.run(part{name: "front", replicas: 1, change: func(d *appsv1.Deployment) {
		pod := &d.Spec.Template.Spec
		pod.HostAliases = []corev1.HostAlias{{IP: address, Hostnames: []string{"db"}}} // the cluster may have no DNS
		pod.InitContainers = []corev1.Container{{
			Name: "wait-for-db", Image: env.image, ImagePullPolicy: corev1.PullIfNotPresent,
			Args: []string{"load", "--url", "http://db/hostname", "--rate", "2", "--duration", "1s", "--timeout", "2s"},
		}}
	}})
	s.healParts(nil)

	db := s.awaitAbout("db", incident.ImagePull, 2*time.Minute, inState(incident.Open))
	root := s.name + "/" + db.Name
	s.ask(pages[0].Name, "/log?lines=3&level=error&text=cannot read the catalogue: dial tcp: connect to db:5432: connection refused")
	s.hang(pages[0].Name)
	waits := all(inState(incident.Open), waitsFor(root, healing.ReasonDependencyDown))
	s.awaitAbout("front", incident.CrashLoop, 3*time.Minute, waits)
	s.awaitAbout("page", incident.NotReady, 2*time.Minute, waits)
	s.awaitAbout("db", incident.ImagePull, time.Minute, hasMembers("front", "page"))

	image := fmt.Appendf(nil, `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, env.image)
	if _, err := env.kube.AppsV1().Deployments(s.name).Patch(t.Context(), "db", types.JSONPatchType, image, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitPart("db", 1)
	s.ask(pages[0].Name, "/hang?probe=readiness&seconds=0")
	s.awaitAbout("db", incident.ImagePull, 2*time.Minute, inState(incident.Resolved))
	for name, kind := range map[string]incident.Kind{"front": incident.CrashLoop, "page": incident.NotReady} {
		in := s.awaitAbout(name, kind, 2*time.Minute, inState(incident.Resolved), incident.RestartRate)
		s.verify(inOrder(in, healing.ReasonOpened, healing.ReasonRootFound, healing.ReasonResolved))
		if len(in.Status.Remediations) > 0 {
			t.Errorf("something was done about what only waits:\n%s", describeIncident(in))
		}
	}
	list, err := s.incidents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expected := []incident.Kind{incident.ImagePull, incident.CrashLoop, incident.NotReady, incident.RestartRate}
	for i := range list {
		if in := &list[i]; !contains(expected, incident.Kind(in.Status.Finding)) {
			t.Errorf("there is another incident: %s", describeIncident(in))
		}
	}
	if len(list) > 4 {
		t.Errorf("there are %d incidents of one trouble in three workloads", len(list))
	}
	if now := uids(s.awaitPart("page", 2)...); !slices.Equal(now, uids(pages...)) {
		t.Errorf("the pages are %v, want the same as before, %v", now, uids(pages...))
	}
}
