// Package incident holds the nouns of the healing engine's memory: findings, incidents, evidence and remediations.
//
// An Incident is one workload and one cause, not one pod. It is the durable record: everything that a new leader
// needs in order to go on where the old one stopped is in it. The package imports nouns only and stores nothing.
package incident
