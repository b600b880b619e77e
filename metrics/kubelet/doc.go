// Package kubelet is the source of usage on Kubernetes: it scrapes /metrics/resource of every node's kubelet and adds
// what it reads to a store of package metrics. Now and then it reads /metrics/cadvisor too, for what only that page
// has: OOM kills inside containers, their resident memory, and how often a CPU limit held them back; and /stats/summary, for
// how long pods waited for a CPU (PSI). The latter needs cgroup v2
// and get on nodes/stats; where there is no PSI it is asked for every few minutes only.
//
// A kubelet is asked directly, with the service account's token and the cluster's CA (needs get on nodes/metrics); where
// that fails, through the API server's node proxy (needs get on nodes/proxy). Which way worked is remembered per node.
// Every node has its own phase within the period, and scrapes run on a bounded number of workers. Nodes that failed or
// were slow the last time have workers of their own, so that dead nodes, however many, do not delay the others.
//
// Limits: a page is taken whole or not at all. Values are as fresh as the kubelet's own readings of the cgroups, which are
// 10 to 15 s apart by default; scraping more often only notices them sooner. A container whose CPU and memory are both
// zero is taken for one that does not run, and gives no sample. Only the containers of pods are read, not pods or nodes.
package kubelet
