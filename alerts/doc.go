// Package alerts turns incidents and decisions into alerts, and alerts into notifications, in Alertmanager's words: an Alert has labels, which
// are what it is, and annotations, which are what it says; a Route tree chooses receivers by matchers; alerts of one route with
// the same group labels are one group; a group is notified once it has waited, at most once in its interval, again when it
// lasts, and once when it is over.
//
// The Dispatcher is a state machine of plain calls: Update with what changed, Due for what to send now, Done with what came of
// it, Next for when to ask again. Decisions is one too, which finds out what of the decisions of autoscalers is an alert. The package sends nothing, reads no clock and starts no goroutine; package internal/notify
// does. It knows no silences and no inhibition beside one: what follows from a root incident is told by the root's alert.
package alerts
