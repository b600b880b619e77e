// Package sources gives a decision every number that it can be made from: the usage of the pods, which their kubelets and
// their own metrics pages tell, and the readings of all other metrics.
//
// Nothing here waits: a source is polled in the background as long as somebody asks for it, and what is asked for is
// the newest that it has delivered. What was delivered too long ago is not known, with the reason; it is never a zero.
//
// It decides nothing. Which replicas count and what a missing value means is the engine's.
package sources
