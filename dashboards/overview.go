package dashboards

import g "github.com/homeostat/homeostat/dashboards/grafana"

func overview() *g.Dashboard {
	d := g.New(OverviewUID, "Homeostat / Overview", "What Homeostat scales and what it heals, in the chosen namespaces.", tag, "now-3h")
	d.Templating.List = append(g.Sources(),
		g.Many("namespace", "Namespace", `label_values({__name__=~"homeostat_autoscaler_reason|homeostat_healing_incidents"}, namespace)`))
	d.Annotations.List = append(d.Annotations.List,
		g.MarkMetric("Incidents opened", "red", `sum by (namespace, kind) (`+risen(`homeostat_healing_incidents_opened_total{`+ofNamespaces+`}`, "$__rate_interval")+`) > 0`,
			"Incident", "{{kind}} in {{namespace}}"),
		stored())

	d.Row("Now")
	d.Add(
		g.Stat("Autoscalers", "Autoscalers that a decision is made about.", "short",
			`count(max by (namespace, kind, name) (homeostat_autoscaler_reason{`+ofNamespaces+`})) or vector(0)`, g.Plain()),
		g.Stat("Held back", "Autoscalers whose metrics ask for more replicas than were decided: a bound, a rate limit, a health rule or a pause holds them.", "short",
			`count(max by (namespace, kind, name) (homeostat_autoscaler_proposed_replicas{`+ofNamespaces+`}) > max by (namespace, kind, name) (homeostat_autoscaler_desired_replicas{`+ofNamespaces+`})) or vector(0)`,
			g.OrangeFrom(1)),
		g.Stat("Blind", "Autoscalers with a metric that cannot be computed.", "short",
			`count(max by (namespace, kind, name) (homeostat_autoscaler_failing_metrics{`+ofNamespaces+`}) > 0) or vector(0)`, g.RedFrom(1)),
		g.Stat("Active incidents", "Incidents that are not resolved.", "short", `sum(homeostat_healing_incidents{`+ofNamespaces+`}) or vector(0)`, g.OrangeFrom(1)),
		g.Stat("Need a person", "Incidents that Homeostat has given up on: the remedies or the budget are exhausted.", "short",
			`sum(homeostat_healing_incidents{`+ofNamespaces+`, result="Abandoned"}) or vector(0)`, g.RedFrom(1)),
		g.Stat("Next OOM", "Time until the first container reaches its memory limit, by the newest forecasts.", "s",
			`min(homeostat_healing_seconds_to_oom{`+ofNamespaces+`})`, g.RedBelow(3600)),
	)

	d.Row("Autoscaling")
	d.Add(
		g.Table("Last decisions", "The last decision about each autoscaler. The name leads to its own dashboard.", "short",
			[]g.Column{
				field("namespace"), field("kind"),
				linked("name", "This autoscaler", urlTo(AutoscalingUID, "var-namespace=${__data.fields.namespace}&var-kind=${__data.fields.kind}&var-name=${__data.fields.name}")),
				field("reason"),
				column("Value #A", "current", "short"), column("Value #B", "asked for", "short"), column("Value #C", "decided", "short"),
				column("Value #D", "maximum", "short"), column("Value #F", "age of the metrics", "s"),
			},
			g.Now(`max by (namespace, kind, name) (homeostat_autoscaler_current_replicas{`+ofNamespaces+`})`),
			g.Now(`max by (namespace, kind, name) (homeostat_autoscaler_proposed_replicas{`+ofNamespaces+`})`),
			g.Now(`max by (namespace, kind, name) (homeostat_autoscaler_desired_replicas{`+ofNamespaces+`})`),
			g.Now(`max by (namespace, kind, name) (homeostat_autoscaler_max_replicas{`+ofNamespaces+`})`),
			g.Now(`max by (namespace, kind, name, reason) (homeostat_autoscaler_reason{`+ofNamespaces+`})`),
			g.Now(`max by (namespace, kind, name) (homeostat_autoscaler_metric_age_seconds{`+ofNamespaces+`})`),
		),
		g.Series("Replicas decided", "What was decided for each autoscaler; the 20 largest.", "short",
			g.Query(`topk(20, max by (namespace, name) (homeostat_autoscaler_desired_replicas{`+ofNamespaces+`}))`, "{{namespace}}/{{name}}")),
		g.Stacked("Decisions by reason", "How often which step settled the number.", "cpm",
			g.Query(`sum by (reason) (rate(homeostat_autoscaler_decisions_total{`+ofNamespaces+`}[$__rate_interval])) * 60`, "{{reason}}")),
	)

	d.Row("Healing")
	d.Add(
		g.Stacked("Active incidents by kind", "Incidents that are not resolved, by what failed.", "short",
			g.Query(`sum by (kind) (homeostat_healing_incidents{`+ofNamespaces+`}) > 0`, "{{kind}}")).Bars().
			LinkTo("Incidents and healing", urlTo(HealingUID, "${namespace:queryparam}")),
		g.Stacked("Remediations by outcome", "What was done around each time, and what became of it; of all namespaces.", "short",
			g.Query(`round(sum by (kind, result) (`+risen(`homeostat_healing_remediations_total`, "$__rate_interval")+`)) > 0`, "{{kind}} {{result}}")).Bars(),
		g.Logs("What Homeostat did", "Incidents, actions and scalings, as Homeostat writes them to Loki.",
			records("incident|action|decision", `=~"$namespace"`)+short).Size(g.Columns, 9),
		g.Text("Where to read on", "Links to what the numbers mean.",
			"What the words mean: [metrics](https://github.com/homeostat/homeostat/blob/main/docs/metrics.md), "+
				"[autoscaling](https://github.com/homeostat/homeostat/blob/main/docs/autoscaler.md), "+
				"[healing](https://github.com/homeostat/homeostat/blob/main/docs/healing.md). "+
				"Why a number is what it is: `homeostat explain`. What happened: `homeostat timeline`.").Size(g.Columns, 3),
	)
	return d
}
