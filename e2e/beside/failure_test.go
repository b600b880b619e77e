//go:build e2e

package beside

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

// The times of each story.
const (
	failing = 180 * time.Second // from the first failure to its mending
	after   = 90 * time.Second  // from there to the end of the record
)

// mark is a moment of a story.
type mark struct {
	T    float64 `json:"t"`
	Text string  `json:"text"`
}

// story is the record of one failure.
type story struct {
	Scenario   string            `json:"scenario"`
	Title      string            `json:"title"`
	Kubernetes string            `json:"kubernetes"`
	Recorded   string            `json:"recorded"` // the day
	Metric     string            `json:"metric"`
	Min        int32             `json:"min"`
	Max        int32             `json:"max"`
	Marks      []mark            `json:"marks"`
	Curves     map[string]*curve `json:"curves"`
}

// scene is both sides of one story.
type scene struct {
	t     *testing.T
	story story
	plan  plan
	sides []*side
	broke time.Time // when the failure began
	// spared are the pods that do not fail.
	spared []string

	done context.CancelFunc
	busy sync.WaitGroup
	ctx  context.Context //nolint:containedctx // of everything that runs beside the test
}

// rightAway lets a wrong decision show at once. Both sides have it.
func rightAway() *autoscalingv2.HorizontalPodAutoscalerBehavior {
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(0))}}
}

func newScene(t *testing.T, name, title string, p plan) *scene {
	t.Helper()
	c := &scene{t: t, plan: p, story: story{
		Scenario: name, Title: title, Kubernetes: env.version, Recorded: time.Now().UTC().Format(time.DateOnly),
		Metric: fmt.Sprintf("%s, target %d %% of the requests", p.metric, p.target), Min: p.min, Max: p.max, Curves: map[string]*curve{},
	}}
	c.ctx, c.done = context.WithCancel(t.Context())
	t.Cleanup(func() {
		c.done()
		c.busy.Wait()
	})
	for _, by := range []string{stock, homeostat} {
		c.sides = append(c.sides, newSide(t, name, by, &c.plan))
	}
	for _, s := range c.sides {
		k := record(t, s)
		c.story.Curves[s.by] = k
		c.busy.Go(func() { k.listen(c.ctx, s) })
	}
	return c
}

// settle waits until every replica is ready, older than the period in which the native controller takes its CPU with
// care, and watched by its autoscaler.
func (c *scene) settle() {
	c.t.Helper()
	for _, s := range c.sides {
		if _, err := s.awaitReady(c.plan.replicas, 2*time.Minute); err != nil {
			c.t.Fatalf("the replicas of %s: %v", s.name, err)
		}
	}
	ready := time.Now()
	for _, s := range c.sides {
		s.autoscale()
	}
	for _, s := range c.sides {
		s.awaitJudged()
	}
	if !pause(c.ctx, time.Until(ready.Add(env.cpuInit+15*time.Second))) {
		c.t.Fatal(c.ctx.Err())
	}
	for _, s := range c.sides {
		if _, err := s.awaitReady(c.plan.replicas, time.Minute); err != nil {
			c.t.Fatalf("%s does not keep its replicas before anything fails: %v", s.name, err)
		}
	}
}

// fail lets all pods of both sides but the last one fail for a while, then watches how they recover. Where newcomers is
// true, pods that are made meanwhile fail too: what they need is gone for them as well. what and over are the names of
// both moments.
func (c *scene) fail(what, over string, newcomers bool, how func(ctx context.Context, s *side, pod string)) {
	c.t.Helper()
	well := map[*side][]string{}
	for _, s := range c.sides {
		pods, err := s.pods(c.ctx)
		if err != nil || len(pods) < 2 {
			c.t.Fatalf("%d pods of %s: %v", len(pods), s.name, err)
		}
		well[s] = []string{pods[len(pods)-1].Name}
		c.spared = append(c.spared, well[s]...)
	}
	ctx, mend := context.WithTimeout(c.ctx, failing)
	defer mend()
	var running sync.WaitGroup
	c.broke = time.Now()
	c.story.Marks = append(c.story.Marks, mark{Text: what})
	for _, s := range c.sides {
		running.Go(func() {
			seen := well[s]
			for first := true; first || newcomers && pause(ctx, poll); first = false {
				pods, err := s.pods(ctx)
				if err != nil {
					continue
				}
				for i := range pods {
					if name := pods[i].Name; !slices.Contains(seen, name) {
						seen = append(seen, name)
						running.Go(func() { how(ctx, s, name) })
					}
				}
			}
		})
	}
	<-ctx.Done()
	c.story.Marks = append(c.story.Marks, mark{T: seconds(time.Since(c.broke)), Text: over})
	running.Wait()
	pause(c.ctx, time.Until(c.broke.Add(failing+after)))
}

// judge asserts who kept the replicas, and saves the record.
func (c *scene) judge() {
	c.t.Helper()
	c.done()
	c.busy.Wait()
	for _, k := range c.story.Curves {
		k.since(c.broke, c.spared)
	}
	save(c.t, "beside-"+c.story.Scenario+".json", &c.story)
	mended := c.broke.Add(failing)
	n, at := c.story.Curves[stock].lowest(c.broke, mended)
	if n >= c.plan.replicas {
		says, _ := c.story.Curves[stock].last(mended)
		c.t.Errorf("the native HPA kept its %d replicas, so there is nothing that it does wrong here; it said: %s", c.plan.replicas, says)
	} else {
		_, well := c.story.Curves[stock].last(at)
		c.t.Logf("%.1f s after the failure the native HPA had gone from %d to %d replicas; metrics-server had said of those that did not fail: %s",
			at.Sub(c.broke).Seconds(), c.plan.replicas, n, describe(well))
		c.loaded(well)
	}
	if n, at := c.story.Curves[homeostat].lowest(c.broke, mended); n < c.plan.replicas {
		says, _ := c.story.Curves[homeostat].last(at.Add(2 * time.Second))
		c.t.Errorf("%.1f s after the failure Homeostat went from %d to %d replicas; it said: %s", at.Sub(c.broke).Seconds(), c.plan.replicas, n, says)
	} else {
		says, _ := c.story.Curves[homeostat].last(mended)
		c.t.Logf("Homeostat kept its %d replicas; it said: %s", n, says)
	}
}

