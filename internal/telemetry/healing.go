package telemetry

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// settle is how long what Incident said of an incident counts for more than the view of a pass, which may be older.
	settle = 10 * time.Second
	// maxTracked bounds the incidents that are remembered; the store keeps fewer.
	maxTracked = 16384
)

// wards counts incidents, and exposes those that are active with their forecasts, budgets and the breaker. What it exposes is made anew for every
// scrape. Safe for concurrent use.
type wards struct {
	now func() time.Time

	mu sync.Mutex
	// since is when this process began to act; zero: it never did. What happened before was counted by another one.
	since     time.Time
	incidents map[string]*ward // by namespace/name
	forecasts map[contained]incident.Forecast
	budgets   []control.BudgetLeft
	// cluster is nil where the cluster has no budget, or nothing is known of it.
	cluster *int32
	breaker string
	// healed is true once a pass of this leadership has said what it knows.
	healed bool

	opened                   openings
	refusals                 *prometheus.CounterVec
	detection, forecastError *prometheus.HistogramVec

	gauged, active, reason, root, members, toOOM, budget, clusterLeft, breakerOpen, cut series
}

// ward is what is remembered of one incident.
type ward struct {
	namespace, name string
	kind            incident.Kind
	state           incident.State
	workload        cluster.Ref
	container       string
	openedAt        time.Time
	root, reason    string
	members         int32
	forecast        *incident.Forecast
	refused         map[string]struct{}
	touched         time.Time // when Incident last told of it; zero: never
}

// contained is a container of a workload's replicas.
type contained struct {
	workload  string
	container string
}

func newWards(i *instruments, now func() time.Time) *wards {
	gauge := func(name string) series { return i.momentary("homeostat_healing_"+name, Gauge) }
	w := &wards{
		now: now, incidents: map[string]*ward{}, forecasts: map[contained]incident.Forecast{},
		opened:        openings{i.counter("homeostat_healing_incidents_opened_total"), map[opening]time.Time{}},
		refusals:      i.counter("homeostat_healing_refusals_total"),
		detection:     i.histogram("homeostat_healing_detection_seconds"),
		forecastError: i.histogram("homeostat_healing_forecast_error_ratio"),
		gauged:        gauge("incidents"), active: gauge("incident_active"), reason: gauge("incident_reason"), root: gauge("incident_root"),
		members: gauge("incident_members"), toOOM: gauge("seconds_to_oom"), budget: gauge("budget_left"),
		clusterLeft: gauge("cluster_budget_left"), breakerOpen: gauge("breaker_open"),
		cut: i.momentary("homeostat_telemetry_series_cut", Gauge),
	}
	for _, r := range Refusals() {
		w.refusals.WithLabelValues(string(r)) // from 0, so that the first one is an increase
	}
	w.forecastError.WithLabelValues()
	i.reg.MustRegister(moment{
		of: []series{w.gauged, w.active, w.reason, w.root, w.members, w.toOOM, w.budget, w.clusterLeft, w.breakerOpen, w.cut}, collect: w.collect,
	})
	return w
}

// Refusals returns the reasons that homeostat_healing_refusals_total has: those of the guards, and the platform's own.
func Refusals() []healing.Reason {
	return []healing.Reason{
		healing.ReasonObserveOnly, healing.ReasonNoRemedy, healing.ReasonProtected, healing.ReasonNotOwned, healing.ReasonNoEvidence,
		healing.ReasonStaleSnapshot, healing.ReasonDependencyDown, healing.ReasonAlreadyTried, healing.ReasonNotApplicable,
		healing.ReasonNotSupported, healing.ReasonLowConfidence, healing.ReasonBreakerOpen, healing.ReasonStillServing,
		healing.ReasonReplicaGone, healing.ReasonNodeNotReady, healing.ReasonAwaitingOtherWork, healing.ReasonManagedElsewhere,
		healing.ReasonScaledElsewhere, healing.ReasonSizedElsewhere, healing.ReasonRollingOut, healing.ReasonMinHealthy,
		healing.ReasonBlockedByBudget, healing.ReasonBlockedByPDB, healing.ReasonForbidden, healing.ReasonCooldown,
		healing.ReasonBudgetExhausted, healing.ReasonClusterBudget,
	}
}

// leading begins and ends a time of acting: what an earlier one left is not exposed any more.
func (w *wards) leading(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Time{}
	if yes {
		w.since = w.now()
	}
	clear(w.incidents)
	clear(w.forecasts)
	w.budgets, w.cluster, w.breaker, w.healed = nil, nil, "", false
}

