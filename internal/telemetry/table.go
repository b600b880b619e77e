package telemetry

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// MaxSeries is how many series about workloads each metric of an incident, a forecast or a budget has at most. What is left out is counted in
// homeostat_telemetry_series_cut.
const MaxSeries = 1000

// The names that stand in more than one place.
const (
	nameDecisions    = "homeostat_autoscaler_decisions_total"
	nameScaleErrors  = "homeostat_autoscaler_scale_errors_total"
	nameActive       = "homeostat_healing_incident_active"
	nameQueueDropped = "homeostat_queue_dropped_total"
)

// What labels can be, and so how many series there are.
const (
	boundNamespaces  = "the namespaces that are watched"
	boundAutoscalers = "`Autoscaler`, or `HorizontalPodAutoscaler` for a native HPA"
	boundNames       = "one of each Autoscaler and native HPA; its series end with it"
	boundReasons     = "the reasons of decisions, below"
	boundFindings    = "the kinds of [healing.md](healing.md#kinds): 31"
	boundStates      = "`Open`, `Acting`, `Verifying`, `Abandoned`"
	boundWorkload    = "workloads with an active incident, a forecast or a spent budget: 1,000 of each at most"
	boundOwners      = "kinds of workload, and `Node` and `Cluster`"
	boundSteps       = "the reasons of the healing engine: fewer than 50"
	boundLoops       = "`scaling`, `healing`"
)

// Metrics returns the table of all metrics that Homeostat exposes about itself. The registry is built from it, docs/metrics.md is generated
// from it, and rules and dashboards may use what is in it and nothing else.
func Metrics() []Metric {
	out := autoscalerMetrics()
	out = append(out, healingMetrics()...)
	return append(out, controllerMetrics()...)
}

func autoscalerMetrics() []Metric {
	who := []Label{{"namespace", boundNamespaces}, {"kind", boundAutoscalers}, {"name", boundNames}}
	why := []Label{who[0], who[1], who[2], {"reason", boundReasons}}
	gauge := func(name, unit, help string, labels []Label) Metric {
		return Metric{Name: "homeostat_autoscaler_" + name, Type: Gauge, Part: Autoscalers, Unit: unit, Help: help, Labels: labels}
	}
	return []Metric{
		gauge("min_replicas", "replicas", "Lowest number of replicas that the policy allows.", who),
		gauge("max_replicas", "replicas", "Highest number of replicas that the policy allows.", who),
		gauge("current_replicas", "replicas", "Replicas that the target asks for.", who),
		gauge("proposed_replicas", "replicas", "Replicas that the metrics alone ask for.", who),
		gauge("limited_replicas", "replicas", "Replicas after stabilization, rate limits and bounds, before health rules and pauses.", who),
		gauge("desired_replicas", "replicas", "Replicas that were decided.", who),
		gauge("reason", "", "Reason of the last decision, as a label; always 1, and gone when there is another one.", why),
		gauge("decision_age_seconds", "seconds", "Time since a number of replicas was last decided.", who),
		gauge("metric_age_seconds", "seconds", "Age of the oldest sample that the last decision used.", who),
		gauge("fallback_metrics", "metrics", "Metrics of the last decision for which a fallback stood in.", who),
		gauge("failing_metrics", "metrics", "Metrics that could not be computed in the last decision.", who),
		{Name: nameDecisions, Type: Counter, Part: Autoscalers, Unit: "decisions", Help: "Decisions by reason.", Labels: why},
		{
			Name: nameScaleErrors, Type: Counter, Part: Autoscalers, Unit: "decisions",
			Help: "Decisions whose target could not be observed or written.", Labels: who,
		},
	}
}

