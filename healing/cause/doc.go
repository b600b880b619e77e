// Package cause says why a workload fails: (its findings, the workload, the nodes, the logs that were kept, the trends) → one
// sentence, how sure it is, what speaks for it and against it, and who is to blame.
//
// It draws six conclusions, each by rules that can be shown: the newest revision, one node, demand (memory that follows load, or
// throttling of all), a leak, a Service that is down and that a log line names, and what an exit code means. A conclusion that its
// observations do not carry is not drawn; what speaks against it is still told. It knows no remedy and no clock, reads nothing and
// stores nothing; it sees one workload at a time, so that a cause that only several show together is not found here. That two
// things happen at the same time is all that it can see: it says "since" and never proves "because".
package cause
