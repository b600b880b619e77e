// Package grafana has the types and builders that Homeostat's dashboards are made with, and a lint for them.
//
// What it makes is Grafana's classic dashboard JSON, schema version 42 (the default of @grafana/schema 13.2). It knows only the
// panels, variables and annotations that the dashboards use. It parses no query: the tests of package dashboards give them to
// Prometheus' parser, to a Prometheus and to a Loki. The generated files lie beside the code.
package grafana
