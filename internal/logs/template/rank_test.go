package template

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/incident"
)

func lines(text string) []string { return strings.Split(strings.Trim(text, "\n"), "\n") }

func repeat(n int, format string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}

const goPanic = `
2026/11/20 12:00:01 listening on :8080
2026/11/20 12:00:07 GET /orders/17 200 12.5ms
2026/11/20 12:00:08 GET /orders/18 200 9.1ms
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x4a1b2c]

goroutine 21 [running]:
main.(*Store).Price(...)
	/app/store.go:41
main.(*Server).order(0xc0000b4000, {0x7f, 0xc00011e000}, 0xc000120000)
	/app/server.go:88 +0x1d
created by net/http.(*Server).Serve in goroutine 1
	/usr/local/go/src/net/http/server.go:3285 +0x4b4
exit status 2
`

const javaTrace = `
2026-11-20 12:00:00.101  INFO 1 --- [main] c.e.OrdersApplication : Started OrdersApplication in 2.317 seconds
2026-11-20 12:00:09.412 ERROR 1 --- [nio-8080-exec-3] o.a.c.c.C.[dispatcherServlet] : Servlet.service() threw exception
java.lang.IllegalStateException: Failed to load order 42
	at com.example.OrderService.load(OrderService.java:57)
	at com.example.OrderController.get(OrderController.java:23)
	... 42 common frames omitted
Caused by: java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 30001ms
	at com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)
	... 12 more
2026-11-20 12:00:09.500  INFO 1 --- [main] c.e.OrdersApplication : bye
`

const pythonError = `
INFO:root:worker 3 started
Traceback (most recent call last):
  File "/app/worker.py", line 31, in run
    self.handle(job)
  File "/app/worker.py", line 55, in handle
    return prices[job["sku"]]
KeyError: 'sku-123'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 9, in <module>
    Worker().run()
RuntimeError: job 77 failed
`

const nginx = `
10.0.0.7 - - [20/Nov/2026:12:00:01 +0000] "GET /api/orders/17 HTTP/1.1" 200 612 "-" "Mozilla/5.0 (X11; Linux x86_64)"
10.0.0.9 - - [20/Nov/2026:12:00:02 +0000] "GET /api/orders/99 HTTP/1.1" 200 98 "-" "curl/8.5.0"
10.0.0.7 - - [20/Nov/2026:12:00:03 +0000] "POST /api/orders HTTP/1.1" 502 157 "-" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
2026/11/20 12:00:03 [error] 29#29: *5 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.7
2026/11/20 12:00:04 [emerg] 1#1: host not found in upstream "orders.shop.svc" in /etc/nginx/conf.d/default.conf:3
`

const jsonLines = `
{"level":"info","ts":1795176001.12,"caller":"app/main.go:41","msg":"listening","addr":":8080"}
{"level":"error","ts":1795176002.5,"caller":"app/db.go:19","msg":"query failed","error":"dial tcp 10.0.0.4:5432: connect: connection refused","stacktrace":"main.query\n\t/app/db.go:19"}
{"level":"warn","time":"2026-11-20T12:00:03Z","message":"retrying in 250ms"}
{"@timestamp":"2026-11-20T12:00:04Z","log.level":"ERROR","message":"order 17 lost","stack_trace":"java.lang.IllegalStateException: no stock\n\tat com.example.Stock.take(Stock.java:12)\n"}
{"time":60,"level":60,"msg":"giving up after 5 tries"}
time=2026-11-20T12:00:05Z level=ERROR msg="order \"17\" lost" err="no stock" trace=4bf92f3577b34da6a3ce929d0e0e4736
`

