// Package annotate writes what Homeostat did into Grafana as annotations: scalings, incidents from their beginning to their end, and
// what was done about them, rollouts among it.
//
// It is a Recorder of the control loops: what it is told goes into a bounded queue at once, and one goroutine sends it to Grafana's HTTP API
// (POST, PATCH and GET /api/annotations). While Grafana is away nothing waits for it: a request is tried a few times, and what does not fit into the
// queue, or is refused, is dropped and counted. An annotation is nice to have; the journal is the record.
//
// It decides nothing, reads nothing from Grafana but the id of the annotation of an incident that an earlier process began, and
// deletes nothing.
package annotate