func healingMetrics() []Metric {
	kind := Label{"kind", boundFindings}
	in := Label{"namespace", boundNamespaces}
	workload := []Label{{"workload_kind", boundOwners}, {"workload", boundWorkload}}
	incident := append([]Label{in, kind}, workload...)
	with := func(list []Label, more ...Label) []Label { return append(slices.Clip(list), more...) }
	metric := func(name string, of Type, unit, help string, labels ...Label) Metric {
		return Metric{Name: "homeostat_healing_" + name, Type: of, Part: Healing, Unit: unit, Help: help, Labels: labels}
	}
	out := []Metric{
		metric("incidents", Gauge, "incidents", "Active incidents by kind and state.", in, kind, Label{"result", boundStates}),
		metric("incidents_opened_total", Counter, "incidents", "Incidents opened by kind.", in, kind),
		metric("remediations_total", Counter, "remediations", "Remediations by what became of them.",
			Label{"kind", "the remedies: 9"}, Label{"result", "the outcomes: 6"}, Label{"reason", boundSteps}),
		metric("incident_active", Gauge, "", "1 for each active incident.", with(incident, Label{"state", boundStates})...),
		metric("incident_reason", Gauge, "", "Reason of the last step of each active incident, as a label; always 1.",
			with(incident, Label{"reason", boundSteps})...),
		metric("incident_root", Gauge, "", "The incident that each active one follows from, as a label: itself where it is a root; always 1.",
			with(incident, Label{"role", "`root`, or `member` of another incident"}, Label{"root", "names of active incidents, as `namespace/name`"})...),
		metric("incident_members", Gauge, "workloads", "Workloads that fail because of an active incident.", incident...),
		metric("seconds_to_oom", Gauge, "seconds", "Time until a container reaches its memory limit, by the newest forecast; 0: it should have by now.",
			append([]Label{in}, with(workload, Label{"container", "containers of such a workload"})...)...),
		metric("forecast_error_ratio", Histogram, "ratio", "Error of the last forecast before an OOM kill, as a share of the time that was left."),
		metric("refusals_total", Counter, "refusals", "Guards that refused a remedy, once for each incident and reason.",
			Label{"reason", "the reasons of guards: 27"}),
		metric("budget_left", Gauge, "actions", "Actions that are left of the budgets of workloads that have spent any.",
			append([]Label{in, {"policy", "HealingPolicies of the namespace; empty for the default"}}, workload...)...),
		metric("cluster_budget_left", Gauge, "actions", "Actions that are left of the budget of the cluster."),
		metric("breaker_open", Gauge, "", "1 while so much fails that no remedy is carried out anywhere."),
		metric("detection_seconds", Histogram, "seconds", "Time from the beginning of a failure to its stored incident.", kind),
	}
	for i := range out {
		switch out[i].Name {
		case "homeostat_healing_forecast_error_ratio":
			out[i].Buckets = []float64{0.05, 0.1, 0.2, 0.5, 1, 2, 5}
		case "homeostat_healing_detection_seconds":
			out[i].Buckets = []float64{0.5, 1, 2, 5, 10, 30, 60, 300}
		}
	}
	return out
}

func controllerMetrics() []Metric {
	metric := func(name string, of Type, unit, help string, labels ...Label) Metric {
		return Metric{Name: "homeostat_" + name, Type: of, Part: Controller, Unit: unit, Help: help, Labels: labels}
	}
	loop, queue := Label{"loop", boundLoops}, Label{"queue", "`journal`, `loki`, `alerts`, `annotations`: those that are configured"}
	result := Label{"result", "`ok`, `error`"}
	passes := metric("platform_pass_duration_seconds", Histogram, "seconds", "Duration of one pass of a loop.", loop)
	passes.Buckets = prometheus.ExponentialBuckets(0.0005, 4, 8)
	scrapes := metric("metrics_scrape_duration_seconds", Histogram, "seconds", "Duration of one scrape of one node.")
	scrapes.Buckets = prometheus.ExponentialBuckets(0.002, 2.5, 9)
	return []Metric{
		metric("build_info", Gauge, "", "The version that runs, as a label; always 1.", Label{"version", "one"}),
		metric("platform_leader", Gauge, "", "1 while this process is the one that acts."),
		passes,
		metric("platform_pass_errors_total", Counter, "passes", "Passes of a loop that ended early.", loop),
		metric("platform_pass_lag_seconds", Gauge, "seconds", "Time since the last pass of a loop ended.", loop),
		metric("platform_api_requests_total", Counter, "requests", "Requests to the API server by verb and status.",
			Label{"verb", "`get`, `watch`, `create`, `update`, `patch`, `delete`, `proxy` (answered by what is behind the API server), `other`"},
			Label{"code", "status codes of HTTP; `error` where no answer came"}),
		metric("platform_journal_dropped_total", Counter, "records", "Journal records that did not fit into the queue."),
		metric("queue_length", Gauge, "records", "Records that wait in a queue.", queue),
		metric("queue_dropped_total", Counter, "records", "Records that a queue had no room for, or that could not be delivered.", queue),
		metric("notifications_total", Counter, "notifications", "Notifications by what became of them.",
			Label{"receiver", "the receivers of the configuration"}, Label{"result", "`sent`, `failed`"}),
		metric("metrics_scrapes_total", Counter, "scrapes", "Scrapes of nodes by result.", result),
		scrapes,
		metric("metrics_samples_total", Counter, "samples", "Container samples read from nodes."),
		metric("telemetry_series_cut", Gauge, "series", "Incidents, forecasts and budgets that have no series because there are too many."),
	}
}
