package telemetry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

func itoa(n int) string { return strconv.Itoa(n) }

// dying is a container that was killed for memory two seconds ago, and whose incident is opened now.
func dying(workload string, now time.Time) incident.Incident {
	died := now.Add(-2 * time.Second)
	in := incident.Incident{
		Namespace: "demo", Name: workload + "-oomkilled-1", Kind: incident.OOMKilled, State: incident.Open,
		Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: workload}, OpenedAt: now, StartedAt: died, LastSeenAt: died,
	}
	in.Concern(incident.Subject{Replica: workload + "-x", Container: "app", At: died})
	in.Note(now, string(healing.ReasonOpened), "killed")
	in.Note(now, string(healing.ReasonCooldown), "waits")
	in.Say(string(healing.ReasonCooldown), "waits")
	return in
}

// leaking is a container that will reach its memory limit in 1000 seconds.
func leaking(workload string, now time.Time) incident.Incident {
	in := incident.Incident{
		Namespace: "demo", Name: workload + "-memoryleak-1", Kind: incident.MemoryLeak, State: incident.Open,
		Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: workload}, OpenedAt: now, StartedAt: now.Add(-time.Hour),
		Forecast: &incident.Forecast{At: now, OOMAt: now.Add(1000 * time.Second)},
	}
	in.Concern(incident.Subject{Replica: workload + "-x", Container: "app", At: now})
	in.Note(now, string(healing.ReasonOpened), "grows")
	in.Say(string(healing.ReasonOpened), "grows")
	return in
}

// healingSeries returns what is exposed under homeostat_healing_, without that name, each as name{values of labels} value; of a histogram
// count and sum.
func (r *recording) healingSeries(names ...string) []string {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "homeostat_healing_")
		if !ours || !slices.Contains(names, name) {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			if v := m.GetGauge().GetValue() + m.GetCounter().GetValue(); f.GetType() == dto.MetricType_GAUGE || v != 0 {
				all = append(all, fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), v))
			}
			if h := m.GetHistogram(); h.GetSampleCount() > 0 {
				all = append(all, fmt.Sprintf("%s{%s} %d of %v", name, strings.Join(labels, ","), h.GetSampleCount(), h.GetSampleSum()))
			}
		}
	}
	return all
}

func (r *recording) want(what, names string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.healingSeries(strings.Fields(names)...)); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAnIncidentHasSeriesWhileItIsActive(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.Leading(true)
		in := dying("web", time.Now())
		r.Incident(in)
		r.Incident(in)
		const names = "incidents incident_active incident_reason incident_root incidents_opened_total refusals_total detection_seconds"
		r.want("after two stores of one incident", names,
			"detection_seconds{OOMKilled} 1 of 2",
			"incident_active{OOMKilled,demo,Open,web,Deployment} 1",
			"incident_reason{OOMKilled,demo,Cooldown,web,Deployment} 1",
			"incident_root{OOMKilled,demo,root,demo/web-oomkilled-1,web,Deployment} 1",
			"incidents{OOMKilled,demo,Open} 1",
			"incidents_opened_total{OOMKilled,demo} 1",
			"refusals_total{Cooldown} 1",
		)
		in.State, in.Root = incident.Acting, "demo/db-crashloop-1"
		in.Note(time.Now(), string(healing.ReasonCooldown), "waits again")
		in.Note(time.Now(), string(healing.ReasonMinHealthy), "too few")
		in.Say(string(healing.ReasonMinHealthy), "too few")
		r.Incident(in)
		r.want("after another state, root and reason", names,
			"detection_seconds{OOMKilled} 1 of 2",
			"incident_active{OOMKilled,demo,Acting,web,Deployment} 1",
			"incident_reason{OOMKilled,demo,MinHealthy,web,Deployment} 1",
			"incident_root{OOMKilled,demo,member,demo/db-crashloop-1,web,Deployment} 1",
			"incidents{OOMKilled,demo,Acting} 1",
			"incidents_opened_total{OOMKilled,demo} 1",
			"refusals_total{Cooldown} 1", "refusals_total{MinHealthy} 1",
		)
		in.State = incident.Resolved
		r.Incident(in)
		r.want("after the end", "incidents incident_active incident_reason incident_root incidents_opened_total", "incidents_opened_total{OOMKilled,demo} 1")
	})
}

