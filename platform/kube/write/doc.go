// Package write is the only door through which Homeostat changes a cluster: the scale of a target, the remedies (package remedy
// below it), its own objects (the status of Autoscalers and HealingPolicies, Incidents, the ConfigMap with the budget of the
// cluster) and events. Nothing else in the program writes to the API server but the leader election's Lease.
//
// Every write is guarded: a scale, a remedy and an incident by the resourceVersion that was read, an eviction by the pod's UID, a
// budget by compare-and-swap. A guard that does not hold is control.ErrConflict, and nothing was written. There is no
// deletion of a pod and no force. Incidents are one object without a status subresource, so that what is stored is
// stored whole: an intent and its evidence appear in one write or not at all.
//
// The package decides nothing, and retries only where that is safe. Its methods are safe for concurrent use.
package write
