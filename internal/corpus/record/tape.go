package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/homeostat/homeostat/internal/corpus"
)

const uidLength = 36

// tape is one recording on its way.
type tape struct {
	variant *corpus.Variant
	watcher *watcher

	mu     sync.Mutex
	lines  []corpus.Line
	logged map[string]bool // IDs of the containers whose log was asked for
	logs   sync.WaitGroup
}

func (t *tape) add(l corpus.Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.At = now()
	t.lines = append(t.lines, l)
}

func (t *tape) object(kind string, o *unstructured.Unstructured) {
	text, err := json.Marshal(o)
	if err != nil {
		return // it came as JSON
	}
	t.add(corpus.Line{Type: kind, Kind: o.GetKind(), Object: text})
	if o.GetKind() == "Pod" && kind != corpus.Deleted {
		t.deaths(o)
	}
}

// deaths asks for the log of every container that the pod shows as dead, once for each life.
func (t *tape) deaths(o *unstructured.Unstructured) {
	pod, err := typed(o)
	if err != nil {
		return
	}
	for _, s := range statuses(pod) {
		if d := s.State.Terminated; d != nil {
			t.log(pod, s.Name, d.ContainerID, false)
		}
		if d := s.LastTerminationState.Terminated; d != nil {
			t.log(pod, s.Name, d.ContainerID, true)
		}
	}
}

func (t *tape) log(pod *corev1.Pod, container, id string, previous bool) {
	t.mu.Lock()
	asked := t.logged[id] || id == ""
	t.logged[id] = true
	t.mu.Unlock()
	if asked {
		return
	}
	t.logs.Go(func() {
		text, err := t.watcher.readLog(pod, container, previous)
		if err != nil {
			return // a container that never ran has none, and that of a node that is away cannot be read
		}
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		t.add(corpus.Line{Kind: corpus.KindLog, Log: &corpus.Log{
			Pod: pod.Name, PodUID: string(pod.UID), Container: container, ContainerID: id, Lines: lines,
		}})
	})
}

// living asks for the logs of the containers that run now.
func (t *tape) living() {
	t.mu.Lock()
	newest := map[string]*corev1.Pod{}
	for i := range t.lines {
		if t.lines[i].Kind != "Pod" {
			continue
		}
		var o unstructured.Unstructured
		if json.Unmarshal(t.lines[i].Object, &o.Object) != nil {
			continue
		}
		delete(newest, string(o.GetUID()))
		if pod, err := typed(&o); err == nil && t.lines[i].Type != corpus.Deleted {
			newest[string(o.GetUID())] = pod
		}
	}
	t.mu.Unlock()
	for _, pod := range newest {
		for _, s := range statuses(pod) {
			if s.State.Running != nil {
				t.log(pod, s.Name, s.ContainerID, false)
			}
		}
	}
	t.logs.Wait()
}

// save writes the recording with its label as the last line.
func (t *tape) save(folder string, applied time.Time) (path string, err error) {
	label := t.variant.Label(applied)
	t.add(corpus.Line{Kind: corpus.KindLabel, Label: &label})
	t.mu.Lock()
	defer t.mu.Unlock()
	path = filepath.Join(folder, "recordings", t.variant.Kind, t.variant.Name+".jsonl.gz")
	return path, save(path, withoutStrays(t.lines))
}

// withoutStrays leaves out the events about objects that were never seen: components send events late, also those of an earlier
// recording in a namespace of the same name.
func withoutStrays(lines []corpus.Line) []corpus.Line {
	type meta struct {
		Metadata, InvolvedObject struct{ UID string }
	}
	seen := map[string]bool{}
	read := make([]meta, len(lines))
	for i := range lines {
		if len(lines[i].Object) > 0 && json.Unmarshal(lines[i].Object, &read[i]) == nil {
			seen[read[i].Metadata.UID] = true
		}
	}
	out := make([]corpus.Line, 0, len(lines))
	for i := range lines {
		about := read[i].InvolvedObject.UID
		// A kubelet gives the name of its node for the UID.
		if lines[i].Kind == "Event" && len(about) == uidLength && !seen[about] {
			continue
		}
		out = append(out, lines[i])
	}
	return out
}

func typed(o *unstructured.Unstructured) (*corev1.Pod, error) {
	var pod corev1.Pod
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &pod)
	return &pod, err
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses)
}
