// Package local is the platform of this machine: the replicas of one service are processes behind a small load balancer,
// and the same engines that run a cluster scale and heal them. It needs neither root nor a cluster, on Linux and macOS.
//
// A [Platform] is made from one YAML file ([Load]) with one Service, and any number of Autoscaler and HealingPolicy documents
// with the fields that they have in a cluster. It implements the interfaces of package control. Incidents, budgets and the
// last decisions are files in a state folder, which one Platform writes and anybody may read ([OpenState]).
//
// The smallest useful file, run with two replicas of a command that listens on $PORT:
//
//	apiVersion: local.homeostat.dev/v1alpha1
//	kind: Service
//	metadata: {name: web, labels: {app: web}}
//	spec:
//	  command: [./demoapp]
//	  replicas: 2
//	  listen: 127.0.0.1:8080
//	  readinessProbe: {path: /readyz}
//	  resources: {requests: {cpu: 200m}, limits: {memory: 128Mi}}
//	---
//	apiVersion: homeostat.dev/v1alpha1
//	kind: Autoscaler
//	metadata: {name: web}
//	spec:
//	  scaleTargetRef: {kind: Service, name: web}
//	  minReplicas: 2
//	  maxReplicas: 4
//	---
//	apiVersion: homeostat.dev/v1alpha1
//	kind: HealingPolicy
//	metadata: {name: web}
//	spec:
//	  selector: {matchLabels: {app: web}}
//	  mode: Act
//
// Its limits are those of package process (a memory limit that is polled) and package service (nothing isolates the
// replicas). There is one service, in the namespace "local", and there are no nodes; what only a cluster knows (images,
// revisions, scheduling) is not known here. The configuration is read once.
package local
