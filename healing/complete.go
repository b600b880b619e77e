package healing

import (
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

// Complete returns the incident with the result of the action folded in: carried out (its effect is verified from now
// on), blocked, or failed (it is tried again after a while, unless the platform cannot do it or gives no right to it: asking again
// would change nothing). An answer never gives an incident up: the next pass does, which knows what was tried. An answer to a dry run
// only adds what the platform said. An ID that is not known, or has its result already, changes nothing.
func Complete(inc incident.Incident, id string, res Result, now time.Time) incident.Incident {
	out := inc.Clone()
	r := out.Remediation(id)
	if r == nil || r.Outcome != incident.Pending && (r.Outcome != incident.DryRun || r.Attempts > 0) {
		return inc
	}
	out.Attach(res.Evidence...)
	if res.Call != "" {
		r.Call = phrase.Cut(res.Call, incident.MaxMessage)
	}
	if r.Outcome == incident.DryRun {
		rehearsed(&out, r, res, now)
		return out
	}
	first := r.Attempts == 0 && !followerID(r.ID)
	r.FinishedAt, r.Reason, r.Message = now, string(res.Reason), phrase.Cut(res.Message, incident.MaxMessage)
	note := func(reason Reason, message string) {
		if first {
			out.Note(now, string(reason), message)
		}
		out.Say(string(reason), message)
	}
	reason := func(otherwise Reason) Reason {
		if r.Reason == "" {
			r.Reason = string(otherwise)
		}
		return Reason(r.Reason)
	}
	w := words(r)
	goneAlready := res.Reason == ReasonReplicaGone && r.Remedy.OnReplica() && r.Remedy != incident.RemedyCapture
	switch {
	case r.Remedy == incident.RemedyCapture:
		captured(&out, r, res, note, reason)
	case res.Outcome == incident.Done, res.Outcome == incident.Succeeded, goneAlready:
		r.Outcome, out.State = incident.Done, incident.Verifying
		first = !followerID(r.ID) // that it was done at last is noted even if it was the tenth attempt
		reason(ReasonCarriedOut)
		note(ReasonCarriedOut, w.done+suffix(r.Message))
	case res.Outcome == incident.Blocked:
		r.Outcome, out.State = incident.Blocked, incident.Open
		note(reason(ReasonBlockedByPDB), w.doing+" was blocked and is tried again"+suffix(r.Message))
	case res.Reason == ReasonNotSupported:
		r.Outcome, out.State = incident.Failed, incident.Open
		first = true
		note(ReasonNotSupported, w.doing+" is not supported"+suffix(r.Message))
	case res.Reason == ReasonForbidden:
		r.Outcome, out.State = incident.Failed, incident.Open
		first = true
		note(ReasonForbidden, w.doing+" is forbidden"+suffix(r.Message))
	default:
		r.Outcome, out.State = incident.Failed, incident.Open
		reason(ReasonFailed)
		note(ReasonFailed, w.doing+" failed"+suffix(r.Message))
	}
	r.Attempts++
	if out.State == incident.Open && awaiting(&out) != nil {
		out.State = incident.Verifying // what was done to the replicas before it is still watched
	}
	return out
}

// captured ends a capture: whatever it brought is evidence, and the next rung follows.
func captured(out *incident.Incident, r *incident.Remediation, res Result, note func(Reason, string), reason func(Reason) Reason) {
	w := words(r)
	out.State = incident.Open
	if res.Outcome == incident.Done || res.Outcome == incident.Succeeded {
		r.Outcome = incident.Succeeded
		reason(ReasonCarriedOut)
		note(ReasonCarriedOut, w.done+suffix(r.Message))
		return
	}
	r.Outcome = incident.Failed
	reason(ReasonFailed)
	note(ReasonFailed, w.doing+" failed, and is not tried again"+suffix(r.Message))
}

// rehearsed folds in what the platform said to the call that was not made.
func rehearsed(out *incident.Incident, r *incident.Remediation, res Result, now time.Time) {
	r.FinishedAt, r.Attempts = now, 1
	said := "the platform would accept it" + suffix(res.Message)
	if res.Outcome != incident.DryRun && res.Outcome != incident.Done && res.Outcome != incident.Succeeded {
		said = "the platform would refuse it" + suffix(res.Message)
		if res.Reason != "" {
			r.Reason = string(res.Reason)
		}
	}
	r.Message = phrase.Cut(r.Message+"; "+said, incident.MaxMessage)
	out.Note(now, string(ReasonObserveOnly), "dry run: "+said)
}
