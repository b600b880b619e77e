package dashboards

import g "github.com/homeostat/homeostat/dashboards/grafana"

// of takes the highest of what several controllers say about the one autoscaler; one of them leads.
func of(metric string) string { return `max(` + metric + `{` + ofOne + `})` }

func autoscaling() *g.Dashboard {
	d := g.New(AutoscalingUID, "Homeostat / Autoscaling", "One autoscaler: the load, what was asked for and decided, and what held it.", tag, "now-1h")
	d.Templating.List = append(g.Sources(),
		g.One("namespace", "Namespace", `label_values(homeostat_autoscaler_reason, namespace)`),
		g.One("name", "Autoscaler", `label_values(homeostat_autoscaler_reason{namespace="$namespace"}, name)`),
		g.One("kind", "Kind", `label_values(homeostat_autoscaler_reason{namespace="$namespace", name="$name"}, kind)`),
		g.TextBox("target", "Target", "The name of the workload that is scaled, where it differs from the autoscaler's."))
	mine := records("decision", `="$namespace"`) + ` | name="$name"`
	d.Annotations.List = append(d.Annotations.List,
		g.MarkMetric("Scaled", "blue", `changes(`+`homeostat_autoscaler_current_replicas{`+ofOne+`}[$__rate_interval]) > 0`, "Scaled", "the number of replicas changed"),
		g.MarkLines("Decisions", "green", mine+` | id=~"d-.+"`, "{{reason}}", "{{message}}", "reason,id"),
		g.MarkMetric("Incidents in the namespace", "red",
			`sum by (kind) (`+risen(`homeostat_healing_incidents_opened_total{namespace="$namespace"}`, "$__rate_interval")+`) > 0`, "Incident", "{{kind}}"),
		stored())

	d.Row("Now")
	d.Add(
		g.Stat("Replicas", "What the target asks for.", "short", of("homeostat_autoscaler_current_replicas"), g.Plain()),
		g.Stat("Decided", "What was decided; not written with the mode DryRun and for an HPA that is only observed.", "short", of("homeostat_autoscaler_desired_replicas"), g.Plain()),
		g.NameStat("Because", "The step that settled the number in the last pass.", `max by (reason) (homeostat_autoscaler_reason{`+ofOne+`})`, "{{reason}}"),
		g.Stat("Age of the metrics", "Age of the oldest sample that the last decision used.", "s", of("homeostat_autoscaler_metric_age_seconds"), g.OrangeFrom(60)),
		g.Stat("Age of the decision", "Time since a number was last decided.", "s", of("homeostat_autoscaler_decision_age_seconds"), g.RedFrom(300)),
		g.Stat("Metrics that fail", "Metrics that cannot be computed, with a fallback or without.", "short", of("homeostat_autoscaler_failing_metrics"), g.RedFrom(1)),
	)

	d.Row("Replicas")
	d.Add(
		g.Series("Replicas over time", "From what the metrics ask for to what is decided, and to what is ready. Dashed: the bounds.", "short",
			g.Query(of("homeostat_autoscaler_proposed_replicas"), "asked for"),
			g.Query(of("homeostat_autoscaler_limited_replicas"), "after limits"),
			g.Query(of("homeostat_autoscaler_desired_replicas"), "decided"),
			g.Query(of("homeostat_autoscaler_current_replicas"), "current"),
			g.Query(`sum(kube_pod_status_ready{condition="true", namespace="$namespace", pod=~"($target|$name)`+podSuffix+`"})`, "ready"),
			g.Query(of("homeostat_autoscaler_min_replicas"), "minimum"),
			g.Query(of("homeostat_autoscaler_max_replicas"), "maximum"),
		).Size(g.Columns, 10).Unfilled().Colored("decided", "blue").Colored("ready", "purple").Dashed("minimum|maximum", "red"),
		g.Timeline("What settled the number", "One line for each reason, filled while it was the reason of the last pass; docs/metrics.md says what each means.",
			"settles the number", "blue",
			g.Query(`max by (reason) (homeostat_autoscaler_reason{`+ofOne+`})`, "{{reason}}")).Size(g.Columns, 6),
	)

	d.Row("Load")
	d.Add(
		g.Series("Load against the target", "Replicas that the metrics ask for as a share of those that there are: at 100 % the load is at its target, however many metrics there are.", "percentunit",
			g.Query(of("homeostat_autoscaler_proposed_replicas")+` / (`+of("homeostat_autoscaler_current_replicas")+` > 0)`, "load")).
			TargetLine(1, "red"),
		g.Series("CPU", "Cores in use by the target's containers, and what they have requested; the target is a share of that.", "none",
			g.Query(`sum(rate(container_cpu_usage_seconds_total{`+ofTarget+`}[$__rate_interval]))`, "used"),
			g.Query(`sum(kube_pod_container_resource_requests{resource="cpu", `+ofTarget+`})`, "requested")).Dashed("requested", "orange"),
		g.Series("Memory", "Resident memory of the target's containers, and what they have requested.", "bytes",
			g.Query(`sum(container_memory_rss{`+ofTarget+`})`, "used"),
			g.Query(`sum(kube_pod_container_resource_requests{resource="memory", `+ofTarget+`})`, "requested")).Dashed("requested", "orange"),
		g.Series("Age of the metrics over time", "Age of the oldest sample that the last decision used.", "s",
			g.Query(of("homeostat_autoscaler_metric_age_seconds"), "age")),
	)

	d.Row("Decisions")
	d.Add(
		g.Stacked("Decisions by reason", "How often which step settled the number.", "cpm",
			g.Query(`sum by (reason) (rate(homeostat_autoscaler_decisions_total{`+ofOne+`}[$__rate_interval])) * 60`, "{{reason}}")),
		g.Series("What goes wrong", "Metrics that fail, metrics for which a fallback stands in, and decisions whose target could not be read or written.", "short",
			g.Query(of("homeostat_autoscaler_failing_metrics"), "metrics that fail"),
			g.Query(of("homeostat_autoscaler_fallback_metrics"), "fallbacks in use"),
			g.Query(`sum(rate(homeostat_autoscaler_scale_errors_total{`+ofOne+`}[$__rate_interval])) * 60`, "failed writes per minute")),
		g.Logs("Decisions in words", "The decisions about this autoscaler that Homeostat wrote to Loki.", mine+short).Size(g.Columns, 9),
	)
	return d
}
