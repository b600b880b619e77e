// Package cluster holds the nouns that the scaling and the healing engine read: workloads, replicas, containers,
// nodes, events and changes, as one consistent read-only Snapshot.
//
// It imports the standard library only and knows no platform. A thing that only one platform can tell is a field
// whose zero value means "not known"; nothing here is ever a guess. Values are built by an adapter (platform/kube,
// platform/local), handed over, and not changed afterwards.
package cluster
