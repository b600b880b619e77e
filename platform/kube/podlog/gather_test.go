package podlog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

var life1 = healing.Capture{Replica: "web-1", ReplicaUID: "u1", Container: "web", ContainerID: "containerd://life1"}

// shop is a workload whose web-1 died at the time died, with healthy and unhealthy replicas beside it.
func shop() *cluster.Workload {
	healthy := func(name, revision string) cluster.Replica {
		return cluster.Replica{Name: name, UID: name, Revision: revision, Ready: true, Containers: []cluster.Container{{Name: "web", State: cluster.StateRunning}}}
	}
	w := &cluster.Workload{Ref: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}, Replicas: []cluster.Replica{
		{Name: "web-1", UID: "u1", Revision: "b", Containers: []cluster.Container{{
			Name: "web", State: cluster.StateRunning, StartedAt: died.Add(3 * time.Second),
			Last: &cluster.Termination{ContainerID: "containerd://life1", StartedAt: died.Add(-2 * time.Hour), FinishedAt: died},
		}}},
		healthy("web-5", "a"), healthy("web-6", "b"), healthy("web-4", "b"), healthy("web-2", "b"), healthy("web-3", "b"),
	}}
	w.Replicas[4].Ready = false // web-2
	w.Replicas[5].Containers[0].Last = &cluster.Termination{FinishedAt: died.Add(-time.Minute)}
	return w
}

// at writes a line as the kubelet does with timestamps, so long before the death.
func at(before time.Duration, text string) string {
	return died.Add(-before).Format(time.RFC3339Nano) + " " + text + "\n"
}

// kubelets serves logs by "pod" and "pod/previous"; the tail is cut as asked for. It notes what was asked.
type kubelets struct {
	logs map[string]string
	// hang has the pods whose log never comes.
	hang []string

	mu    sync.Mutex
	asked []string
}

func (k *kubelets) hook(w http.ResponseWriter, r *http.Request) bool {
	path, ok := strings.CutSuffix(r.URL.Path, "/log")
	if !ok {
		return false
	}
	name, q := path[strings.LastIndexByte(path, '/')+1:], r.URL.Query()
	if q.Get("previous") == "true" {
		name += "/previous"
	}
	k.mu.Lock()
	k.asked = append(k.asked, fmt.Sprintf("%s tail=%s limit=%s since=%s", name, q.Get("tailLines"), q.Get("limitBytes"), q.Get("sinceTime")))
	k.mu.Unlock()
	if slices.Contains(k.hang, name) {
		<-r.Context().Done()
		return true
	}
	text, ok := k.logs[name]
	if !ok {
		apitest.Refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "previous terminated container not found")
		return true
	}
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if q.Get("tailLines") == "40" {
		lines = lines[max(len(lines)-40, 0):]
	}
	_, _ = w.Write([]byte(strings.Join(lines, "")))
	return true
}

