// Package loki reads windows of containers' logs from Grafana Loki's HTTP API (query_range), page after page, bounded in
// lines, bytes and time.
//
// It pushes nothing and follows nothing. Lines are given as Loki has them: neither cleaned nor masked, which package logs
// does. How the labels of a log stream are called depends on the agent that ships the logs, so they are configured; where
// a window is empty because Loki knows no such label, the error says so. An answer that asks for peace (429) or none at all
// keeps the reader from asking again for a while, so that a storm of incidents does not become one of queries.
package loki