// loaded asserts that the replicas that did not fail were above the target when others were taken away: a scale-down for
// which there was no reason.
func (c *scene) loaded(well map[string]sample) {
	c.t.Helper()
	requests := map[corev1.ResourceName]int64{}
	for name, text := range map[corev1.ResourceName][]string{corev1.ResourceCPU: {c.plan.cpu, c.plan.sidecarCPU}, corev1.ResourceMemory: {c.plan.memory}} {
		for _, t := range text {
			if t == "" {
				continue
			}
			q := quantities("cpu", t)[corev1.ResourceCPU]
			if name == corev1.ResourceCPU {
				requests[name] += q.MilliValue()
			} else {
				requests[name] += q.Value()
			}
		}
	}
	if len(well) == 0 {
		c.t.Error("metrics-server knew nothing of the replicas that did not fail")
	}
	for pod, s := range well {
		used := int64(0)
		for _, u := range s.Containers {
			if c.plan.metric == corev1.ResourceCPU {
				used += u.CPU
			} else {
				used += u.Memory
			}
		}
		if percent := used * 100 / requests[c.plan.metric]; percent < int64(c.plan.target) {
			c.t.Errorf("replica %s did not fail and used %d %% of its request, less than the target of %d %%: going down may have been right", pod, percent, c.plan.target)
		}
	}
}

func describe(well map[string]sample) string {
	text := ""
	for pod, s := range well {
		for name, u := range s.Containers {
			text += fmt.Sprintf("%s/%s %dm %d MiB; ", pod, name, u.CPU, u.Memory>>20)
		}
	}
	return text
}

// Five of six replicas lose what they need to start. Each lives for 50 s, never gets ready, gives up, and is started
// anew. The native controller counts them, because they were ready once, and their idling looks like little load, while
// the one that is left runs at its limit.
func TestCrashLoopIsNotLittleLoad(t *testing.T) {
	t.Parallel()
	c := newScene(t, "l1", "Five of six replicas crash-loop under load", plan{
		replicas: 6, min: 2, max: 6, metric: corev1.ResourceCPU, target: 40, behavior: rightAway(),
		cpu: "50m", cpuLimit: "50m", memory: "32Mi", memoryLimit: "128Mi", env: map[string]string{"START_DELAY": "8s"},
	})
	for _, s := range c.sides {
		defer s.traffic(7, 20*time.Millisecond, 12)() // 140 thousandths of a core: 47 % of six requests
	}
	c.settle()
	c.fail("crash loop begins", "mended", true, func(ctx context.Context, s *side, pod string) { s.crashLoop(ctx, pod, 50*time.Second) })
	c.judge()
}

// Three of four replicas are killed for their memory at the same time. What is killed starts empty, so the average falls,
// while what the replicas are about to need again has not changed.
func TestOOMKillIsNotLittleMemory(t *testing.T) {
	t.Parallel()
	c := newScene(t, "l2", "Three of four replicas are OOM-killed", plan{
		replicas: 4, min: 1, max: 4, metric: corev1.ResourceMemory, target: 70, behavior: rightAway(),
		cpu: "10m", memory: "64Mi", memoryLimit: "96Mi",
	})
	var all []*caches
	for _, s := range c.sides {
		k := &caches{side: s, size: 48}
		all = append(all, k)
		c.busy.Go(func() { k.run(c.ctx) })
	}
	if err := within(c.ctx, 2*time.Minute, func(context.Context) error {
		for _, k := range all {
			if n := k.filled(); n < int(c.plan.replicas) {
				return fmt.Errorf("%d replicas of %s have filled their memory", n, k.side.name)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c.settle()
	for _, k := range all {
		k.refill()
	}
	c.fail("OOM kills", "full again", false, func(ctx context.Context, s *side, pod string) {
		s.until(ctx, pod, "/memory-leak?rate=400&size=512")
	})
	c.judge()
}

// The main container of five of six replicas cannot run, their sidecar does. metrics-server then knows the sidecar alone,
// and its little usage stands beside the requests of both.
func TestSidecarAloneIsNotLittleLoad(t *testing.T) {
	t.Parallel()
	c := newScene(t, "l3", "Five of six replicas have only their sidecar left", plan{
		replicas: 6, min: 2, max: 6, metric: corev1.ResourceCPU, target: 40, behavior: rightAway(),
		cpu: "50m", cpuLimit: "50m", memory: "32Mi", memoryLimit: "128Mi", sidecarCPU: "10m",
	})
	for _, s := range c.sides {
		defer s.traffic(8, 20*time.Millisecond, 12)() // 160 thousandths of a core: 44 % of six requests
	}
	c.settle()
	c.fail("crash loop begins", "mended", true, func(ctx context.Context, s *side, pod string) { s.crashAtOnce(ctx, pod) })
	c.judge()
}
