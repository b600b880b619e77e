// Package dashboards has Homeostat's dashboards for Grafana, made with the builders of package grafana.
//
// It says what is on them, and nothing about how Grafana's JSON looks. The metrics are those of docs/metrics.md, of the kubelet's cadvisor
// and of kube-state-metrics; Foreign lists the last two. The generated files are in grafana/*.json, and the tests hold every query against
// Prometheus' parser, a Prometheus and a Loki. Nothing here has ever been loaded into a Grafana server; docs/dashboards.md says
// what was proved instead.
package dashboards

//go:generate go run ./generate grafana
