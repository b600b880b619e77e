// Package view turns Kubernetes objects into the nouns that the engines read.
//
// Its first half runs when an object arrives: [Records.Transform] is the transform of the informers and replaces a pod,
// an owner or a node by a record that keeps only what is read, so that the cache of a large cluster stays small and
// every conversion is done once per change. Its second half runs on every look: [Workloads] groups the records under the
// top of their chain of owners. [Events] keeps the few events that are evidence.
//
// It is pure but for the locks around its own memory: no client, no clock. Records are shared and never changed once
// they are made. A pod whose owner is of a watched kind and has not arrived yet is left out, not guessed at.
package view
