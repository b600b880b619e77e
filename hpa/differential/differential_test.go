package differential

import (
	"flag"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2" //nolint:depguard // the controller of Kubernetes logs with it
	"k8s.io/kubernetes/pkg/features"
)

var (
	syncs   = flag.Int("syncs", 200_000, "how many syncs to compare at least")
	seed    = flag.Uint64("seed", 1, "of the first case; the others count up from it")
	only    = flag.Bool("case", false, "run the case of -seed alone, with the gates of -gates")
	gating  = flag.Int("gates", 0, "which set of feature gates -case runs with")
	keeping = flag.Bool("keep", false, "keep the smallest case found of each known difference in testdata, where none is")
	replay  = flag.String("replay", "", "run the case in this file alone")
)

// gateSets are the feature gates that are compared under, each with its share of the syncs in percent: all on, as 1.36
// has them by default, all off.
var gateSets = []struct {
	gates Gates
	share int
}{
	{Gates{ScaleToZero: true, Tolerance: true, PodLevel: true}, 60},
	{Gates{Tolerance: true, PodLevel: true}, 25},
	{Gates{}, 15},
}

func TestMain(m *testing.M) {
	flag.Parse()
	klog.SetLogger(logr.Discard())
	utilruntime.ErrorHandlers = nil //nolint:reassign // it is made for that: a sync that fails is nothing to print
	m.Run()
}

// setGates sets the feature gates of the process. Cases of different gates do not run at the same time.
func setGates(t *testing.T, g Gates) {
	t.Helper()
	err := utilfeature.DefaultMutableFeatureGate.SetFromMap(map[string]bool{
		string(features.HPAScaleToZero): g.ScaleToZero, string(features.HPAConfigurableTolerance): g.Tolerance,
		string(features.PodLevelResources):                       g.PodLevel,
		string(features.InPlacePodLevelResourcesVerticalScaling): false, string(features.PodLevelResourceManagers): false,
	})
	if err != nil {
		t.Fatalf("set the feature gates: %v", err)
	}
}

// TestEverySyncIsThatOfKubernetes is the proof: every rule of ours off, what is decided, written and said is the same.
func TestEverySyncIsThatOfKubernetes(t *testing.T) {
	var total stats
	switch {
	case *replay != "":
		t.Skip("-replay is for TestKeptCases")
	case *only:
		setGates(t, gateSets[*gating].gates)
		o := try(t, *seed, *gating, inLoop())
		total.add(&o.stats)
		t.Logf("%+v", total)
		return
	}
	t.Logf("seed %d, at least %d syncs", *seed, *syncs)
	for i := range gateSets {
		setGates(t, gateSets[i].gates)
		s := many(t, i, *syncs*gateSets[i].share/100)
		total.add(&s)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d syncs, %d changes of the number of replicas, %d cases ended by a known difference: %v", total.Syncs, total.Changes, total.Explained, total.Known)
	t.Logf("reasons: %v", total.Reasons)
	t.Logf("metrics: %v", total.Sources)
	t.Logf("faults: %v", total.Faults)
}

// many runs cases side by side until they have had that many syncs, or one differs.
func many(t *testing.T, gates, syncs int) (total stats) {
	t.Helper()
	var lock sync.Mutex
	var next atomic.Uint64
	var done atomic.Int64
	next.Store(*seed)
	t.Run(gateNames(gates), func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				for done.Load() < int64(syncs) && !t.Failed() {
					o := try(t, next.Add(1)-1, gates, inLoop())
					if done.Add(int64(o.syncs)); t.Failed() {
						done.Store(int64(syncs))
					}
					lock.Lock()
					total.add(&o.stats)
					lock.Unlock()
				}
			})
		}
	})
	return total
}

func gateNames(i int) string {
	var on []string
	for _, g := range []struct {
		on   bool
		name string
	}{{gateSets[i].gates.ScaleToZero, "ScaleToZero"}, {gateSets[i].gates.Tolerance, "Tolerance"}, {gateSets[i].gates.PodLevel, "PodLevel"}} {
		if g.on {
			on = append(on, g.name)
		}
	}
	if on == nil {
		return "no gate"
	}
	return strings.Join(on, ",")
}

// try runs the case of a seed, and fails the test with the smallest case that still differs.
func try(t *testing.T, seed uint64, gates int, decide decide) outcome {
	t.Helper()
	c, steps := generate(seed, gateSets[gates].gates)
	o := run(t, c, steps, decide)
	if o.mismatch == nil {
		return o
	}
	if name := explain(t, c, &o, decide); name != "" {
		o.stats.Explained++
		count(&o.stats.Known, name)
		if *keeping {
			keep(t, name, c, &o, decide)
		}
		return o
	}
	t.Errorf("case of seed %d differs in step %d: %s\nagain: go test -run TestEverySyncIsThatOfKubernetes -case -seed=%d -gates=%d\n%s",
		seed, o.mismatch.Step, o.mismatch.What, seed, gates, report(t, c, &o, decide))
	return o
}
