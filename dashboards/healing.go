package dashboards

import g "github.com/homeostat/homeostat/dashboards/grafana"

func incidents() *g.Dashboard {
	d := g.New(HealingUID, "Homeostat / Incidents and healing", "What fails, why nothing or something was done about it, and what the dead containers wrote.", tag, "now-3h")
	d.Templating.List = append(g.Sources(),
		g.Many("namespace", "Namespace", `label_values({__name__=~"homeostat_healing_incidents|homeostat_healing_incidents_opened_total"}, namespace)`),
		g.Many("workload", "Workload", `label_values({__name__=~"homeostat_healing_incident_active|homeostat_healing_seconds_to_oom", namespace=~"$namespace"}, workload)`))
	changes := records("incident", `=~"$namespace"`) + ` | workload=~"$workload"`
	actions := records("action", `=~"$namespace"`) + ` | name=~"$workload"`
	d.Annotations.List = append(d.Annotations.List,
		g.MarkLines("Incidents", "red", changes+` | reason!~"SeenAgain|ForecastChanged"`, "{{reason}}", "{{message}}", "reason,id"),
		g.MarkLines("Actions", "green", actions, "{{reason}}", "{{message}}", "reason,id"),
		g.MarkMetric("Incidents opened", "orange",
			`sum by (namespace, kind) (`+risen(`homeostat_healing_incidents_opened_total{`+ofNamespaces+`}`, "$__rate_interval")+`) > 0`, "Incident", "{{kind}} in {{namespace}}"),
		stored())

	d.Row("Now")
	d.Add(healingNow()...)
	d.Row("Incidents")
	d.Add(
		g.Table("Active incidents", "What is not resolved, with the reason of its last step; the members of a root fail because of it.", "short",
			[]g.Column{
				field("namespace"), field("workload_kind"),
				linked("workload", "This workload", urlTo(HealingUID, "var-namespace=${__data.fields.namespace}&var-workload=${__data.fields.workload}")),
				field("kind"), field("state"), field("reason"), column("Value #B", "members", "short"),
			},
			g.Now(`max by (namespace, kind, workload_kind, workload, state) (homeostat_healing_incident_active{`+ofWorkloads+`})`),
			g.Now(`max by (namespace, kind, workload_kind, workload) (homeostat_healing_incident_members{`+ofWorkloads+`})`),
			g.Now(`max by (namespace, kind, workload_kind, workload, reason) (homeostat_healing_incident_reason{`+ofWorkloads+`})`)),
		g.Timeline("Incidents over time", "One line for each workload and kind, filled while the incident was active.", "active", "orange",
			g.Query(`max by (namespace, workload, kind) (homeostat_healing_incident_active{`+ofWorkloads+`})`, "{{namespace}}/{{workload}} {{kind}}")),
		g.Stacked("Active incidents by kind and state", "Incidents that are not resolved, of all workloads of the chosen namespaces.", "short",
			g.Query(`sum by (kind, result) (homeostat_healing_incidents{`+ofNamespaces+`}) > 0`, "{{kind}} {{result}}")).Bars(),
	)
	d.Row("Memory and logs")
	d.Add(
		g.Series("Memory against its limit", "Resident memory of each container; dashed: its limit.", "bytes",
			g.Query(`max by (namespace, pod, container) (container_memory_rss{`+ofPods+`})`, "{{pod}}/{{container}}"),
			g.Query(`max by (namespace, pod, container) (kube_pod_container_resource_limits{resource="memory", `+ofPods+`})`+
				` or max by (namespace, pod, container) (container_spec_memory_limit_bytes{`+ofPods+`} > 0)`, "limit of {{pod}}/{{container}}")).
			Size(g.Columns/2, 12).Dashed("limit of .*", "red").Unlisted("limit of .*"),
		g.Logs("Logs of the containers", "What the containers of the chosen workloads wrote, the dead ones too, by the labels that Alloy and Promtail set.",
			`{namespace=~"$namespace", pod=~"($workload)`+podSuffix+`"}`).Size(g.Columns/2, 12),
		g.Series("Time to OOM", "Until each container reaches its memory limit, by its newest forecast; there is a line only while memory grows without load.", "s",
			g.Query(`min by (namespace, workload, container) (homeostat_healing_seconds_to_oom{`+ofWorkloads+`})`, "{{namespace}}/{{workload}} {{container}}")),
		g.Series("Working set as a share of the limit", "What counts towards eviction and, with the cache that cannot be given back, towards the OOM killer.", "percentunit",
			g.Query(`max by (namespace, pod, container) (container_memory_working_set_bytes{`+ofPods+`})`+
				` / on (namespace, pod, container) (max by (namespace, pod, container) (kube_pod_container_resource_limits{resource="memory", `+ofPods+`})`+
				` or max by (namespace, pod, container) (container_spec_memory_limit_bytes{`+ofPods+`} > 0))`, "{{pod}}/{{container}}")).
			TargetLine(1, "red"),
	)
	d.Row("Remediation, of all namespaces")
	d.Add(remediation()...)
	d.Row("How well it sees")
	d.Add(
		g.Series("Time to detection", "From the beginning of a failure to the stored incident: the median and 95 of 100, by kind.", "s",
			g.Query(`histogram_quantile(0.5, sum by (le, kind) (`+risen(`homeostat_healing_detection_seconds_bucket`, "$__rate_interval")+`))`, "{{kind}} median"),
			g.Query(`histogram_quantile(0.95, sum by (le, kind) (`+risen(`homeostat_healing_detection_seconds_bucket`, "$__rate_interval")+`))`, "{{kind}} 95 %")).Points(),
		g.Series("Error of the forecasts", "Of the last forecast before an OOM kill, as a share of the time that remained.", "percentunit",
			g.Query(`histogram_quantile(0.5, sum by (le) (`+risen(`homeostat_healing_forecast_error_ratio_bucket`, "$__range")+`))`, "median"),
			g.Query(`histogram_quantile(0.95, sum by (le) (`+risen(`homeostat_healing_forecast_error_ratio_bucket`, "$__range")+`))`, "95 %")),
		g.Logs("What Homeostat saw and did", "Incidents and actions, as Homeostat writes them to Loki.", records("incident|action", `=~"$namespace"`)+` | (workload=~"$workload" or name=~"$workload")`+short).Size(g.Columns, 9),
	)
	return d
}

