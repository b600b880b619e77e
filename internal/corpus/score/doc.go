// Package score replays the recorded failures of package corpus through the healing engine and scores what it makes of them.
//
// [Replay] feeds a recording in its recorded time through the product's own view and its own store of usage into its own
// healing loop. [NewTable] holds what came of all recordings against their labels: which kinds were found, how soon, in how many
// incidents, and whether an action would have done harm. What helps against which kind is written down here a second time
// ([Helps]), so that a mistake in package healing is seen.
//
// Its limits: a recording is one namespace, so what is only seen over a whole cluster is not scored; an action changes nothing in
// a recording, so it is judged by whether it may be taken and not by what it would have brought; the failures are those of one
// version of Kubernetes on cgroup v1, and forecasts are made over minutes instead of an hour.
package score
