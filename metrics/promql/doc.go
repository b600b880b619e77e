// Package promql is the source of one number from Prometheus, or whatever speaks its HTTP API: the value of an instant
// query that gives a scalar or exactly one series.
//
// No series is an error and never a zero, several are an error that says how many, and a value that is no number is an
// error too: whoever scales by the query decides in the query what an empty result means (with "or vector(0)", say).
//
// Limits: a value counts as of when Prometheus evaluated the query. How old the samples behind it are (five minutes, with
// the defaults of Prometheus) is not in the answer. Warnings, such as that of a partial answer by Thanos, come with the
// value and do not make it an error.
package promql