func healingNow() []g.Panel {
	return []g.Panel{
		g.Stat("Active", "Incidents that are not resolved.", "short", `sum(homeostat_healing_incidents{`+ofNamespaces+`}) or vector(0)`, g.OrangeFrom(1)),
		g.Stat("Need a person", "Incidents that Homeostat has given up on: the remedies or the budget are exhausted.", "short",
			`sum(homeostat_healing_incidents{`+ofNamespaces+`, result="Abandoned"}) or vector(0)`, g.RedFrom(1)),
		g.Stat("Opened", "Incidents opened within the time range.", "short",
			`round(sum(`+risen(`homeostat_healing_incidents_opened_total{`+ofNamespaces+`}`, "$__range")+`)) or vector(0)`, g.Plain()),
		g.Stat("Next OOM", "Time until the first container reaches its memory limit, by the newest forecasts.", "s",
			`min(homeostat_healing_seconds_to_oom{`+ofWorkloads+`})`, g.RedBelow(3600)),
		g.Stat("Breaker", "Open: so much fails at once that nothing is acted on.", "none", `max(homeostat_healing_breaker_open)`, g.RedFrom(1)).
			Meanings([]string{"closed", "open"}, []string{"green", "red"}),
		g.Stat("Budget of the cluster", "Actions left in the present period.", "short", `max(homeostat_healing_cluster_budget_left)`, g.RedBelow(1)),
	}
}

func remediation() []g.Panel {
	return []g.Panel{
		g.Stacked("Remediations by outcome", "What was done around each time, and what became of it.", "short",
			g.Query(`round(sum by (kind, result) (`+risen(`homeostat_healing_remediations_total`, "$__rate_interval")+`)) > 0`, "{{kind}} {{result}}")).Bars(),
		g.Stacked("Refusals by reason", "Guards that kept Homeostat from acting around each time, once for each incident and reason.", "short",
			g.Query(`round(sum by (reason) (`+risen(`homeostat_healing_refusals_total`, "$__rate_interval")+`)) > 0`, "{{reason}}")).Bars(),
		g.Series("Budgets", "Actions left: of the workloads that spent any, and of the cluster.", "short",
			g.Query(`min by (namespace, workload, policy) (homeostat_healing_budget_left{`+ofWorkloads+`})`, "{{namespace}}/{{workload}}"),
			g.Query(`max(homeostat_healing_cluster_budget_left)`, "cluster")).Dashed("cluster", "orange"),
		g.Timeline("Breaker over time", "Filled while so much failed at once that nothing was acted on.", "open", "red",
			g.Query(`max(homeostat_healing_breaker_open)`, "breaker")).
			Meanings([]string{"closed"}, []string{"green"}),
	}
}
