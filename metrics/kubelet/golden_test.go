package kubelet

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/metrics"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares with the file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(readFile(t, name)), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

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
	golden(t, "resource-1.36.3.golden", out.String())

	out.Reset()
	var r cadvisorReader
	readings, err := r.read(bytes.NewReader(readFile(t, "cadvisor-1.36.3.txt")))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range readings {
		fmt.Fprintf(&out, "%v %v in %s\n", o.key, o.ooms, o.instance)
	}
	golden(t, "cadvisor-1.36.3.golden", out.String())
}
