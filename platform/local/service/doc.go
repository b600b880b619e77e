// Package service keeps the replicas of one local service running: each is a process of one command with a port of its
// own, behind a load balancer.
//
// A replica is treated as the kubelet treats a pod with one container: it gets requests once its readiness probe
// passes; it is killed and started again when its liveness probe fails; when it ends it is started again at once, then
// with a back-off that doubles; what it printed is kept, also that of its earlier lives. States, reasons and events have the kubelet's
// words, so that the same checks read them. A replica that is stopped gets no new requests first, then SIGTERM when
// those under way are done or half of the grace period is over, and SIGKILL at its end.
//
// Differences from a pod: a restarted process gets another port; nothing isolates the replicas from each other or from
// the machine (same files, same network, CPU requests are not enforced); and the memory limit is polled (package
// process).
package service
