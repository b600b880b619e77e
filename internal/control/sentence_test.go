package control

import (
	"testing"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// An event says what it is about: an incident that refuses to act and is joined by a member tells of the member.
func TestAnEventSaysWhatItIsAbout(t *testing.T) {
	in := incident.Incident{
		Reason: string(healing.ReasonNotApplicable), Message: "nothing is done",
		Timeline: []incident.Entry{
			{Reason: string(healing.ReasonOpened), Message: "it fails"},
			{Reason: string(healing.ReasonMemberJoined), Message: "fails because of it: front"},
			{Reason: string(healing.ReasonMemberJoined), Message: "fails because of it: page"},
			{Reason: string(healing.ReasonNotApplicable), Message: "nothing is done"},
		},
	}
	for event, want := range map[healing.Reason]string{
		healing.ReasonMemberJoined: "fails because of it: page", healing.ReasonNotApplicable: "nothing is done",
		healing.ReasonOpened:    "nothing is done", // the message of one just opened has its cause in it
		healing.ReasonRecovered: "nothing is done",
	} {
		if got := sentence(&in, event); got != want {
			t.Errorf("the event %s says %q, want %q", event, got, want)
		}
	}
}
