// Package detect finds what is broken in one workload: (workload, nodes, memory, policy, now) → findings, by an ordered chain of
// small checks, one file per kind. docs/healing.md has the exact signal and the rule of confidence of each.
//
// A check is level-triggered: it reads what is there now and remembers nothing, so the same look gives the same
// findings, and a restart of the controller loses none. A finding's fingerprint is the same for the same occurrence and
// another one for the next. Events are evidence, for and against; where a status field tells the same they are never needed,
// because they get lost.
//
// At most one kind is given to one death: the checks of deaths run in order and the first that knows it wins. A death
// that none of them knows is no finding by itself; it takes a crash loop to make it one. A death whose container
// status is unknown (ContainerStatusUnknown, which comes with exit code 137 too) is a notice and never explained. Completed
// init containers are no deaths, sidecars are looked at like main containers. An ephemeral container is a person's tool: what becomes of
// it is told once, never lasts, and explains nothing about the workload. What
// concerns the workload itself (a rollout, refused replicas, a job, an autoscaler) is found last, and only where nothing in
// the replicas explains it.
//
// The package has no clock, does no I/O, and neither groups findings nor remembers incidents: package healing does.
package detect
