package score

import (
	"slices"
	"testing"

	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/internal/incident"
)

const recordings = "../testdata/recordings"

// TestEveryRecordingIsToldAndNoActionHarms is what users rely on: no action ever harms, what is well opens no incident, and every
// recorded failure is found but for those that are known.
func TestEveryRecordingIsToldAndNoActionHarms(t *testing.T) {
	all, err := corpus.ReadAll(recordings)
	if err != nil {
		t.Fatal(err)
	}
	known := KnownFaults()
	seen := map[string]bool{}
	for _, rec := range all {
		seen[rec.Kind+"/"+rec.Name] = true
		t.Run(rec.Kind+"/"+rec.Name, func(t *testing.T) {
			t.Parallel()
			out, err := Replay(t.Context(), rec, Policy())
			if err != nil {
				t.Fatal(err)
			}
			r := Judge(out)
			for _, a := range r.Harms() {
				t.Errorf("harm at %s: %s of %s: %s", a.At.Format("15:04:05"), a.Action.Remedy, a.Action.Workload, a.Harm)
			}
			if r.Row() == None {
				for i := range r.Final {
					t.Errorf("a control opened the incident %s: %s", r.Final[i].Kind, r.Final[i].Cause)
				}
				return
			}
			why, listed := known[r.Name()]
			faulty := len(r.Missed) > 0 || len(r.Extra) > 0
			switch {
			case faulty && !listed:
				t.Errorf("missed %v, found too %v; found %v", r.Missed, r.Extra, r.Kinds())
			case !faulty && listed:
				t.Errorf("it is right now and still listed as a known fault: %s", why)
			}
		})
	}
	for name := range known {
		if !seen[name] {
			t.Errorf("known fault %q is no recording", name)
		}
	}
}

// What becomes of a person's tool in a replica is told of the tool, and nothing is done for it, nor for what it takes with it.
func TestNothingIsDoneForAPersonsTool(t *testing.T) {
	for _, name := range []string{"ImagePull/debug-container", "JobFailed/debug-container", "OOMKilled/debug-container", "OOMKilled/beside-debug-container"} {
		rec, err := corpus.Read(recordings + "/" + name + ".jsonl.gz")
		if err != nil {
			t.Fatal(err)
		}
		out, err := Replay(t.Context(), rec, Policy())
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Acts) > 0 {
			t.Errorf("%s: something was done: %+v", name, out.Acts)
		}
		if !slices.ContainsFunc(out.Final, func(in incident.Incident) bool { return in.Container() == "debugger" }) {
			t.Errorf("%s: no incident names the tool", name)
		}
	}
}

// Every kind of failure is in the corpus at least three times, and there are enough controls.
func TestTheCorpusIsComplete(t *testing.T) {
	all, err := corpus.ReadAll(recordings)
	if err != nil {
		t.Fatal(err)
	}
	counts, controls, hard := map[string]int{}, 0, 0
	for _, rec := range all {
		if len(rec.Label.Want) == 0 {
			controls++
		}
		for _, want := range rec.Label.Want {
			counts[want.Kind]++
		}
		if rec.Label.Hard != "" {
			hard++
		}
	}
	for _, k := range incident.Kinds() {
		if k == incident.CPUThrottled || k == incident.RestartRate || k == incident.Storm {
			continue // forecasts without a failure, and what is about more than one namespace
		}
		if counts[string(k)] < 3 {
			t.Errorf("%s is in %d recordings, want 3 at least", k, counts[string(k)])
		}
	}
	if controls < 6 || hard < 11 {
		t.Errorf("%d controls and %d hard cases, want 6 and 11 at least", controls, hard)
	}
}

// The same recording gives the same incidents and actions, however the plans of its workloads are interleaved.
func TestAReplayDoesNotDependOnChance(t *testing.T) {
	rec, err := corpus.Read(recordings + "/CrashLoop/release.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	names := func() (out []string) {
		o, err := Replay(t.Context(), rec, Policy())
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Final {
			out = append(out, o.Final[i].Name+" "+string(o.Final[i].State)+" "+o.Final[i].Cause)
		}
		for _, a := range o.Acts {
			out = append(out, string(a.Action.Remedy)+" "+a.Action.RemediationID)
		}
		return out
	}
	first := names()
	if len(first) == 0 {
		t.Fatal("nothing was found")
	}
	for range 3 {
		if again := names(); !slices.Equal(first, again) {
			t.Errorf("got %v, then %v", first, again)
		}
	}
}
