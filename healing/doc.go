// Package healing decides what is broken, why, and what is safe to do about it: (view, stored incidents, policy, climate, now) →
// incidents to store and at most one action.
//
// Its job is Detect, Reconcile and Complete. It has no clock, does no I/O, knows no platform and logs nothing: the same
// input gives the same plan, in production, in a dry run and in a test. What it must remember is in the incidents, so a
// new leader goes on where the old one stopped. It does not store, capture, charge, announce or act; its caller does,
// in the order of the Plan. It looks at one workload at a time: what several workloads show together is found by package
// survey, and told to it as a Climate. Package detect has the checks, package cause says why, package forecast when.
//
// # Incidents
//
// One per workload, kind and container. Deaths of one container with related kinds are one incident: a crash loop of a
// container that is OOM-killed is part of the OOM incident, and a ProbableOOM becomes OOMKilled when a later death says
// so. A rollout that is stuck joins the incident that explains it, or becomes it; a MemoryLeak becomes OOMKilled when it
// has come true. A death counts once, by its fingerprint; two deaths between two looks count as two, by the number of
// restarts. A resolved incident is never opened again. It is resolved when no failure of it lasts and the desired replicas
// are ready for ResolveAfter, doubled for each incident of the same cause that was resolved in the hour before (at most
// eight times), so that a flapping workload has few long incidents and not many short ones. A notice and a forecast are
// resolved when they were not seen for ResolveAfter, whether the workload is healthy or not, and so is what became of an ephemeral
// container: it is a person's tool, told once, and never acted on. The forecast of an incident is
// brought up to date when it has changed by more than 10 % of the time that was left, at most every five minutes.
//
// # Roots
//
// What ends on a node that has an incident, after the node went not ready, opens none, and neither does what takes its place and fits
// on no other node, nor an eviction that a remediation made. An incident whose log names a service without a ready endpoint gets that service's incident as its Root,
// and waits until VerifyWithin after the root is over; without one it waits all the same. Those that wait for this workload
// are its members. The root goes when nothing that is down has it any more.
//
// # Ladder
//
// The remedies of a kind are the rungs of a ladder: see DefaultLadder and Allowed. In each pass they are asked in order; the
// first that no guard refuses is carried out. A guard that refuses for what the remedy is lets the next rung be asked; one
// that refuses for what the moment is holds the ladder. A rung is done with when it did not help, cannot be carried out (three
// failed calls, or one that is not supported or for which the controller lacks the right: Forbidden), or helped and the same cause
// is seen again after it. Restart and Quarantine are done for one replica after the other, but not for
// one that took the place of another and goes on in the same crash loop. When nothing is left and something was
// tried, the incident is Abandoned with all that was tried in one message; the same when the budget of the workload ends.
//
//	remedy           fits where                                                   verified by
//	Capture          the replicas offer a profile, and the container runs         never: it mends nothing, and is done once
//	Restart          the replica fails still; what is stuck is a resize that is   it is gone, and its successor is ready
//	                 infeasible, or a volume that a lost node holds
//	Quarantine       there are siblings, under a Deployment or a ReplicaSet       as Restart
//	ResizeMemory     max(×1.2, +100 MiB), at most MaxMemoryPercent of the         nothing is killed for VerifyWithin
//	                 template's limit; then the other replicas, one at a time
//	RestartWorkload  several replicas or a surge, a rollout that is not paused     all replicas are new and healthy
//	ScaleOut         the cause follows load; as many as share the memory in       nothing is killed for VerifyWithin
//	                 use at 70 %, at most MaxScaleOutPercent and the scaler's
//	Rollback         only the newest revision fails, since its rollout, and       its revision is the newest, and healthy
//	                 an older one was healthy that was not rolled away from
//	AbortCanary      the other track is healthy; a Service only goes back         it serves nobody, and the other track is
//	                 where its track has too few ready replicas, and fewer        healthy
//	                 than the other
//
// The effect has VerifyWithin, counted from when the rollout that the remedy began had ended or passed its deadline, and
// at the latest from ten minutes after it. A ResizeMemory without PatchTemplate lasts as long as the replica, so the patch of the
// template is written as the incident's Proposal; so is that of a remedy that belongs to somebody else.
//
// # Guards
//
// In one list, asked in this order. What they say is recorded once and not on every pass. Those with * let the next rung be asked.
//
//	ObserveOnly        the policy's mode is Observe; the same record is written as a DryRun, and the platform checks the call
//	NoRemedy           the ladder of the kind is empty
//	ProtectedWorkload  of the system, Homeostat itself, a DaemonSet, a Job
//	NotOwned           a bare pod: nobody would make it again
//	NoEvidence         the incident is not stored yet, or the log of the replica was not captured
//	StaleSnapshot      the view is older than MaxStale
//	DependencyDown     it has a root, its log names a service that is down, or either was so less than VerifyWithin ago
//	AlreadyTried *     the rung was tried for this cause and did not help
//	NotApplicable *    the remedy does not fit what is known
//	NotSupported *     the platform cannot do it to this kind of workload
//	LowConfidence *    the cause is sure to less than 70 % for a workload, 50 % for a replica
//	BreakerOpen        so much fails in the cluster that nothing is done anywhere
//	StillServing       ChildOOM by default, and the replica is ready
//	ReplicaGone        it is deleted already
//	NodeNotReady       its node is not ready
//	ActionUnderWay     another action on the workload is not verified yet
//	ManagedElsewhere * Argo CD, Flux, Helm or an operator owns the spec that would be written
//	ScaledElsewhere *  another autoscaler owns the number of replicas
//	SizedElsewhere *   a VerticalPodAutoscaler owns the resources, or none may be read
//	RollingOut         a rollout is under way, and the remedy does not go back from it
//	MinHealthy         too few other replicas are ready
//	WouldBreakPDB      a PodDisruptionBudget allows no disruption, or two select the replica
//	Cooldown           the last action on the workload was too short ago
//	BudgetExhausted    the budget of the workload is spent → Abandoned
//	ClusterBudgetExhausted  that of the cluster is: it waits, because it is not this workload's doing
//
// MinHealthy asks for ready replicas beside the victim: ceil(MinHealthyPercent of desired) if the victim is ready. If it
// is not ready, restarting it lowers nothing, so its own place is not held against it and at most desired-1 are asked
// for: one of two may be restarted, six of ten may not, because a failure of most replicas has a common cause. A
// workload's only replica is not restarted, unless MinHealthyPercent is 0. A rolling restart takes away as many ready ones at a time as the
// workload's strategy says (maxUnavailable); with Recreate, which takes all, it is not carried out.
//
// # Actions
//
// The intent (a remediation with the outcome Pending) is stored before the action, and is the fence between leaders. Its ID is
// a hash of cause, target and rung. An intent that another leader left, or that nobody answered for ten seconds, is carried on
// under the same ID, unless the view shows that it was carried out; preconditions on the replica's UID or on what is changed
// make that safe. The budget counts remediations, not calls: a remediation is charged once, and its retries, after a
// PodDisruptionBudget blocked it or a call failed, are not charged again; neither is a Capture, or a raise of memory for the
// other replicas of one that was charged. Retries wait for the cooldown, doubled each time up to sixteen times; a failed call
// is retried twice, a blocked one for as long as its charge lasts (BudgetPeriod), after which it is given up and a new one is
// charged. A call whose answer was lost is not made again where the view shows its effect. Charges and the actions that were
// carried out later than their charge are both held against the budget, so no window of BudgetPeriod sees more than
// BudgetActions of either.
package healing
