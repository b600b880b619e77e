package control

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/incident"
)

// notes writes down what it is told.
type notes struct {
	name string
	all  *[]string
}

func (n notes) note(format string, args ...any) {
	*n.all = append(*n.all, n.name+" "+fmt.Sprintf(format, args...))
}

func (n notes) Decided(a Autoscaler, obs hpa.Observation, before hpa.History, rec hpa.Recommendation, err error) {
	n.note("decided %s %d %d %s %v", a.Mode, obs.Current, len(before.Recommendations), rec.Reason, err)
}
func (n notes) Incident(in incident.Incident) { n.note("incident %s", in.Name) }
func (n notes) Acted(a healing.Action, r healing.Result, at time.Time) {
	n.note("acted %s %s %d", a.Incident, r.Outcome, at.Unix())
}
func (n notes) Healed(v HealingView) { n.note("healed %s", v.Breaker) }
func (n notes) Turned(loop string, took time.Duration, err error) {
	n.note("turned %s %s %v", loop, took, err)
}

func TestATeeTellsEveryRecorderEverything(t *testing.T) {
	t.Parallel()
	var all []string
	r := Tee(notes{"one", &all}, nil, notes{"two", &all})
	r.Decided(Autoscaler{Mode: Paused}, hpa.Observation{Current: 3}, hpa.History{}, hpa.Recommendation{Reason: "x"}, errors.New("e"))
	r.Incident(incident.Incident{Name: "web"})
	r.Acted(healing.Action{Incident: "web"}, healing.Result{Outcome: incident.Done}, time.Unix(7, 0))
	r.Healed(HealingView{Breaker: "storm"})
	r.Turned("healing", time.Second, nil)
	var want []string
	for _, what := range []string{"decided Paused 3 0 x e", "incident web", "acted web Done 7", "healed storm", "turned healing 1s <nil>"} {
		want = append(want, "one "+what, "two "+what)
	}
	if d := cmp.Diff(want, all); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