// TestWhatTheLogsOfRealProgramsBecome has, for each log, its templates in their order with no baseline known: the worst and the
// last ones come first.
func TestWhatTheLogsOfRealProgramsBecome(t *testing.T) {
	for name, tc := range map[string]struct {
		log  string
		want []string // count, then the template
	}{
		"a Go panic": {goPanic, []string{
			"1 panic: runtime error: invalid memory address or nil pointer dereference at main.(*Store).Price",
			"2 <*> <*> GET /orders/<*> <*> <*>",
			"1 <*> <*> listening on :<*>",
		}},
		"a Java stack trace": {javaTrace, []string{
			"1 java.lang.IllegalStateException: Failed to load order <*> Caused by: java.sql.SQLTransientConnectionException: " +
				"HikariPool-<*> - Connection is not available, request timed out after <*> at com.example.OrderService.load",
			"1 <*> <*> ERROR <*> --- [nio-<*>-exec-<*>] o.a.c.c.C.[dispatcherServlet] : Servlet.service() threw exception",
			"1 <*> <*> INFO <*> --- [main] c.e.OrdersApplication : bye",
			"1 <*> <*> INFO <*> --- [main] c.e.OrdersApplication : Started OrdersApplication in <*> seconds",
		}},
		"a Python traceback": {pythonError, []string{
			"1 RuntimeError: job <*> failed at <module>",
			"1 INFO:root:worker <*> started",
		}},
		"nginx": {nginx, []string{
			"1 <*> <*> [emerg] <*>#<*>: host not found in upstream <*> in /etc/nginx/conf.d/default.conf:<*>",
			"1 <*> <*> [error] <*>#<*>: *<*> connect() failed (<*>: Connection refused) while connecting to upstream, client: <*>",
			"1 <*> - - [<*>/Nov/<*> +<*>] <*> HTTP5xx <*> <*> <*>",
			"2 <*> - - [<*>/Nov/<*> +<*>] <*> HTTP2xx <*> <*> <*>",
		}},
		"JSON and logfmt": {jsonLines, []string{
			"1 giving up after <*> tries",
			"1 order <*> lost: no stock",
			"1 order <*> lost: java.lang.IllegalStateException: no stock at com.example.Stock.take",
			"1 query failed: dial tcp <*>: connect: connection refused",
			"1 retrying in <*>",
			"1 listening",
		}},
		"a dump whose head is cut off": {"main.work(0x1)\n\t/app/main.go:1\n\ngoroutine 7 [select]:\nmain.wait()\n\t/app/main.go:9 +0x1\nexit status 2\n", []string{
			"1 stack trace at main.work",
		}},
		"a Node.js error": {"TypeError: Cannot read properties of undefined (reading 'id')\n    at handle (/app/index.js:12:5)\n    at Layer.handle (/app/node_modules/express/lib/layer.js:95:5)\nbye\n", []string{
			"1 TypeError: Cannot read properties of undefined (reading <*>) at handle",
			"1 bye",
		}},
		"klog": {"I1120 12:00:00.000001       1 main.go:12] starting\nF1120 12:00:01.000001       1 main.go:15] no kubeconfig\n", []string{
			"1 F<*> <*> <*> main.go:<*>] no kubeconfig",
			"1 I<*> <*> <*> main.go:<*>] starting",
		}},
		"what is not there is no failure": {"done: 0 errors, err=nil\ndone, no error: true\nerrors: 5\n", []string{
			"1 errors: <*>",
			"1 done, no error: true",
			"1 done: <*> errors, err=nil",
		}},
		"nothing": {"\n\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, tpl := range Rank(Logs{Dead: lines(tc.log)}) {
				got = append(got, fmt.Sprintf("%d %s", tpl.Count, tpl.Template))
				if tpl.Before != -1 || tpl.Siblings != -1 {
					t.Errorf("%q is counted in a baseline that is not known: %d, %d", tpl.Template, tpl.Before, tpl.Siblings)
				}
				if tpl.Novelty != 50 {
					t.Errorf("%q has novelty %d without any baseline", tpl.Template, tpl.Novelty)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("templates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoveltyIsWhatTheBaselinesDoNotHave(t *testing.T) {
	dead := slices.Concat(repeat(8, "GET /orders/%d 200"), []string{"pool is at 97 of 100", "upstream refused order 7"})
	for name, tc := range map[string]struct {
		before, siblings []string
		want             []incident.LogTemplate
	}{
		"both are known": {
			before: slices.Concat(repeat(95, "GET /orders/%d 200"), repeat(5, "pool is at %d of 100")), siblings: repeat(50, "GET /orders/%d 200"),
			want: []incident.LogTemplate{
				{Template: "upstream refused order <*>", Count: 1, Before: 0, Siblings: 0, Novelty: 100, Example: "upstream refused order 7"},
				{Template: "pool is at <*> of <*>", Count: 1, Before: 5, Siblings: 0, Novelty: 75, Example: "pool is at 97 of 100"},
				{Template: "GET /orders/<*> <*>", Count: 8, Before: 95, Siblings: 50, Novelty: 0, Example: "GET /orders/7 200"},
			},
		},
		"only the siblings are known, and fail too": {
			siblings: slices.Concat(repeat(90, "GET /orders/%d 200"), repeat(10, "upstream refused order %d")),
			want: []incident.LogTemplate{
				{Template: "pool is at <*> of <*>", Count: 1, Before: -1, Siblings: 0, Novelty: 100, Example: "pool is at 97 of 100"},
				{Template: "upstream refused order <*>", Count: 1, Before: -1, Siblings: 10, Novelty: 0, Example: "upstream refused order 7"},
				{Template: "GET /orders/<*> <*>", Count: 8, Before: -1, Siblings: 90, Novelty: 0, Example: "GET /orders/7 200"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Rank(Logs{Dead: dead, Before: tc.before, Siblings: tc.siblings})); diff != "" {
				t.Errorf("templates (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAFailureDoesNotMeltIntoWhatItResembles has two lines that differ in one word of six.
func TestAFailureDoesNotMeltIntoWhatItResembles(t *testing.T) {
	got := Rank(Logs{
		Dead:   []string{"connection to orders-db was accepted today", "connection to orders-db was refused today"},
		Before: slices.Repeat([]string{"connection to orders-db was accepted today"}, 100),
	})
	if len(got) != 2 || got[0].Template != "connection to orders-db was refused today" || got[0].Novelty != 100 || got[1].Novelty != 0 {
		t.Errorf("templates: %+v", got)
	}
}

func TestWordsThatVaryBecomeWildWhereTheRestAgrees(t *testing.T) {
	got := Rank(Logs{Dead: []string{"session of alice was closed by peer", "session of bob was closed by peer", "cache hit", "cache miss"}})
	var templates []string
	for _, g := range got {
		templates = append(templates, g.Template)
	}
	slices.Sort(templates)
	want := []string{"cache hit", "cache miss", "session of <*> was closed by peer"}
	if diff := cmp.Diff(want, templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
}

// TestTheOrderOfLinesDoesNotMatter shuffles all but the last line: examples apart, the result is the same.
func TestTheOrderOfLinesDoesNotMatter(t *testing.T) {
	all := lines(nginx + jsonLines)
	for i := range 40 {
		all = append(all, fmt.Sprintf("user %c%d opened page %d of the catalogue", 'a'+i%7, i, i*i), fmt.Sprintf("worker %s is done", strings.Repeat("x", i%5+1)))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	result := func(dead, before []string) []incident.LogTemplate {
		out := Rank(Logs{Dead: append(slices.Clone(dead), "the end"), Before: before})
		for i := range out {
			out[i].Example = ""
		}
		slices.SortFunc(out, func(a, b incident.LogTemplate) int { return strings.Compare(a.Template, b.Template) })
		return out
	}
	before := all[len(all)/2:]
	// A full list would be cut in an order that the last lines decide.
	dead := all[len(all)-12:]
	want := result(dead, before)
	for range 50 {
		dead, before := slices.Clone(dead), slices.Clone(before)
		rng.Shuffle(len(dead), func(i, j int) { dead[i], dead[j] = dead[j], dead[i] })
		rng.Shuffle(len(before), func(i, j int) { before[i], before[j] = before[j], before[i] })
		if diff := cmp.Diff(want, result(dead, before)); diff != "" {
			t.Fatalf("another order, another result (-want +got):\n%s", diff)
		}
	}
}

func TestBounds(t *testing.T) {
	var many []string
	for i := range 3 * maxLines {
		many = append(many, strings.Repeat(fmt.Sprintf("w%c%c%c%c ", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, 'a'+i%11), i%80+1))
	}
	got := Rank(Logs{Dead: many[:500], Before: many[500:900]})
	if len(got) != incident.MaxTemplates {
		t.Errorf("%d templates, allowed %d", len(got), incident.MaxTemplates)
	}
	for _, g := range got {
		if n := len(strings.Fields(g.Template)); n > maxTokens {
			t.Errorf("a template has %d tokens, allowed are %d", n, maxTokens)
		}
	}
	groups, totals := sift(Logs{Dead: many})
	tr := newTree()
	for _, g := range groups {
		tr.add(g)
	}
	if tr.size != maxTemplates || totals[dead] != maxLines {
		t.Errorf("%d templates of %d lines, allowed %d of %d", tr.size, totals[dead], maxTemplates, maxLines)
	}
}

func TestTokens(t *testing.T) {
	for in, want := range map[string]string{
		"took 12ms, 1.5s or 1h2m3s":                          "took <*>, <*> or <*>",
		"temp=-5.2 load:+3 50% of 64Mi":                      "temp=-<*> load:+<*> <*> of <*>",
		"peer 10.0.0.1:8080 [::1]:80 fe80::1%eth0":           "peer <*> <*> <*>",
		"id 550e8400-e29b-41d4-a716-446655440000 done":       "id <*> done",
		"commit 3f2a9bc deadbeef 0xc000":                     "commit <*> deadbeef <*>",
		"pod web-7d4f9c6b5-x2x9z on node1":                   "pod web-<*> on node1",
		"GET /users/123/orders/9f8e7d6c?page=2":              "GET /users/<*>/orders/<*>?page=<*>",
		"at 2026-11-20T12:00:00.123Z and 12:00:03,123":       "at <*> and <*>",
		`open "/etc/x y": it's 'not' there`:                  "open <*>: it's <*> there",
		`she said "this is a whole sentence 5" and left "a"`: `she said "this is a whole sentence <*>" and left <*>`,
		"utf8 http2 TLS1.2 s3 sha256 x86_64":                 "utf8 http2 TLS1.<*> s3 sha256 x86_<*>",
		"E1120 order12345 log4j":                             "E<*> order<*> log4j",
		"***":                                                "***",
	} {
		got := strings.Join(tokens(in), " ")
		if got != want {
			t.Errorf("tokens(%q) = %q, want %q", in, got, want)
		}
		if again := strings.Join(tokens(got), " "); again != got {
			t.Errorf("%q becomes %q and then %q", in, got, again)
		}
	}
}

func FuzzTokens(f *testing.F) {
	for _, s := range lines(goPanic + javaTrace + pythonError + nginx + jsonLines) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := tokens(text)
		if len(once) > maxTokens {
			t.Fatalf("%d tokens", len(once))
		}
		once = tokens(strings.NewReplacer(`"`, "", "'", "", "`", "").Replace(text))
		if again := tokens(strings.Join(once, " ")); !slices.Equal(once, again) {
			t.Fatalf("%q becomes %q and then %q", text, once, again)
		}
	})
}

func FuzzRank(f *testing.F) {
	f.Add(goPanic, javaTrace, nginx)
	f.Add(pythonError, jsonLines, "")
	f.Add("x\n\tat y\nCaused by: z\n", "goroutine 1 [x]:\n)", "Traceback (most recent call last):\n a\n\nb")
	f.Fuzz(func(t *testing.T, dead, before, siblings string) {
		l := Logs{Dead: strings.Split(dead, "\n"), Before: strings.Split(before, "\n"), Siblings: strings.Split(siblings, "\n")}
		got := Rank(l)
		var counted int32
		for i, g := range got {
			counted += g.Count
			if g.Count < 1 || g.Novelty < 0 || g.Novelty > 100 || g.Template == "" || g.Before < -1 || g.Siblings < -1 {
				t.Fatalf("template %d: %+v", i, g)
			}
			if utf8.ValidString(dead) && !utf8.ValidString(g.Template) {
				t.Fatalf("not UTF-8: %q", g.Template)
			}
		}
		if len(got) > incident.MaxTemplates || int(counted) > len(l.Dead) {
			t.Fatalf("%d templates of %d lines count %d", len(got), len(l.Dead), counted)
		}
		if diff := cmp.Diff(got, Rank(l)); diff != "" {
			t.Fatalf("the same lines, another result:\n%s", diff)
		}
	})
}

// BenchmarkRank ranks a usual capture: 500 lines of the dead container, 1000 of before and 1000 of siblings.
func BenchmarkRank(b *testing.B) {
	var all []string
	for i := range 400 {
		all = append(all, lines(nginx+jsonLines)...)
		all = append(all, fmt.Sprintf("2026/11/20 12:00:%02d user u%d took %dms for order %d of %d", i%60, i, i*7, i*13, i))
	}
	l := Logs{Dead: append(slices.Clone(all[:490]), lines(goPanic)...), Before: all[500:1500], Siblings: all[1500:2500]}
	n := len(l.Dead) + len(l.Before) + len(l.Siblings)
	b.ReportAllocs()
	for b.Loop() {
		Rank(l)
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "lines/s")
}