func capture(t *testing.T, k *kubelets, w *cluster.Workload, options ...Option) incident.Evidence {
	t.Helper()
	s := apitest.New(t)
	s.Put(t, pod("containerd://life1", "containerd://life2", running))
	s.Hook(k.hook)
	client, err := kubernetes.NewForConfig(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	return New(client, options...).Capture(t.Context(), w, life1)
}

// history is a log with an hour of orders, and an end that is new.
func history() string {
	var b strings.Builder
	for i := range 110 {
		b.WriteString(at(time.Hour-time.Duration(i)*30*time.Second, fmt.Sprintf("order %d stored", i)))
	}
	for i := range 50 {
		b.WriteString(at(time.Minute-time.Duration(i)*time.Second, fmt.Sprintf("order %d stored", 200+i)))
	}
	return b.String() + at(2*time.Second, "pool is at 97 of 100") + at(time.Second, "token=abcdef refused by orders-db")
}

func TestWhatIsNewIsToldFromTheHourBeforeAndFromHealthySiblings(t *testing.T) {
	t.Parallel()
	k := &kubelets{logs: map[string]string{
		"web-1": at(-4*time.Second, "order 1 stored"), "web-1/previous": history(),
		"web-4": strings.Repeat(at(time.Minute, "order 7 stored"), 50), "web-6": strings.Repeat(at(time.Minute, "pool is at 3 of 100"), 50) + at(-time.Minute, "refused by orders-db"),
	}}
	got := capture(t, k, shop())
	want := []incident.LogTemplate{
		{Template: "token=*** refused by orders-db", Count: 1, Before: 0, Siblings: 0, Novelty: 100, Example: "token=*** refused by orders-db"},
		{Template: "pool is at <*> of <*>", Count: 1, Before: 0, Siblings: 50, Novelty: 50, Example: "pool is at 97 of 100"},
		{Template: "order <*> stored", Count: 50, Before: 110, Siblings: 50, Novelty: 24, Example: "order 249 stored"},
	}
	if diff := cmp.Diff(want, got.Templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	if len(got.Lines) != incident.MaxLogLines || got.Lines[39] != "token=*** refused by orders-db" || got.Source != "kubelet" {
		t.Errorf("%d lines from %q, the last ones %q", len(got.Lines), got.Source, got.Lines[len(got.Lines)-2:])
	}
	slices.Sort(k.asked)
	since := died.Add(-65 * time.Minute).Format(time.RFC3339)
	asked := []string{
		"web-1 tail=2000 limit=1048576 since=" + since, "web-1/previous tail=2000 limit=1048576 since=" + since, "web-1/previous tail=40 limit=262144 since=",
		"web-4 tail=1000 limit=524288 since=" + since, "web-6 tail=1000 limit=524288 since=" + since,
	}
	if diff := cmp.Diff(asked, k.asked); diff != "" {
		t.Errorf("what was read (-want +got):\n%s", diff)
	}
}

// TestABaselineThatDoesNotComeIsNotKnown has siblings that hang and an earlier log that cannot be read.
func TestABaselineThatDoesNotComeIsNotKnown(t *testing.T) {
	t.Parallel()
	k := &kubelets{logs: map[string]string{"web-1/previous": at(time.Second, "boom")}, hang: []string{"web-4", "web-6"}}
	got := capture(t, k, shop())
	want := []incident.LogTemplate{{Template: "boom", Count: 1, Before: -1, Siblings: -1, Novelty: 50, Example: "boom"}}
	if diff := cmp.Diff(want, got.Templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"boom"}, got.Lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// store is a Window with lines by replica.
type store struct {
	lines map[string][]logs.Line
	err   error
	hang  bool
}

func (s *store) Window(ctx context.Context, q logs.Query) ([]logs.Line, error) {
	if s.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var out []logs.Line
	for _, name := range q.Replicas {
		for _, l := range s.lines[name] {
			if !l.At.Before(q.From) && l.At.Before(q.To) {
				out = append(out, l)
			}
		}
	}
	return out, s.err
}

func line(before time.Duration, text string) logs.Line {
	return logs.Line{At: died.Add(-before), Text: text}
}

func TestTheStoreIsPreferredWhereItHasTheLastLine(t *testing.T) {
	t.Parallel()
	kubelet := map[string]string{"web-1/previous": at(2*time.Second, "order 9 stored") + at(time.Second, "boom"), "web-1": at(-4*time.Second, "starting")}
	stored := []logs.Line{
		line(30*time.Minute, "order 1 stored"), line(4*time.Minute, "order 2 stored"), line(2*time.Second, "order 9 stored"),
		line(-time.Second, "boom"), // stamped when it was read
		line(-4*time.Second, "starting"), line(-20*time.Second, "boom"),
	}
	siblings := []logs.Line{line(time.Minute, "order 5 stored")}
	for name, tc := range map[string]struct {
		kubelet map[string]string
		store   store
		source  string
		lines   []string
		message string
		counts  string // of the template of orders: count, before, siblings
	}{
		"it has all": {
			kubelet: kubelet, store: store{lines: map[string][]logs.Line{"web-1": stored, "web-4": siblings}},
			source: "loki", lines: []string{"order 2 stored", "order 9 stored", "boom"}, message: "last lines of container web, life life1, from loki", counts: "2 1 1",
		},
		"it is behind": {
			kubelet: kubelet, store: store{lines: map[string][]logs.Line{"web-1": stored[:3]}},
			source: "kubelet", lines: []string{"order 9 stored", "boom"}, counts: "1 -1 -1",
			message: "last lines of container web, life life1; loki does not have the newest lines yet",
		},
		"it knows nothing": {
			kubelet: kubelet, source: "kubelet", lines: []string{"order 9 stored", "boom"}, counts: "1 -1 -1",
			message: "last lines of container web, life life1; loki has no lines of it",
		},
		"it cannot be asked": {
			kubelet: kubelet, store: store{err: errors.New("Loki answers too many requests (429)")}, source: "kubelet",
			lines: []string{"order 9 stored", "boom"}, counts: "1 -1 -1",
			message: "last lines of container web, life life1; Loki answers too many requests (429)",
		},
		"the first pages are missing": {
			kubelet: kubelet, store: store{lines: map[string][]logs.Line{"web-1": stored[2:4]}, err: errors.New("broken")}, source: "loki",
			lines: []string{"order 9 stored", "boom"}, message: "last lines of container web, life life1, from loki", counts: "1 -1 -1",
		},
		"only the store has it": {
			store: store{lines: map[string][]logs.Line{"web-1": stored}}, source: "loki",
			lines: []string{"order 2 stored", "order 9 stored", "boom"}, counts: "2 1 -1",
			message: "the window around the death, from loki, because read log of web: previous terminated container not found",
		},
		"nobody has it": {
			store:   store{err: errors.New("Loki is not there: no such host loki")},
			message: "no log: read log of web: previous terminated container not found; Loki is not there: no such host loki",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := capture(t, &kubelets{logs: tc.kubelet}, shop(), WithWindow("loki", &tc.store))
			if diff := cmp.Diff(tc.lines, got.Lines); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if got.Message != tc.message || got.Source != tc.source {
				t.Errorf("from %q: %q, want from %q: %q", got.Source, got.Message, tc.source, tc.message)
			}
			counts := ""
			for _, tpl := range got.Templates {
				if tpl.Template == "order <*> stored" {
					counts = fmt.Sprintln(tpl.Count, tpl.Before, tpl.Siblings)
				}
			}
			if strings.TrimSpace(counts) != tc.counts {
				t.Errorf("orders are counted %q, want %q", counts, tc.counts)
			}
		})
	}
}

// TestAStoreThatHangsCostsTheLogNothing has a store that does not keep to its bound.
func TestAStoreThatHangsCostsTheLogNothing(t *testing.T) {
	t.Parallel()
	k := &kubelets{logs: map[string]string{"web-1/previous": at(time.Second, "boom")}}
	got := capture(t, k, shop(), WithWindow("loki", &store{hang: true}))
	if len(got.Lines) != 1 || got.Source != "kubelet" || !strings.HasSuffix(got.Message, "; loki did not answer in time") {
		t.Errorf("evidence is %+v", got)
	}
}

func TestStamped(t *testing.T) {
	t.Parallel()
	got := stamped("2026-11-20T12:00:00.5Z one\r\n2026-11-20T12:00:01Z \nno time at all\n")
	want := []logs.Line{{At: died.Add(500 * time.Millisecond), Text: "one\r"}, {At: died.Add(time.Second)}, {Text: "no time at all"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
