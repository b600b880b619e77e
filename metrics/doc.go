// Package metrics holds the nouns of resource usage and the memory that turns readings into usage: a [Sample] is one
// reading of a container's cumulative CPU and its memory, a [Window] is a fixed ring of samples of one container, and a
// [Store] holds the windows of all containers, and a [TrendPoint] each half minute for two hours. Its sources (kubelet, local processes) only add samples; readers only
// ask for a [Usage].
//
// What it promises:
//   - A reading of the same instant is one sample, however often it is read.
//   - CPU usage is the rate between two samples of one life of a container. A counter that went back, or another start
//     time, begins a new life, and no rate is ever taken across that line.
//   - Where there is no usable sample, the usage has a [Reason]. A reason is never a zero usage.
//   - Memory is bounded: two rings per container, and containers and nodes that are not seen for a while are dropped.
//
// What it does not do: it knows no clock (time is an argument or comes with the sample), no network, and nothing of
// requests, limits or targets. A sample's time is that of the machine that took it; a clock that is off by more than
// the allowed staleness makes that machine's containers stale.
package metrics
