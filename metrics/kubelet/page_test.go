package kubelet

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/metrics"
)

var received = time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)

func readFile(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// parse returns the samples by container.
func parse(p *Parser, page string) (map[metrics.Key]metrics.Sample, error) {
	got := map[metrics.Key]metrics.Sample{}
	n, err := p.Parse([]byte(page), received, func(k metrics.Key, s metrics.Sample) { got[k] = s })
	if err == nil && n != len(got) {
		return got, fmt.Errorf("%d samples counted, %d emitted", n, len(got))
	}
	return got, err
}

func TestParsePage(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	key := func(pod, container string) metrics.Key {
		return metrics.Key{Namespace: "shop", Pod: pod, Container: container}
	}
	want := map[metrics.Key]metrics.Sample{
		key("cart-1", "app"): {
			At: at(1772366400123), CPUSeconds: 12.345678901, MemoryBytes: 64 << 20,
			Start: at(1772366000250),
		},
		key("cart-1", "sidecar"):     {At: at(1772366400456), CPUSeconds: 150, MemoryBytes: 2 << 20},
		key("cart-2", "app"):         {At: at(1772366401000), CPUSeconds: 7, MemoryBytes: 1 << 20},
		key("cart-2", "cpu-only"):    {At: at(1772366402000), CPUSeconds: 0.5, NoMemory: true},
		key("cart-2", "memory-only"): {At: at(1772366403000), MemoryBytes: 4096, NoCPU: true},
	}
	page := string(readFile(t, "resource-handwritten.txt"))
	p := NewParser()
	for range 2 { // the second page is read with known containers
		got, err := parse(p, page)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("samples (-want +got):\n%s", diff)
		}
	}
}

