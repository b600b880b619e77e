package dashboards

import g "github.com/homeostat/homeostat/dashboards/grafana"

// ofOurs keeps Homeostat's own of the processes of the chosen jobs, which are those of the whole cluster where all are chosen.
const ofOurs = ` and on (job, instance) homeostat_build_info`

func controller() *g.Dashboard {
	d := g.New(ControllerUID, "Homeostat / Controller", "Homeostat itself: does it turn, does it see, does it keep up?", tag, "now-3h")
	d.Templating.List = append(g.Sources(),
		g.Many("job", "Job", `label_values(homeostat_build_info, job)`),
		g.Many("instance", "Instance", `label_values(homeostat_build_info{job=~"$job"}, instance)`))
	d.Annotations.List = append(d.Annotations.List,
		g.MarkMetric("New leader", "blue", `changes(homeostat_platform_leader{`+ofJob+`}[$__rate_interval]) > 0`, "Leader", "the leader changed at {{instance}}"),
		stored())

	d.Row("Now")
	d.Add(
		g.Stat("Controllers", "Processes that answer; one leads.", "short", `count(homeostat_build_info{`+ofJob+`}) or vector(0)`, g.RedBelow(1)),
		g.Stat("Leaders", "Processes that act; exactly one should.", "short", `sum(homeostat_platform_leader{`+ofJob+`}) or vector(0)`, g.RedBelow(1)),
		g.NameStat("Version", "The version that runs.", `max by (version) (homeostat_build_info{`+ofJob+`})`, "{{version}}"),
		g.Stat("Since the last pass", "Of the loop that is late most.", "s", `max(homeostat_platform_pass_lag_seconds{`+ofJob+`})`, g.RedFrom(30)),
		g.Stat("Scrapes that fail", "Share of the scrapes of nodes.", "percentunit",
			`(sum(rate(homeostat_metrics_scrapes_total{`+ofJob+`, result="error"}[$__rate_interval])) or vector(0)) / sum(rate(homeostat_metrics_scrapes_total{`+ofJob+`}[$__rate_interval]))`, g.RedFrom(0.1)),
		g.Stat("Dropped", "Records that did not fit into a queue, within the time range.", "short",
			`sum(increase(homeostat_queue_dropped_total{`+ofJob+`}[$__range]))`, g.OrangeFrom(1)),
	)

	d.Row("Loops")
	d.Add(
		g.Series("Duration of a pass", "The median and 99 of 100.", "s",
			g.Query(`histogram_quantile(0.5, sum by (le, loop) (rate(homeostat_platform_pass_duration_seconds_bucket{`+ofJob+`}[$__rate_interval])))`, "{{loop}} median"),
			g.Query(`histogram_quantile(0.99, sum by (le, loop) (rate(homeostat_platform_pass_duration_seconds_bucket{`+ofJob+`}[$__rate_interval])))`, "{{loop}} 99 %")),
		g.Series("Lag", "Time since the last pass of each loop ended.", "s",
			g.Query(`max by (loop, instance) (homeostat_platform_pass_lag_seconds{`+ofJob+`})`, "{{loop}} {{instance}}")),
		g.Series("Passes", "Passes, and those that ended early, per minute.", "cpm",
			g.Query(`sum by (loop) (rate(homeostat_platform_pass_duration_seconds_count{`+ofJob+`}[$__rate_interval])) * 60`, "{{loop}}"),
			g.Query(`sum by (loop) (rate(homeostat_platform_pass_errors_total{`+ofJob+`}[$__rate_interval])) * 60`, "{{loop}} ended early")),
		g.Timeline("Leader", "Which process acted when.", "leads", "green",
			g.Query(`homeostat_platform_leader{`+ofJob+`}`, "{{instance}}")).Meanings([]string{"stands by"}, []string{"text"}),
	)

	d.Row("What it reads and writes")
	d.Add(
		g.Stacked("Scrapes", "Scrapes of nodes per minute, by result.", "cpm",
			g.Query(`sum by (result) (rate(homeostat_metrics_scrapes_total{`+ofJob+`}[$__rate_interval])) * 60`, "{{result}}")),
		g.Series("Duration of a scrape", "Of one node: the median and 99 of 100.", "s",
			g.Query(`histogram_quantile(0.5, sum by (le) (rate(homeostat_metrics_scrape_duration_seconds_bucket{`+ofJob+`}[$__rate_interval])))`, "median"),
			g.Query(`histogram_quantile(0.99, sum by (le) (rate(homeostat_metrics_scrape_duration_seconds_bucket{`+ofJob+`}[$__rate_interval])))`, "99 %")),
		g.Series("Container samples", "Samples read from the kubelets.", "cps",
			g.Query(`sum by (instance) (rate(homeostat_metrics_samples_total{`+ofJob+`}[$__rate_interval]))`, "{{instance}}")),
		g.Stacked("Requests to the API server", "By verb and answer.", "reqps",
			g.Query(`sum by (verb, code) (rate(homeostat_platform_api_requests_total{`+ofJob+`}[$__rate_interval]))`, "{{verb}} {{code}}")),
		g.Series("Queues", "Records that wait for the journal, Loki, alerts and annotations.", "short",
			g.Query(`max by (queue) (homeostat_queue_length{`+ofJob+`})`, "{{queue}}")),
		g.Series("Dropped records", "What did not fit into a queue, per minute.", "cpm",
			g.Query(`sum by (queue) (rate(homeostat_queue_dropped_total{`+ofJob+`}[$__rate_interval])) * 60`, "{{queue}}"),
			g.Query(`sum(rate(homeostat_platform_journal_dropped_total{`+ofJob+`}[$__rate_interval])) * 60`, "journal, unwritten ones included")),
		g.Stacked("Notifications", "Per minute, by receiver and what became of them.", "cpm",
			g.Query(`sum by (receiver, result) (rate(homeostat_notifications_total{`+ofJob+`}[$__rate_interval])) * 60`, "{{receiver}} {{result}}")),
		g.Series("Series left out", "Workloads for which there are no series because there are too many.", "short",
			g.Query(`max by (instance) (homeostat_telemetry_series_cut{`+ofJob+`})`, "{{instance}}")),
	)

	d.Row("Process")
	d.Add(
		g.Series("Memory", "Resident memory, and the Go heap in use.", "bytes",
			g.Query(`process_resident_memory_bytes{`+ofJob+`}`+ofOurs, "{{instance}} resident"),
			g.Query(`go_memstats_heap_inuse_bytes{`+ofJob+`}`+ofOurs, "{{instance}} heap")),
		g.Series("CPU", "Cores in use.", "none", g.Query(`rate(process_cpu_seconds_total{`+ofJob+`}[$__rate_interval])`+ofOurs, "{{instance}}")),
		g.Series("Goroutines", "Goroutines that exist.", "short", g.Query(`go_goroutines{`+ofJob+`}`+ofOurs, "{{instance}}")),
		g.Logs("Log of the controller", "What the processes wrote to standard error, where an agent ships it.",
			`{namespace=~".+", pod=~"homeostat`+podSuffix+`"} | json level="level", msg="msg", error="error" | level=~"WARN|ERROR" | line_format "{{.level}} {{.msg}} {{.error}}"`),
	)
	return d
}
