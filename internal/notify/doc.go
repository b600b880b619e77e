// Package notify tells people of incidents and decisions: it takes the records of the control loops into a bounded queue, lets package alerts
// decide who is told what and when, and sends it, to Alertmanagers (API v2), to webhooks in Alertmanager's format with a signature,
// and to webhooks as Slack takes them.
//
// Who records never waits; what does not fit is counted, and mended by the next whole view of the incidents. A receiver that is away,
// answers 429 or 5xx is tried again with growing pauses, one that refuses (any other 4xx) is not before its group's next interval.
// Secrets are read from their files for each notification, and are in no log and no error. Events on the workloads are
// none of its job: the platform makes those (control.IncidentStore.Announce). It decides nothing, and keeps nothing over a restart.
package notify
