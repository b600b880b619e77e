// Package beside runs Homeostat and Kubernetes' own HorizontalPodAutoscaler side by side: the same Deployment twice, each
// in a namespace of its own, the same load, the same spec, one scaled by each. It records what both do, second by second.
//
// Three tests are about failures: replicas that crash-loop, that were killed for their memory, and that live on without
// one of their containers. Each asserts that the native controller takes replicas away in the middle of the failure and
// that Homeostat does not; if the native one does well, the test fails too, because then the documentation is wrong. A
// fourth measures how long a step of load takes to become a write and enough ready replicas.
//
// It needs a cluster (KUBECONFIG) with metrics-server and the native controller at the settings that it is to be compared
// with, whose nodes have the images, and is behind the build tag e2e; hack/beside.sh makes all that and runs it. What it
// recorded goes to the folder of RESULTS as JSON; hack/curves.py draws it.
package beside
