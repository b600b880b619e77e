package survey

import (
	"strconv"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// TestMembersAreCountedBeyondThoseThatAreNamed verifies that the number of workloads of a lost node, and of a storm, is how many there
// are, though at most incident.MaxMembers are named.
func TestMembersAreCountedBeyondThoseThatAreNamed(t *testing.T) {
	const workloads = incident.MaxMembers + 28
	c := newCity(t, workloads)
	for i := range workloads {
		c.fails("w"+strconv.Itoa(i), incident.CrashLoop)
	}
	c.node("n2", "Unknown")
	c.now = c.now.Add(11 * time.Second)
	c.survey()
	counts := func(want int32) {
		t.Helper()
		seen := 0
		for i := range c.stored {
			in := &c.stored[i]
			if in.Namespace != home {
				continue
			}
			seen++
			if in.MemberCount != want || len(in.Members) != incident.MaxMembers {
				t.Errorf("%s has %d members, %d named; want %d, %d named", in.Name, in.MemberCount, len(in.Members), want, incident.MaxMembers)
			}
		}
		if seen != 2 {
			t.Errorf("%d incidents about nodes and the cluster, want 2", seen)
		}
	}
	counts(workloads)
	c.add("late")
	c.fails("late", incident.CrashLoop)
	c.survey()
	counts(workloads + 1)
	before := len(c.stored)
	if s := c.survey(); len(s.Save) != 0 || len(c.stored) != before {
		t.Errorf("what did not change is stored again: %+v", s.Save)
	}
}
