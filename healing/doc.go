// Package healing decides what is broken, why, and what is safe to do about it: (view, stored incidents, policy, now) →
// incidents to store and at most one action.
//
// Its job is Detect, Reconcile and Complete. It has no clock, does no I/O, knows no platform and logs nothing: the same
// input gives the same plan, in production, in a dry run and in a test. What it must remember is in the incidents, so a
// new leader goes on where the old one stopped. It does not store, capture, charge, announce or evict; its caller does,
// in the order of the Plan. It looks at one workload at a time, so it neither correlates workloads nor counts failures
// over the whole cluster.
//
// # Checks
//
// In the order in which they run; package detect has them. A death has at most one kind.
//
//	kind           signals                                                                         default remedy
//	NodeNotReady   the replica's node is gone, or Ready is not True; nothing else about it counts  None
//	OOMKilled      a new death with the reason OOMKilled                                           None
//	ProbableOOM    exit 137, reason Error, no Killing or Unhealthy event within 60 s, no           None
//	               disruption, memory at 90 % of the limit or a life under 15 s without a sample
//	ChildOOM       the container's OOM counter grew and its main process lives on                  Restart, if not ready
//	LivenessKill   a Killing event for a failed probe, or Unhealthy with exit 137 or 143, or the   None
//	               termination's own reason
//	ImagePull      waits with ErrImagePull, ImagePullBackOff, … for PendingAfter                   None
//	ConfigMissing  CreateContainerConfigError, or a mount whose ConfigMap or Secret is not found   None
//	CrashLoop      CrashLoopBackOff, or 3 restarts in 10 min, and no kind above explains the death None
//	Unschedulable  the scheduler has found no node for PendingAfter                                None
//	NotReady       runs, not ready for NotReadyAfter, no restart in that time                      Restart
//
// A policy may choose Restart for OOMKilled, ProbableOOM, ChildOOM, LivenessKill and NotReady, never for the others: a
// restart cannot mend them, resets the back-off and loses the log. Where a policy names ChildOOM: Restart, the replica
// is restarted even if it is ready; by default it is only if it is not. A death whose replica is ready again needs
// nothing: the platform has restarted it.
//
// # Incidents
//
// One per workload, kind and container. Deaths of one container with related kinds are one incident: a crash loop of a
// container that is OOM-killed is part of the OOM incident, and a ProbableOOM becomes OOMKilled when a later death says
// so. A death counts once, by its fingerprint; two deaths between two looks count as two, by the number of restarts.
// A resolved incident is never opened again. It is resolved when no failure of it lasts and the desired replicas are
// ready for ResolveAfter, doubled for each incident of the same cause that was resolved in the hour before (at most
// eight times), so that a flapping workload has few long incidents and not many short ones.
//
// # Guards
//
// In one place, in this order; the first that refuses names the reason, which is recorded once and not on every pass.
//
//	ObserveOnly        the policy's mode is Observe; what would have been done is recorded as a DryRun remediation
//	NoRemedy           the remedy for the kind is None
//	ProtectedWorkload  of the system, Homeostat itself, a DaemonSet, a Job
//	NotOwned           a bare pod: nobody would make it again
//	StaleSnapshot      the view is older than MaxStale
//	NoEvidence         the incident is not stored yet, or the log of the replica was not captured
//	StillServing       ChildOOM by default, and the replica is ready
//	ReplicaGone        it is deleted already
//	NodeNotReady       its node is not ready
//	ActionUnderWay     another action on the workload is not verified yet
//	AlreadyTried       the remedy was carried out for this cause and did not help → Abandoned
//	RollingOut         a rollout is under way
//	MinHealthy         too few other replicas are ready
//	Cooldown           the last action on the workload was too short ago
//	BudgetExhausted    the budget of the workload is spent → Abandoned
//
// MinHealthy asks for ready replicas beside the victim: ceil(MinHealthyPercent of desired) if the victim is ready. If it
// is not ready, restarting it lowers nothing, so its own place is not held against it and at most desired-1 are asked
// for: one of two may be restarted, six of ten may not, because a failure of most replicas has a common cause. A
// workload's only replica is not restarted, unless MinHealthyPercent is 0.
//
// # Actions
//
// The intent (a remediation with the outcome Pending) is stored before the action, and is the fence between leaders. An
// intent that another leader left, or that nobody answered for ten seconds, is carried on under the same ID; the
// precondition on the replica's UID makes that safe. The budget counts remediations, not calls: a remediation is charged
// once, and its retries, after a PodDisruptionBudget blocked it or a call failed, are not charged again. Retries wait for
// the cooldown, doubled each time up to sixteen times; a failed call is retried twice, a blocked one for as long as its
// charge lasts (BudgetPeriod), after which it is given up and a new one is charged. Charges and the actions that were
// carried out later than their charge are both held against the budget, so no window of BudgetPeriod sees more than
// BudgetActions of either.
package healing
