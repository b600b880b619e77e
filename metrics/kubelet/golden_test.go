package kubelet

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/transcript"
	"github.com/homeostat/homeostat/metrics"
)

// TestRealPages reads pages of a real kubelet: five containers, one of which has restarted, and one that lost a child to
// the OOM killer.
func TestRealPages(t *testing.T) {
	const at = "2006-01-02T15:04:05.000"
	var out strings.Builder
	n, err := NewParser().Parse(readFile(t, "resource-1.36.3.txt"), received, func(k metrics.Key, s metrics.Sample) {
		fmt.Fprintf(&out, "%v at %s cpu %v s, memory %d, started %s\n", k, s.At.Format(at), s.CPUSeconds, s.MemoryBytes, s.Start.Format(at))
	})
	if err != nil || n != strings.Count(out.String(), "\n") {
		t.Fatalf("error is %v, %d samples", err, n)
	}
	transcript.Compare(t, "testdata/resource-1.36.3.golden", out.String())

	out.Reset()
	var r cadvisorReader
	readings, err := r.read(bytes.NewReader(readFile(t, "cadvisor-1.36.3.txt")))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range readings {
		fmt.Fprintf(&out, "%v %v in %s\n", o.key, o.ooms, o.instance)
	}
	transcript.Compare(t, "testdata/cadvisor-1.36.3.golden", out.String())
}
