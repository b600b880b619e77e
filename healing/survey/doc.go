// Package survey looks at the whole cluster before each pass over its workloads: (snapshot, all incidents, now) → the incidents
// about nodes and storms, and for each workload the Climate that its own pass has to know of.
//
// Its job is to make one incident out of one cause: a node that is lost is one incident with the workloads on it as members, a
// service that is down makes its workload's incident the root of those that name it in their logs, and so much failing at once
// is a storm, which opens the breaker. It is pure: it has no clock, does no I/O and remembers nothing but what is in the
// incidents, so a new leader finds the breaker as the old one left it. It decides on no remedy, and diagnoses no workload.
package survey