// stored counts a stored change of an incident.
func (w *wards) stored(in *incident.Incident) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	id := cluster.IncidentID(in.Namespace, in.Name)
	one, known := w.incidents[id]
	if !known {
		one = &ward{namespace: in.Namespace, name: in.Name}
		w.remember(id, one)
		if in.State.Active() && !in.OpenedAt.Before(w.since) {
			w.open(in, id, now)
		}
	}
	foretold := known && one.kind == incident.MemoryLeak
	one.take(in)
	one.touched = now
	w.refuse(one, in, id)
	w.foretell(in, id, !known || foretold)
}

// remember keeps the incident, and forgets resolved ones where there are too many.
func (w *wards) remember(id string, one *ward) {
	if len(w.incidents) >= maxTracked {
		for other, o := range w.incidents {
			if !o.state.Active() {
				delete(w.incidents, other)
			}
		}
	}
	w.incidents[id] = one
}

func (w *wards) open(in *incident.Incident, id string, now time.Time) {
	w.opened.count(in, id, now)
	if in.Kind.Forecast() || in.Kind == incident.Storm || in.StartedAt.IsZero() {
		return // nothing has failed yet, or others have
	}
	observe(w.detection.WithLabelValues(string(in.Kind)), max(now.Sub(in.StartedAt), 0).Seconds(), exemplar(id))
}

// refuse counts the refusals of the incident's timeline that are not counted yet. Those from before this process acted were
// counted by the one before it.
func (w *wards) refuse(one *ward, in *incident.Incident, id string) {
	for i := range in.Timeline {
		e := &in.Timeline[i]
		if _, counted := one.refused[e.Reason]; counted || !slices.Contains(Refusals(), healing.Reason(e.Reason)) {
			continue
		}
		if one.refused == nil {
			one.refused = map[string]struct{}{}
		}
		one.refused[e.Reason] = struct{}{}
		if !e.At.Before(w.since) {
			count(w.refusals.WithLabelValues(e.Reason), exemplar(id))
		}
	}
}

// foretell keeps the last forecast of a container, and judges it when its container is killed for memory: came is true with the first
// news of the kill. A forecast is void when something was done about it, or when it is withdrawn.
func (w *wards) foretell(in *incident.Incident, id string, came bool) {
	of := contained{workload: in.Workload.String(), container: in.Container()}
	switch {
	case in.Kind == incident.MemoryLeak && (!in.State.Active() || treated(in)):
		delete(w.forecasts, of)
	case in.Kind == incident.MemoryLeak && in.Forecast != nil:
		if _, there := w.forecasts[of]; there || len(w.forecasts) < MaxSeries {
			w.forecasts[of] = *in.Forecast
		}
	case in.Kind == incident.OOMKilled && came:
		f, there := w.forecasts[of]
		if !there {
			return
		}
		delete(w.forecasts, of)
		died := in.StartedAt
		if n := len(in.Subjects); n > 0 {
			died = in.Subjects[n-1].At
		}
		if left := died.Sub(f.At); left > 0 {
			observe(w.forecastError.WithLabelValues(), died.Sub(f.OOMAt).Abs().Seconds()/left.Seconds(), exemplar(id))
		}
	}
}

// treated reports whether something was done after the incident's forecast was made.
func treated(in *incident.Incident) bool {
	return in.Forecast != nil && slices.ContainsFunc(in.Remediations, func(r incident.Remediation) bool {
		return (r.Outcome == incident.Done || r.Outcome == incident.Succeeded) && r.FinishedAt.After(in.Forecast.At)
	})
}

func (o *ward) take(in *incident.Incident) {
	o.kind, o.state, o.workload, o.container, o.openedAt = in.Kind, in.State, in.Workload, in.Container(), in.OpenedAt
	o.root, o.reason, o.members, o.forecast = in.Root, in.Reason, in.MemberCount, in.Forecast
}

