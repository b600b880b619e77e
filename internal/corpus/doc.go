// Package corpus holds real failures, recorded on a cluster as sequences of objects, and scores the healing engine with
// them.
//
// A variant (testdata/variants/KIND/NAME.yaml) says how a failure is made and what it is; package record makes it on the lab
// and writes what a watcher of the API server saw (testdata/recordings/KIND/NAME.jsonl.gz). [Replay] feeds a recording in its
// recorded time through the product's own view and its own store of usage and lets package healing decide; [Judge] holds what
// came of it against the label, and [Report] sums it up.
//
// Its limits: one recording is one namespace, so what is only seen over a whole cluster is not scored here; an action changes
// nothing in a recording, so it is judged by whether it may be taken, not by what it would have brought; and the failures are
// those of one version of Kubernetes on cgroup v1, with waits that are shorter than a cluster's defaults.
package corpus
