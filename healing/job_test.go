package healing

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// TestAFailedJobDoesNotGetHealthy verifies what is said at the end of the incident of a job that failed for good: nothing of health.
func TestAFailedJobDoesNotGetHealthy(t *testing.T) {
	w := newWorld()
	w.workload.Ref = cluster.Ref{Kind: cluster.KindJob, Namespace: "demo", Name: "load"}
	w.workload.Conditions = []cluster.Condition{{Type: "Failed", Status: "True", Reason: "BackoffLimitExceeded", Since: w.now}}
	l := &leader{name: "a"}
	for range 20 {
		w.now = w.now.Add(time.Minute)
		w.pass(l)
	}
	in := w.only(t)
	if in.Kind != incident.JobFailed || in.State != incident.Resolved {
		t.Fatalf("the incident is %s %s", in.Kind, in.State)
	}
	said := in.Message
	for _, e := range in.Timeline {
		said += "\n" + e.Reason + ": " + e.Message
	}
	if strings.Contains(said, "health") || !strings.Contains(in.Message, "has failed") {
		t.Errorf("at its end the incident of a job that failed says:\n%s", said)
	}
}