// view takes what a pass knows: what it does not know any more is gone.
func (w *wards) view(v *control.HealingView) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	w.budgets, w.cluster, w.breaker, w.healed = v.Budgets, v.Cluster, v.Breaker, true
	seen := make(map[string]struct{}, len(v.Incidents))
	for i := range v.Incidents {
		in := &v.Incidents[i]
		id := cluster.IncidentID(in.Namespace, in.Name)
		seen[id] = struct{}{}
		one, known := w.incidents[id]
		if !known {
			one = &ward{namespace: in.Namespace, name: in.Name}
			w.remember(id, one)
		} else if now.Sub(one.touched) < settle {
			continue
		}
		one.take(in)
		if in.Kind == incident.MemoryLeak {
			w.foretell(in, id, false)
		}
	}
	foretold := make(map[contained]struct{}, len(w.forecasts))
	for id, one := range w.incidents {
		if _, there := seen[id]; !there && now.Sub(one.touched) >= settle {
			delete(w.incidents, id)
			continue
		}
		if one.kind == incident.MemoryLeak && one.state.Active() {
			foretold[contained{one.workload.String(), one.container}] = struct{}{}
		}
	}
	for of := range w.forecasts { // those of a namespace that was deleted are withdrawn by nobody
		if _, there := foretold[of]; !there {
			delete(w.forecasts, of)
		}
	}
}

// collect sends the series of the present moment.
func (w *wards) collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	active := w.listed()
	type group struct {
		namespace string
		kind      incident.Kind
		state     incident.State
	}
	sums := map[group]int{}
	for _, one := range active {
		sums[group{one.namespace, one.kind, one.state}]++
	}
	for g, n := range sums {
		w.gauged.send(ch, float64(n), g.namespace, string(g.kind), string(g.state))
	}
	cut := max(len(active)-MaxSeries, 0)
	w.sendIncidents(ch, active[:len(active)-cut])
	cut += w.sendForecasts(ch, active)
	spent := max(len(w.budgets)-MaxSeries, 0)
	for i := range w.budgets[:len(w.budgets)-spent] {
		b := &w.budgets[i]
		w.budget.send(ch, float64(b.Left), b.Workload.Namespace, b.Policy, b.Workload.Kind, b.Workload.Name)
	}
	w.cut.send(ch, float64(cut+spent))
	if !w.healed {
		return
	}
	if w.cluster != nil {
		w.clusterLeft.send(ch, float64(*w.cluster))
	}
	open := 0.0
	if w.breaker != "" {
		open = 1
	}
	w.breakerOpen.send(ch, open)
}

// listed returns the active incidents in the order in which they get series: those about nodes and the cluster, and others that stand for
// more than themselves, first; then the oldest.
func (w *wards) listed() []*ward {
	active := make([]*ward, 0, len(w.incidents))
	for _, one := range w.incidents {
		if one.state.Active() {
			active = append(active, one)
		}
	}
	rank := func(o *ward) int {
		switch {
		case o.root != "":
			return 2
		case o.members > 0 || o.kind == incident.Storm || o.kind == incident.NodeNotReady:
			return 0
		}
		return 1
	}
	slices.SortFunc(active, func(a, b *ward) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.openedAt.Compare(b.openedAt), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return active
}

// sendIncidents sends what is known of each incident. Of two about one workload with one kind, which two leaders can make, the first counts.
func (w *wards) sendIncidents(ch chan<- prometheus.Metric, list []*ward) {
	type about struct {
		namespace     string
		kind          incident.Kind
		owner, object string
	}
	sent := make(map[about]struct{}, len(list))
	for _, one := range list {
		of := about{one.namespace, one.kind, one.workload.Kind, one.workload.Name}
		if _, twice := sent[of]; twice {
			continue
		}
		sent[of] = struct{}{}
		labels := func(more ...string) []string {
			return append([]string{of.namespace, string(of.kind), of.owner, of.object}, more...)
		}
		role, root := "member", one.root
		if root == "" {
			role, root = "root", cluster.IncidentID(one.namespace, one.name)
		}
		w.active.send(ch, 1, labels(string(one.state))...)
		w.reason.send(ch, 1, labels(one.reason)...)
		w.root.send(ch, 1, labels(role, root)...)
		if one.members > 0 {
			w.members.send(ch, float64(one.members), labels()...)
		}
	}
}

// sendForecasts sends the time that is left of each container with a forecast, and returns how many were left out.
func (w *wards) sendForecasts(ch chan<- prometheus.Metric, list []*ward) (cut int) {
	now := w.now()
	sent := map[contained]struct{}{}
	for _, one := range list {
		if one.kind != incident.MemoryLeak || one.forecast == nil {
			continue
		}
		of := contained{one.workload.String(), one.container}
		if _, twice := sent[of]; twice {
			continue
		}
		if len(sent) >= MaxSeries {
			cut++
			continue
		}
		sent[of] = struct{}{}
		left := max(one.forecast.OOMAt.Sub(now), 0).Seconds()
		w.toOOM.send(ch, left, one.namespace, one.workload.Kind, one.workload.Name, one.container)
	}
	return cut
}
