//go:build e2e

package beside

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// point is the state of a Deployment from a time on. Times are seconds after the failure or the step of load.
type point struct {
	T        float64 `json:"t"`
	Replicas int32   `json:"replicas"` // that its spec asks for
	Ready    int32   `json:"ready"`

	at time.Time
}

// remark is what an autoscaler said from a time on.
type remark struct {
	T           float64 `json:"t"`
	Utilization *int32  `json:"utilization,omitempty"` // percent of the requests, as the autoscaler sees it
	Says        string  `json:"says"`

	at time.Time
}

// sample is what metrics-server said of a pod from a time on.
type sample struct {
	T          float64          `json:"t"`
	Pod        string           `json:"pod"`
	Well       bool             `json:"well"` // it is not one of those that fail
	Containers map[string]usage `json:"containers"`

	at time.Time
}

// curve is what became of one side.
type curve struct {
	Points  []point  `json:"points"`
	Said    []remark `json:"said,omitempty"`
	Samples []sample `json:"samples,omitempty"` // of metrics-server; only those that the native controller decides from

	mu sync.Mutex
}

// record follows the side's Deployment by a watch until the test ends.
func record(t *testing.T, s *side) *curve {
	t.Helper()
	c := &curve{}
	stop := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(stop) }))
	factory := informers.NewSharedInformerFactoryWithOptions(env.kube, 0, informers.WithNamespace(s.name),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", web).String()
		}))
	deployments := factory.Apps().V1().Deployments().Informer()
	if _, err := deployments.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: c.note, UpdateFunc: func(_, obj any) { c.note(obj) },
	}); err != nil {
		t.Fatal(err)
	}
	factory.Start(stop)
	factory.WaitForCacheSync(t.Context().Done())
	return c
}

func (c *curve) note(obj any) {
	d, ok := obj.(*appsv1.Deployment)
	if !ok || d.Spec.Replicas == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := point{Replicas: *d.Spec.Replicas, Ready: d.Status.ReadyReplicas, at: time.Now()}
	if n := len(c.Points); n > 0 && c.Points[n-1].Replicas == p.Replicas && c.Points[n-1].Ready == p.Ready {
		return
	}
	c.Points = append(c.Points, p)
}

// listen writes down, until the context ends, what the side's autoscaler says and, beside the native controller, what
// metrics-server tells it.
func (c *curve) listen(ctx context.Context, s *side) {
	known := map[string]map[string]usage{}
	for pause(ctx, 2*time.Second) {
		now := time.Now()
		if u, says, err := s.judged(ctx); err == nil {
			c.mu.Lock()
			n := len(c.Said)
			if n == 0 || c.Said[n-1].Says != says || !equal(c.Said[n-1].Utilization, u) {
				c.Said = append(c.Said, remark{Utilization: u, Says: says, at: now})
			}
			c.mu.Unlock()
		}
		if s.by != stock {
			continue
		}
		found, err := env.usages(ctx, s.name)
		if err != nil {
			continue // it shows as a gap
		}
		c.mu.Lock()
		for pod, of := range found {
			if !maps.Equal(known[pod], of) {
				c.Samples = append(c.Samples, sample{Pod: pod, Containers: of, at: now})
			}
		}
		known = found
		c.mu.Unlock()
	}
}

func equal(a, b *int32) bool { return a == b || a != nil && b != nil && *a == *b }

// since counts all times from one moment, and notes which pods do not fail.
func (c *curve) since(start time.Time, spared []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.Points {
		c.Points[i].T = seconds(c.Points[i].at.Sub(start))
	}
	for i := range c.Said {
		c.Said[i].T = seconds(c.Said[i].at.Sub(start))
	}
	for i := range c.Samples {
		c.Samples[i].T = seconds(c.Samples[i].at.Sub(start))
		c.Samples[i].Well = slices.Contains(spared, c.Samples[i].Pod)
	}
}

// seconds of a duration, to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// lowest returns the lowest number of replicas that was asked for between two times, and the first time of it.
func (c *curve) lowest(from, to time.Time) (n int32, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = math.MaxInt32
	for i, p := range c.Points {
		until := to
		if i+1 < len(c.Points) {
			until = c.Points[i+1].at
		}
		if !until.After(from) || p.at.After(to) {
			continue
		}
		if p.Replicas < n {
			n, at = p.Replicas, p.at
			if at.Before(from) {
				at = from
			}
		}
	}
	return n, at
}

// last returns what the autoscaler said last before a time, and of those pods that do not fail the last sample.
func (c *curve) last(before time.Time) (says string, well map[string]sample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	well = map[string]sample{}
	for _, r := range c.Said {
		if r.at.Before(before) {
			says = r.Says
		}
	}
	for _, s := range c.Samples {
		if s.Well && s.at.Before(before) {
			well[s.Pod] = s
		}
	}
	return says, well
}

// save writes a record to the folder of results.
func save(t *testing.T, file string, record any) {
	t.Helper()
	text, err := json.MarshalIndent(record, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(env.results, file)
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil { //nolint:gosec // it is for everybody to read
		t.Fatal(err)
	}
	t.Logf("recorded in %s", path)
}
