//go:build e2e

package beside

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// reaction is what one side did about one step of load. Times are seconds after the first request.
type reaction struct {
	Run   int     `json:"run"`
	By    string  `json:"by"`
	Write float64 `json:"write"` // to the first larger number of replicas in the Deployment's spec
	Asked float64 `json:"asked"` // until it asked for enough of them
	Ready float64 `json:"ready"` // until enough of them were ready
	// Points is the whole curve.
	Points []point `json:"points"`
}

// reactions is the record of a measurement.
type reactions struct {
	Kubernetes string                        `json:"kubernetes"`
	Recorded   string                        `json:"recorded"`
	From       int32                         `json:"from"`
	Enough     int32                         `json:"enough"`
	Load       string                        `json:"load"`
	Runs       []reaction                    `json:"runs"`
	Summary    map[string]map[string]summary `json:"summary"` // by whom, and which time
}

// summary of the same time in all runs, in seconds.
type summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// TestReaction measures; what it asserts is that everybody reacts at all. Each run is a set of new Deployments, one for each
// way to scale, that get the same load at the same moment. That moment is chosen at random, so that it falls anywhere
// between two scrapes and two decisions.
func TestReaction(t *testing.T) {
	runs, err := strconv.Atoi(fromEnv(envRuns, "0"))
	if err != nil {
		t.Fatalf("%s: %v", envRuns, err)
	}
	if runs == 0 {
		t.Skipf("nothing to measure: %s is not set", envRuns)
	}
	atOnce, err := strconv.Atoi(fromEnv(envAtOnce, "2"))
	if err != nil || atOnce < 1 {
		t.Fatalf("%s: a number of at least 1 is needed: %v", envAtOnce, err)
	}
	p := &plan{replicas: 1, min: 1, max: 3, metric: corev1.ResourceCPU, target: 40, cpu: "100m", memory: "32Mi", memoryLimit: "128Mi"}
	out := &reactions{
		Kubernetes: env.version, Recorded: time.Now().UTC().Format(time.DateOnly), From: p.replicas, Enough: p.max,
		Load: "12 requests/s of 10 ms CPU time each; target 40 % of requests of 100m",
	}
	var mu sync.Mutex
	for first := 0; first < runs; first += atOnce {
		t.Run(fmt.Sprintf("from-%d", first+1), func(t *testing.T) { // it ends when all of its runs have
			for run := first + 1; run <= min(first+atOnce, runs); run++ {
				t.Run(strconv.Itoa(run), func(t *testing.T) {
					t.Parallel()
					found := measure(t, run, p)
					mu.Lock()
					defer mu.Unlock()
					out.Runs = append(out.Runs, found...)
				})
			}
		})
	}
	out.summarise()
	save(t, "reaction.json", out)
	out.print()
}

// measure is one run.
func measure(t *testing.T, run int, p *plan) (found []reaction) {
	t.Helper()
	var sides []*side
	var curves []*curve
	for _, by := range []string{stock, homeostat, app} {
		s := newSide(t, "reaction", by, p)
		sides, curves = append(sides, s), append(curves, record(t, s))
	}
	for _, s := range sides {
		if _, err := s.awaitReady(p.replicas, 2*time.Minute); err != nil {
			t.Fatalf("%s: %v", s.by, err)
		}
		s.autoscale()
	}
	for _, s := range sides {
		s.awaitJudged()
	}
	// Every replica has been watched for a full window since it became ready, and the moment is anybody's.
	if !pause(t.Context(), 15*time.Second+rand.N(30*time.Second)) { //nolint:gosec // no secret
		t.Fatal(t.Context().Err())
	}
	var waiting sync.WaitGroup
	late := make([]error, len(sides))
	step := time.Now()
	for i, s := range sides {
		stop := s.traffic(12, 10*time.Millisecond, 64)
		waiting.Go(func() {
			defer stop() // what has enough leaves the machine to the others
			_, late[i] = s.awaitReady(p.max, 4*time.Minute)
		})
	}
	waiting.Wait()
	for i, s := range sides {
		if late[i] != nil {
			t.Errorf("%s did not react: %v", s.by, late[i])
			continue
		}
		curves[i].since(step, nil)
		r, ok := curves[i].reaction(p)
		if !ok {
			t.Errorf("%s went up before the load did: %+v", s.by, curves[i].Points)
			continue
		}
		r.Run, r.By = run, s.by
		found = append(found, r)
		t.Logf("%s: first write %.1f s, enough asked for %.1f s, enough ready %.1f s", r.By, r.Write, r.Asked, r.Ready)
	}
	return found
}

// reaction reads the times off a curve; ok is false if it went up before the step.
func (c *curve) reaction(p *plan) (r reaction, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.Points {
		if at.T < 0 && at.Replicas > p.replicas {
			return r, false
		}
		if r.Write == 0 && at.Replicas > p.replicas {
			r.Write = at.T
		}
		if r.Asked == 0 && at.Replicas >= p.max {
			r.Asked = at.T
		}
		if r.Ready == 0 && at.Ready >= p.max {
			r.Ready = at.T
		}
	}
	r.Points = slices.Clone(c.Points)
	return r, true
}

// times that are summarised.
func (r *reaction) times() map[string]float64 {
	return map[string]float64{"write": r.Write, "asked": r.Asked, "ready": r.Ready}
}

func (o *reactions) summarise() {
	slices.SortFunc(o.Runs, func(a, b reaction) int { return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.By, b.By)) })
	all := map[string]map[string][]float64{}
	for i := range o.Runs {
		r := &o.Runs[i]
		if all[r.By] == nil {
			all[r.By] = map[string][]float64{}
		}
		for name, v := range r.times() {
			all[r.By][name] = append(all[r.By][name], v)
		}
	}
	o.Summary = map[string]map[string]summary{}
	for by, times := range all {
		o.Summary[by] = map[string]summary{}
		for name, v := range times {
			slices.Sort(v)
			middle := (v[(len(v)-1)/2] + v[len(v)/2]) / 2
			o.Summary[by][name] = summary{Median: middle, Min: v[0], Max: v[len(v)-1]}
		}
	}
}

// print writes the table of the documentation.
func (o *reactions) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	defer func() { _ = w.Flush() }()
	fmt.Fprintf(w, "\n%d to %d replicas, %s; seconds, median (least to most)\n\n", o.From, o.Enough, o.Load)
	fmt.Fprintln(w, "| scaled by\t| runs\t| first write\t| ratio\t| enough asked for\t| enough ready\t| ratio\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, by := range []struct{ key, words string }{
		{stock, "native HPA, metrics-server"}, {homeostat, "Homeostat, kubelet"}, {app, "Homeostat, the app's page"},
	} {
		s, ok := o.Summary[by.key]
		if !ok {
			continue
		}
		n := 0
		for i := range o.Runs {
			if o.Runs[i].By == by.key {
				n++
			}
		}
		ratio := func(name string) string {
			if by.key == stock || o.Summary[stock] == nil {
				return ""
			}
			return fmt.Sprintf("1 / %.1f", o.Summary[stock][name].Median/s[name].Median)
		}
		fmt.Fprintf(w, "| %s\t| %d\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n", by.words, n, s["write"], ratio("write"), s["asked"], s["ready"], ratio("ready"))
	}
}

// String returns the summary as the table has it.
func (s summary) String() string { return fmt.Sprintf("%.1f (%.1f to %.1f)", s.Median, s.Min, s.Max) }
