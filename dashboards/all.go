package dashboards

import (
	"strings"

	"github.com/homeostat/homeostat/dashboards/grafana"
)

// The uids, which are a contract: links, alerts and bookmarks lead to them.
const (
	OverviewUID    = "homeostat-overview"
	AutoscalingUID = "homeostat-autoscaling"
	HealingUID     = "homeostat-healing"
	ControllerUID  = "homeostat-controller"
)

// tag of every dashboard; the link in their heads shows those that have it.
const tag = "homeostat"

// All returns the dashboards in the order of reading, each made anew.
func All() []*grafana.Dashboard {
	return []*grafana.Dashboard{overview(), autoscaling(), incidents(), controller()}
}

// File is the name of the dashboard's file.
func File(d *grafana.Dashboard) string { return strings.TrimPrefix(d.UID, "homeostat-") + ".json" }

// Foreign are the metrics that are not Homeostat's own: of cadvisor (container_*), of kube-state-metrics (kube_*), and of the Prometheus
// client library.
func Foreign() []string {
	return []string{
		"container_cpu_usage_seconds_total", "container_memory_rss", "container_memory_working_set_bytes", "container_spec_memory_limit_bytes",
		"kube_pod_container_resource_limits", "kube_pod_container_resource_requests", "kube_pod_status_ready",
		"process_cpu_seconds_total", "process_resident_memory_bytes", "go_goroutines", "go_memstats_heap_inuse_bytes",
	}
}

// Selectors of series, by the variables of a dashboard.
const (
	// ofNamespaces selects series about any of the chosen namespaces.
	ofNamespaces = `namespace=~"$namespace"`
	// ofWorkloads selects series about any of the chosen workloads.
	ofWorkloads = `namespace=~"$namespace", workload=~"$workload"`
	// ofOne selects the series about one autoscaler.
	ofOne = `namespace="$namespace", kind="$kind", name="$name"`
	// ofJob selects the series of the controllers' own processes.
	ofJob = `job=~"$job", instance=~"$instance"`
	// podSuffix is what follows the workload's name in the names of its pods: an ordinal, or the hashes of a Deployment.
	podSuffix = `-[a-z0-9]{1,10}(-[a-z0-9]{5})?`
	// ofPods selects the containers of the chosen workloads.
	ofPods = `namespace=~"$namespace", pod=~"($workload)` + podSuffix + `", container!="", container!="POD"`
	// ofTarget selects the containers of the target of one autoscaler, which may be called otherwise.
	ofTarget = `namespace="$namespace", pod=~"($target|$name)` + podSuffix + `", container!="", container!="POD"`
)

// risen is by how much each counter rose within the window. Prometheus' increase takes the first value of a series for an old one, so that it is blind
// to the first incident of a kind: where a series began within the window, its value is what it rose by.
func risen(counter, window string) string {
	return "max_over_time(" + counter + "[" + window + "]) unless " + counter + " offset " + window + " or increase(" + counter + "[" + window + "])"
}

// records selects the lines of these kinds that Homeostat wrote to Loki. Their labels are app, kind and namespace; id, subject and reason are
// structured metadata, and the line is a record of the journal.
func records(kinds, namespaces string) string {
	return `{app="homeostat", kind=~"` + kinds + `", namespace` + namespaces + `} | json message="message", name="subject.name", workload="incident.workload.name"`
}

// short writes a record as one line for people.
const short = " | line_format `{{.reason}} {{.subject}}: {{.message}}`"

// urlTo is a link to another dashboard with the same data sources and time; more are further variables.
func urlTo(uid, more string) string {
	return "/d/" + uid + "?${datasource:queryparam}&${loki:queryparam}&${__url_time_range}&" + more
}

// field is a column that is shown under the name that it has.
func field(name string) grafana.Column { return grafana.Column{Field: name, Name: name} }

// column is one that is shown under another name, its values in that unit.
func column(of, name, unit string) grafana.Column {
	return grafana.Column{Field: of, Name: name, Properties: []grafana.Property{{ID: "unit", Value: unit}}}
}

// linked is a column whose values lead somewhere.
func linked(name, title, url string) grafana.Column {
	return grafana.Column{Field: name, Name: name, Properties: []grafana.Property{{ID: "links", Value: []grafana.Link{{Title: title, URL: url}}}}}
}

// stored marks what Homeostat itself wrote into Grafana, where it was given a URL and a token.
func stored() grafana.Annotation { return grafana.MarkStored("Written by Homeostat", "purple", tag) }
