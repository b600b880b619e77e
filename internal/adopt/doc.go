// Package adopt makes an Autoscaler out of a HorizontalPodAutoscaler, and puts it in its place in a cluster.
//
// It works with the rights of whoever calls it and needs a controller that runs. Until the Autoscaler has shown that it can
// decide, and that it would ask for the same number of replicas, nothing is taken away; after that, whatever goes wrong puts the
// HorizontalPodAutoscaler back. What that one remembers (the recommendations of its stabilization window, the changes of
// its rate limits) is nowhere to be read, and what the Autoscaler has seen while it waited takes its place.
package adopt