func TestAPassCorrectsWhatIsKnownOfIncidents(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.Leading(true)
		old, fresh := dying("old", time.Now().Add(-time.Hour)), dying("fresh", time.Now())
		r.Incident(fresh)
		r.Healed(control.HealingView{Incidents: []incident.Incident{old}})
		r.want("an incident of an earlier leader is gauged and not counted, and one that the view does not know yet stays",
			"incident_active incidents_opened_total refusals_total",
			"incident_active{OOMKilled,demo,Open,fresh,Deployment} 1", "incident_active{OOMKilled,demo,Open,old,Deployment} 1",
			"incidents_opened_total{OOMKilled,demo} 1", "refusals_total{Cooldown} 1")
		time.Sleep(time.Second)
		old.Note(time.Now(), string(healing.ReasonMinHealthy), "too few")
		r.Incident(old)
		r.want("what an earlier leader refused is not counted again, what this one refuses is", "incidents_opened_total refusals_total",
			"incidents_opened_total{OOMKilled,demo} 1", "refusals_total{Cooldown} 1", "refusals_total{MinHealthy} 1")
		fresh.State = incident.Resolved
		r.Incident(fresh)
		r.Healed(control.HealingView{Incidents: []incident.Incident{old, dying("fresh", time.Now())}})
		r.want("a view that is older than the store does not bring it back", "incident_active", "incident_active{OOMKilled,demo,Open,old,Deployment} 1")
		time.Sleep(settle)
		r.Healed(control.HealingView{})
		r.want("what the view does not know any more is gone", "incident_active")
		if n := len(r.wards.incidents); n != 0 {
			t.Errorf("%d incidents are remembered", n)
		}
	})
}

func TestAStandbyHasNoIncidentsNoBudgetsAndNoLag(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		const names = "incident_active breaker_open cluster_budget_left budget_left seconds_to_oom"
		left := int32(0)
		r.want("before it acts", names)
		r.Leading(true)
		r.Healed(control.HealingView{
			Incidents: []incident.Incident{leaking("web", time.Now())}, Cluster: &left, Breaker: "a storm",
			Budgets: []control.BudgetLeft{{Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "web"}, Policy: "p", Left: 1}},
		})
		time.Sleep(30 * time.Second)
		r.want("while it acts", names, "breaker_open{} 1", "budget_left{demo,p,web,Deployment} 1", "cluster_budget_left{} 0",
			"incident_active{MemoryLeak,demo,Open,web,Deployment} 1", "seconds_to_oom{app,demo,web,Deployment} 970")
		time.Sleep(time.Hour)
		r.want("long after the time", "seconds_to_oom", "seconds_to_oom{app,demo,web,Deployment} 0")
		r.Healed(control.HealingView{})
		r.want("when all is well", names, "breaker_open{} 0")
		r.Turned("healing", time.Millisecond, nil)
		time.Sleep(5 * time.Second)
		if got := lag(r); got != "healing 5 scaling 3635" {
			t.Errorf("lag %q, want five seconds since the last pass of one, and all of the time for the other", got)
		}
		r.Leading(false)
		r.want("on the standby", names)
		if got := lag(r); got != "" {
			t.Errorf("a standby lags by %q", got)
		}
	})
}

func lag(r *recording) string {
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		if f.GetName() == "homeostat_platform_pass_lag_seconds" {
			for _, m := range f.GetMetric() {
				out = append(out, fmt.Sprint(m.GetLabel()[0].GetValue(), " ", m.GetGauge().GetValue()))
			}
		}
	}
	return strings.Join(out, " ")
}