func TestParseOddPages(t *testing.T) {
	const cpu = `container_cpu_usage_seconds_total{container="a",namespace="n",pod="p"} `
	one := metrics.Key{Namespace: "n", Pod: "p", Container: "a"}
	tests := []struct {
		name, page string
		want       map[metrics.Key]metrics.Sample
		wantErr    string
	}{
		{
			name: "without a time it is that of the reading",
			page: cpu + "1\n",
			want: map[metrics.Key]metrics.Sample{one: {At: received, CPUSeconds: 1, NoMemory: true}},
		},
		{
			name: "labels in another order, with spaces",
			page: `container_cpu_usage_seconds_total{ pod="p" , namespace="n", extra="}", container="a", } 1` + "\n",
			want: map[metrics.Key]metrics.Sample{one: {At: received, CPUSeconds: 1, NoMemory: true}},
		},
		{
			name: "escaped values",
			page: `container_cpu_usage_seconds_total{container="a\"\\\n,x=\"",namespace="n",pod="p"} 1` + "\n",
			want: map[metrics.Key]metrics.Sample{
				{Namespace: "n", Pod: "p", Container: "a\"\\\n,x=\""}: {At: received, CPUSeconds: 1, NoMemory: true},
			},
		},
		{name: "no container", page: `container_cpu_usage_seconds_total{namespace="n",pod="p"} 1` + "\n"},
		{name: "empty container", page: `container_cpu_usage_seconds_total{container="",namespace="n",pod="p"} 1` + "\n"},
		{name: "no labels", page: "container_cpu_usage_seconds_total 1\n"},
		{name: "negative", page: cpu + "-1\n"},
		{name: "infinite", page: cpu + "+Inf\n"},
		{
			name: "more memory than there is",
			page: `container_memory_working_set_bytes{container="a",namespace="n",pod="p"} 1e300` + "\n",
			want: map[metrics.Key]metrics.Sample{one: {At: received, NoCPU: true, MemoryBytes: math.MaxInt64}},
		},
		{name: "a node without pods", page: "resource_scrape_error 0\n"},
		{name: "the kubelet failed", page: "resource_scrape_error 1\n", wantErr: "the kubelet reports resource_scrape_error 1"},
		{name: "an old kubelet failed", page: "scrape_error 1\n", wantErr: "the kubelet reports resource_scrape_error 1"},
		{name: "empty", page: "", wantErr: "it has no series"},
		{name: "comments only", page: "# HELP a b\n", wantErr: "it has no series"},
		{name: "a web page", page: "<html><body>login</body></html>\n", wantErr: "parse page: "},
		{name: "cut off in a value", page: cpu + "1\n" + cpu[:30], wantErr: "parse page: "},
		{name: "a word for a value", page: cpu + "much\n", wantErr: "parse page: "},
		{name: "a long line of garbage is not quoted whole", page: strings.Repeat("!", 1<<20), wantErr: "parse page: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(NewParser(), tt.page)
			if tt.wantErr == "" && err != nil {
				t.Fatalf("error is %v, want none", err)
			}
			if tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr) || len(err.Error()) > 2*maxCause) {
				t.Fatalf("error is %v, want a short one with %q", err, tt.wantErr)
			}
			if tt.want == nil {
				tt.want = map[metrics.Key]metrics.Sample{}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParserForgetsContainersThatAreGone(t *testing.T) {
	p := NewParser()
	for i := range 50 {
		var page strings.Builder
		for j := range 20 {
			fmt.Fprintf(&page, "container_cpu_usage_seconds_total{container=\"a\",namespace=\"n\",pod=\"p-%d-%d\"} 1 1772366400123\n", i, j)
		}
		got, err := parse(p, page.String())
		if err != nil || len(got) != 20 {
			t.Fatalf("page %d gives %d samples and error %v, want 20", i, len(got), err)
		}
	}
	if len(p.entries) > 200 || len(p.index) != len(p.entries) {
		t.Errorf("the parser remembers %d containers (%d in its index) of 20 that are there", len(p.entries), len(p.index))
	}
}

func TestParseAllocatesNothingPerContainer(t *testing.T) {
	small, large := pageOf(10, 2), pageOf(110, 2)
	allocs := func(page []byte) float64 {
		p := NewParser()
		return testing.AllocsPerRun(20, func() {
			if _, err := p.Parse(page, received, func(metrics.Key, metrics.Sample) {}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if s, l := allocs(small), allocs(large); s != l || l > 10 {
		t.Errorf("%v allocations for 20 containers, %v for 220, want the same few", s, l)
	}
}

func TestReadCadvisor(t *testing.T) {
	key := func(pod, c string) metrics.Key { return metrics.Key{Namespace: "shop", Pod: pod, Container: c} }
	want := []life{
		{
			key: key("cart-1", "app"), instance: "/kubepods/burstable/pod1/bbb", has: hasOOM | hasResident | hasPeriods | hasThrottled,
			resident: 64 << 20, residentAt: 1772366400700, periods: 400, throttled: 100, throttledAt: 1772366400600,
		},
		{key: key("cart-2", "app"), instance: "/kubepods/burstable/pod1/ddd"},
		{key: key("cart-1", "app"), instance: "/kubepods/burstable/pod1/aaa", has: hasOOM, ooms: 3},
		{key: key("cart-1", `side"car`), instance: "/kubepods/burstable/pod1/ccc", has: hasOOM, ooms: 1},
	}
	page := readFile(t, "cadvisor-handwritten.txt")
	long := append([]byte(`container_tasks_state{container="`+strings.Repeat("x", 200<<10)+familyOOM+"\"} 1\n"), page...)
	var r cadvisorReader
	for name, page := range map[string][]byte{"page": page, "after a line longer than the buffer": long} {
		for range 2 {
			got, err := r.read(iotest.HalfReader(bytes.NewReader(page)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(life{})); diff != "" {
				t.Errorf("%s: lives (-want +got):\n%s", name, diff)
			}
		}
	}
	if got, err := r.read(strings.NewReader("machine_cpu_cores 2\n")); err != nil || len(got) != 0 {
		t.Errorf("a page without the families gives %v and error %v, want nothing", got, err)
	}
	if _, err := r.read(strings.NewReader(familyOOM + "{ 1\n")); err == nil {
		t.Error("a line that cannot be parsed gives no error")
	}
	if _, err := r.read(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(page)))); err == nil {
		t.Error("a broken connection gives no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(readFile(f, "resource-handwritten.txt"))
	f.Add(readFile(f, "resource-1.36.3.txt"))
	f.Add([]byte(`{"container_cpu_usage_seconds_total",container="a","name\"space"="n",pod="p"} 1` + "\n"))
	f.Add([]byte(`container_cpu_usage_seconds_total{container="a\\",namespace="\"n",pod="p"} 1 5` + "\n"))
	f.Fuzz(func(t *testing.T, page []byte) {
		p := NewParser()
		first, err := parse(p, string(page))
		if err != nil && len(first) != 0 {
			t.Fatalf("%d samples of a page with error %v", len(first), err)
		}
		for k, s := range first {
			if k.Container == "" || k.Pod == "" {
				t.Fatalf("sample of no container: %v", k)
			}
			if s.NoCPU && s.NoMemory || s.At.IsZero() || s.MemoryBytes < 0 || !(s.CPUSeconds >= 0) {
				t.Fatalf("%v has an impossible sample: %+v", k, s)
			}
			metrics.NewWindow(2).Add(s)
		}
		second, errAgain := parse(p, string(page))
		if fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("read again the error is %v, before %v", errAgain, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("read again (-first +second):\n%s", diff)
		}
	})
}

func FuzzReadCadvisor(f *testing.F) {
	f.Add(readFile(f, "cadvisor-handwritten.txt"))
	f.Add(readFile(f, "cadvisor-1.36.3.txt"))
	f.Add([]byte(familyOOM + `{container="a",id="/x",namespace="n",pod="p"} 1`))
	f.Fuzz(func(t *testing.T, page []byte) {
		var r cadvisorReader
		got, err := r.read(bytes.NewReader(page))
		if err != nil {
			return
		}
		for _, o := range got {
			if o.key.Container == "" || o.key.Pod == "" {
				t.Fatalf("counter of no container: %+v", o)
			}
			if !(o.ooms >= 0 && o.resident >= 0 && o.periods >= 0 && o.throttled >= 0) {
				t.Fatalf("values that cannot be: %+v", o)
			}
		}
	})
}

// pageOf makes up a page as long as that of a node with so many pods.
func pageOf(pods, containers int) []byte {
	var b bytes.Buffer
	names := []string{"app", "istio-proxy", "log-shipper"}
	family := func(name, kind string, line func(id string, i int)) {
		fmt.Fprintf(&b, "# HELP %s [STABLE] A family of the kubelet's page\n# TYPE %s %s\n", name, name, kind)
		for c := range containers {
			for i := range pods {
				line(fmt.Sprintf("%s{container=%q,namespace=\"shop-%d\",pod=\"checkout-6d4cf56db6-%05d\"}", name, names[c], i%7, i), i)
			}
		}
	}
	family(familyCPU, "counter", func(id string, i int) {
		fmt.Fprintf(&b, "%s %v %d\n", id, 1234.56789*float64(i+1), 1772366400123+i)
	})
	family(familyMemory, "gauge", func(id string, i int) {
		fmt.Fprintf(&b, "%s %e %d\n", id, 1.2345678e+08*float64(i+1), 1772366400123+i)
	})
	family(familyStart, "gauge", func(id string, i int) {
		fmt.Fprintf(&b, "%s %e\n", id, 1.7723660001234567e+09+float64(i))
	})
	family("container_swap_usage_bytes", "gauge", func(id string, i int) {
		fmt.Fprintf(&b, "%s 0 %d\n", id, 1772366400123+i)
	})
	b.WriteString("resource_scrape_error 0\n")
	b.Grow(1)
	return b.Bytes()
}

func BenchmarkParse110Pods(b *testing.B) {
	page := pageOf(110, 2)
	p := NewParser()
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		n, err := p.Parse(page, received, func(metrics.Key, metrics.Sample) {})
		if err != nil || n != 220 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkParse110PodsFirst is the first page of a node, or that of a parser that remembers nothing.
func BenchmarkParse110PodsFirst(b *testing.B) {
	page := pageOf(110, 2)
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		n, err := NewParser().Parse(page, received, func(metrics.Key, metrics.Sample) {})
		if err != nil || n != 220 {
			b.Fatal(n, err)
		}
	}
}

// cadvisorPage is a page of 5 MB with 220 lines of each family.
func cadvisorPage(families ...string) []byte {
	line := func(family string, i int) string {
		return fmt.Sprintf("%s{container=\"app\",id=\"/kubepods.slice/pod%05d/cri-%064d\",image=\"registry.example/shop/checkout:1.2.3\","+
			"name=\"%064d\",namespace=\"shop\",pod=\"checkout-6d4cf56db6-%05d\"} 0 1772366400123\n", family, i, i, i, i)
	}
	var page bytes.Buffer
	for i := range 16000 {
		page.WriteString(line("container_memory_failures_total", i))
	}
	for _, family := range families {
		for i := range 220 {
			page.WriteString(line(family, i))
		}
	}
	return page.Bytes()
}

func benchmarkCadvisor(b *testing.B, page []byte) {
	b.Helper()
	var r cadvisorReader
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if got, err := r.read(bytes.NewReader(page)); err != nil || len(got) != 220 {
			b.Fatal(len(got), err)
		}
	}
}

// BenchmarkReadCadvisor is a page with all that is read of it, and BenchmarkReadCadvisorOOM one with the counters of OOM kills only:
// the difference is what resident memory and throttling cost.
func BenchmarkReadCadvisor(b *testing.B) {
	benchmarkCadvisor(b, cadvisorPage(familyPeriods, familyThrottled, familyOOM, familyResident))
}

func BenchmarkReadCadvisorOOM(b *testing.B) { benchmarkCadvisor(b, cadvisorPage(familyOOM)) }
