// Package lokipush sends the records of the journal to Loki, as JSON lines with few labels and the id of their chain as structured metadata.
//
// Whoever writes a record never waits: it goes into a bounded queue, and what does not fit is dropped and counted. Lines wait in a backlog that is
// bounded by their bytes while Loki is away, and are sent in their order when it is back. The client is github.com/grafana/loki-client-go with its
// protobuf encoding. It registers metrics named promtail_* in the default registry of Prometheus, which is why that one is never served, and its
// Handle blocks while a batch is tried again and for ever once it was stopped: only one goroutine calls both.
//
// The package reads nothing from Loki and decides nothing.
package lokipush
