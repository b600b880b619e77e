package healing

import (
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// TestTheRootIsToldAfterItIsOver verifies that who the root was is found in what is stored, where the root itself is not any more.
func TestTheRootIsToldAfterItIsOver(t *testing.T) {
	w := webWorld(2)
	down := func(root string) {
		w.climate.Roots = nil
		for name := range w.stored {
			if root != "" {
				w.climate.Roots = map[string]string{name: root}
			}
		}
	}
	look := func() incident.Incident {
		w.now = w.now.Add(10 * time.Second)
		w.pass(&leader{name: "a"})
		return w.only(t)
	}
	w.kill("web-0", "Error")
	w.wait(w.find("web-0"), &w.find("web-0").Containers[0], "CrashLoopBackOff", "back-off 10s")
	if in := look(); followed(&in) != "" {
		t.Fatalf("it follows from %q before it has a root", followed(&in))
	}
	for _, step := range []struct{ root, want string }{{"home/n1-1", "home/n1-1"}, {"", "home/n1-1"}, {"demo/db-2", "demo/db-2"}, {"", "demo/db-2"}} {
		down(step.root)
		in := look()
		if in.Root != step.root || followed(&in) != step.want {
			t.Errorf("with the root %q it is stored with %q and followed from %q, want %q", step.root, in.Root, followed(&in), step.want)
		}
	}
	for i := range incident.MaxTimeline / 2 { // it goes on to fail for itself
		in := w.only(t)
		in.Note(w.now, string(ReasonSeenAgain), fmt.Sprint("again ", i))
		w.stored[in.Name] = in
	}
	if in := w.only(t); followed(&in) != "demo/db-2" {
		t.Errorf("after a while it followed from %q", followed(&in))
	}
}