func TestAForecastIsJudgedByTheKillThatFollows(t *testing.T) {
	t.Parallel()
	// The kill comes after 800 of the 1000 seconds: 200 of 800 is a quarter.
	const quarter = "forecast_error_ratio{} 1 of 0.25"
	tests := []struct {
		name string
		tell func(r *recording, leak incident.Incident)
		want []string
	}{
		{"the incident becomes one of the kill", func(r *recording, leak incident.Incident) {
			leak.Kind = incident.OOMKilled
			leak.Concern(incident.Subject{Replica: "web-x", Container: "app", At: time.Now()})
			r.Incident(leak)
			r.Incident(leak)
		}, []string{quarter}},
		{"the kill has an incident of its own", func(r *recording, _ incident.Incident) {
			r.Incident(dying("web", time.Now().Add(2*time.Second)))
			r.Incident(dying("web", time.Now().Add(2*time.Second)))
		}, []string{quarter}},
		{"another workload is killed", func(r *recording, _ incident.Incident) { r.Incident(dying("api", time.Now())) }, nil},
		{"the forecast is withdrawn before", func(r *recording, leak incident.Incident) {
			leak.State = incident.Resolved
			r.Incident(leak)
			r.Incident(dying("web", time.Now()))
		}, nil},
		{"something was done about it", func(r *recording, leak incident.Incident) {
			leak.Remediations = []incident.Remediation{{Outcome: incident.Done, FinishedAt: time.Now()}}
			r.Incident(leak)
			r.Incident(dying("web", time.Now()))
		}, nil},
		{"a dry run changes nothing", func(r *recording, leak incident.Incident) {
			leak.Remediations = []incident.Remediation{{Outcome: incident.DryRun, FinishedAt: time.Now()}}
			r.Incident(leak)
			r.Incident(dying("web", time.Now().Add(2*time.Second)))
		}, []string{quarter}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			recorded(t, 60, func(r *recording) {
				r.Leading(true)
				leak := leaking("web", time.Now())
				r.Incident(leak)
				time.Sleep(800 * time.Second)
				tt.tell(r, leak.Clone())
				r.want("", "forecast_error_ratio", tt.want...)
			})
		})
	}
}

// A namespace is deleted with all that is in it, and nobody says that its incidents are over. One of the same names is another one.
func TestADeletedNamespaceLeavesNothing(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.Leading(true)
		leak := leaking("web", time.Now())
		r.Incident(leak)
		r.Incident(dying("api", time.Now()))
		r.Healed(control.HealingView{Incidents: []incident.Incident{leak}})
		time.Sleep(settle)
		r.Healed(control.HealingView{Incidents: []incident.Incident{leak}})
		const names = "incidents incident_active incident_reason incident_root seconds_to_oom forecast_error_ratio"
		r.want("while one is there", names,
			"incident_active{MemoryLeak,demo,Open,web,Deployment} 1",
			"incident_reason{MemoryLeak,demo,"+string(healing.ReasonOpened)+",web,Deployment} 1",
			"incident_root{MemoryLeak,demo,root,demo/web-memoryleak-1,web,Deployment} 1", "incidents{MemoryLeak,demo,Open} 1",
			"seconds_to_oom{app,demo,web,Deployment} 990")
		r.Healed(control.HealingView{})
		r.want("after the namespace is gone", names)
		r.Incident(dying("web", time.Now()))
		r.want("a kill of another one of the name judges no forecast of the old one", "forecast_error_ratio")
		if n := len(r.wards.forecasts); n != 0 {
			t.Errorf("%d forecasts are remembered", n)
		}
	})
}

func TestAForecastOfAnEarlierLeaderIsJudgedToo(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.Leading(true)
		r.Healed(control.HealingView{Incidents: []incident.Incident{leaking("web", time.Now())}})
		time.Sleep(500 * time.Second)
		r.Incident(dying("web", time.Now().Add(2*time.Second)))
		r.want("twice the time that was left", "forecast_error_ratio", "forecast_error_ratio{} 1 of 1")
	})
}

// What was only seen again has no new step: its line is of now all the same, or Loki refuses it as too far behind.
func TestTheLineOfAnIncidentThatLastsIsOfNow(t *testing.T) {
	t.Parallel()
	var lines []journal.Record
	j := journal.New()
	j.Also(func(r journal.Record) { lines = append(lines, r) })
	tel := New(prometheus.NewRegistry(), j, 60, "v1")
	before := time.Now()
	in := dying("web", before.Add(-3*time.Hour))
	in.LastSeenAt = before
	tel.Incident(in)
	if len(lines) != 1 || lines[0].Time.Before(before) {
		t.Errorf("the lines are of %v, want one of now", lines)
	}
}
