package cluster

import (
	"testing"
	"time"
)

func TestADecisionHasOneIDWhereverItIsComputed(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC)
	ref := Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web", UID: "u1"}
	id := DecisionID(ref, at, 2, 4)
	if id != "d-846b76909f" || !IsDecisionID(id) {
		t.Errorf("id is %q; it is in stored objects and logs and must stay what it is", id)
	}
	noUID := ref
	noUID.UID = ""
	for name, same := range map[string]string{
		"as a status keeps the time": DecisionID(ref, at.Truncate(time.Microsecond), 2, 4),
		"in another time zone":       DecisionID(ref, at.In(time.FixedZone("x", 3600)), 2, 4),
		"without UID":                DecisionID(noUID, at, 2, 4),
	} {
		if same != id {
			t.Errorf("%s it is %q, want %q", name, same, id)
		}
	}
	other := ref
	other.Kind = "HorizontalPodAutoscaler"
	for name, differs := range map[string]string{
		"another kind": DecisionID(other, at, 2, 4), "a later one": DecisionID(ref, at.Add(time.Microsecond), 2, 4),
		"from another number": DecisionID(ref, at, 3, 4), "to another number": DecisionID(ref, at, 2, 5),
	} {
		if differs == id || !IsDecisionID(differs) {
			t.Errorf("%s has the id %q", name, differs)
		}
	}
	if none := DecisionID(ref, at, 2, 2); none != "" {
		t.Errorf("a decision that changes nothing has the id %q", none)
	}
}

func TestTheIDOfAnIncidentIsNoDecisions(t *testing.T) {
	t.Parallel()
	for _, id := range []string{IncidentID("shop", "web-oomkilled-1"), "d-1", "d-0123456789ab", "d-zzzzzzzzzz", "d-" + "demo/d-0123456789", ""} {
		if IsDecisionID(id) {
			t.Errorf("%q passes for a decision's", id)
		}
	}
}
