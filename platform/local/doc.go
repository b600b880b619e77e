// Package local is the platform of this machine: the replicas of one service are processes behind a small load balancer,
// and the same engines that run a cluster scale and heal them. It needs neither root nor a cluster, on Linux and macOS.
//
// A [Platform] is made from one YAML file ([Load]) with one Service, and any number of Autoscaler and HealingPolicy documents
// with the fields that they have in a cluster. It implements the interfaces of package control. Incidents, budgets and the
// last decisions are files in a state folder, which one Platform writes and anybody may read ([OpenState]).
//
// Its limits are those of package process (a memory limit that is polled) and package service (nothing isolates the
// replicas). There is one service, in the namespace "local", and there are no nodes; what only a cluster knows (images,
// revisions, scheduling) is not known here. The configuration is read once.
package local
