// Package kube runs the engines on a Kubernetes cluster. It reads through informers, keeps a small record of each object,
// and writes through one door (package write). It implements the sources and writers of package control.
//
// Fresh or nothing: the age of the view ([cluster.Snapshot].Stale) is how long the API server has not answered or a
// watch has not been open, whichever is longer; nothing acts on an old view. Own writes are visible at once: what was
// saved is read back from memory until the informer has caught up.
//
// What it does not do: it decides nothing; it sees no namespace that it was not told to watch; rollouts of StatefulSets
// and DaemonSets are not among a workload's changes (their revisions are objects of their own that nobody else needs),
// and PodDisruptionBudgets are not watched (the Eviction API has the last word and says why).
package kube
