package cause

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// crowded is a crash loop with as much log as an incident keeps, in a cluster with that many services that are down. Its lines
// name another one, which is down too where named is true.
func crowded(downs int, named bool) Input {
	in := story(incident.CrashLoop, all(), nil)
	in.Services = map[string]cluster.Service{}
	for i := range downs {
		name := fmt.Sprintf("backend-%d", i)
		in.Services["other/"+name] = cluster.Service{Namespace: "other", Name: name, Selects: true}
	}
	for range incident.MaxEvidence {
		var lines []string
		for i := range incident.MaxLogLines {
			lines = append(lines, fmt.Sprintf(`2026-03-01T12:00:%02dZ ERROR request %d failed: Get "http://orders.shop.svc:8080/v1/items": context deadline exceeded`, i, i*7919))
		}
		in.Evidence = append(in.Evidence, logged(lines...))
	}
	if named {
		in.Services["shop/orders"] = cluster.Service{Namespace: "shop", Name: "orders", Selects: true}
	}
	return in
}

func BenchmarkExplain(b *testing.B) {
	for _, bb := range []struct {
		name  string
		downs int
		named bool
	}{{"nothing is down", 0, false}, {"others are down", 5, false}, {"many others are down", 100, false}, {"named", 5, true}, {"several may be named", 5, true}} {
		b.Run(bb.name, func(b *testing.B) {
			in := crowded(bb.downs, bb.named)
			if bb.name == "several may be named" {
				in.Services["other/orders"] = cluster.Service{Namespace: "other", Name: "orders", Selects: true}
			}
			b.ReportAllocs()
			for b.Loop() {
				if c := Explain(in); (c.Blame.Dependency != "") != bb.named {
					b.Fatalf("blames %q", c.Blame.Dependency)
				}
			}
		})
	}
}

func BenchmarkHosts(b *testing.B) {
	for name, line := range map[string]string{
		"trouble": `2026-03-01T12:00:00Z ERROR request 7919 failed: Get "http://orders.shop.svc:8080/v1/items": context deadline exceeded`,
		"chatter": `2026-03-01T12:00:00Z INFO request 7919 from 10.0.0.7 took 12 ms and gave 200, 1834 bytes in 3 parts`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Hosts(line)
			}
		})
	}
}

// TestALogThatNamesNothingDownIsNotTakenApart verifies what a pass over an incident costs: its log is looked at again in each, so a
// line that cannot name a service that is down must cost no allocation.
func TestALogThatNamesNothingDownIsNotTakenApart(t *testing.T) {
	for _, downs := range []int{0, 5, 100} {
		full := crowded(downs, false)
		empty := full
		empty.Evidence = nil
		cost := func(in Input) float64 { return testing.AllocsPerRun(10, func() { Explain(in) }) }
		if more := cost(full) - cost(empty); more > 5 {
			t.Errorf("with %d services that are down, %d lines cost %v allocations", downs, incident.MaxEvidence*incident.MaxLogLines, more)
		}
	}
}

// TestNoLineIsPassedOver verifies that the look before a line is taken apart loses no host: against every line being taken apart.
func TestNoLineIsPassedOver(t *testing.T) {
	parts := []string{
		"db", "DB", "db-0", "cache", "mydb", "db2", "demo", "svc", "cluster.local", ".", ".", ":", ":5432", "/", "@", "http://", "?", "#", "-",
		"_", " ", " ", " ", "\t", ",", ";", "=", "'", "\"", "[", "]", "(", "é", "\xff", "\u212a", "\u0130", "host", "lookup", "dial tcp ", "connect to ",
		"refused", "error", "waiting for", "connection to server at", "x", strings.Repeat("a", 70), strings.Repeat("db.", 90), "k-8", "k.demo",
	}
	known := services("demo/db", "demo/k", "other/cache", "svc/svc", "demo/db-0", "demo/k-8")
	var n names
	for _, s := range known {
		n.add(s.Name)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for range 200_000 {
		line := "error "
		if rnd.IntN(200) == 0 { // what is cut off is not looked at either
			line += strings.Repeat("-", maxLine-rnd.IntN(60))
		}
		for range rnd.IntN(12) {
			line += parts[rnd.IntN(len(parts))]
		}
		for _, host := range Hosts(line) {
			if _, ok := ServiceOf(host, "demo", known); !ok {
				continue
			}
			if hits++; !n.in(line) {
				t.Fatalf("%q names %s, and is passed over", line, host)
			}
		}
		words := split(strings.ToLower(line))
		for i := range words {
			if plain := plainlyCued(words[:i]); plain != cued(words[:i]) {
				t.Fatalf("%q is followed by a host: %t", words[:i], !plain)
			}
		}
	}
	if hits < 1000 {
		t.Errorf("only %d lines name a service: nothing is shown", hits)
	}
	for line, want := range map[string]bool{
		"": false, "db": true, "a db.": true, "mydb": false, "db2": false, "my-db": false, "DB:5432": true, "\u212a.x": true,
		strings.Repeat("x", maxLine-2) + " db": false, strings.Repeat("x", 500) + "/db?": true,
	} {
		if n.in(line) != want {
			t.Errorf("%.40q has one of the names: %t", line, !want)
		}
	}
}

// plainlyCued is cued in the plainest way.
func plainlyCued(before []string) bool {
	for words := 1; words <= min(len(before), longestCue); words++ {
		if isCue(strings.Join(before[len(before)-words:], " ")) {
			return true
		}
	}
	return len(before) > 0 && strings.HasSuffix(before[len(before)-1], ".unknownhostexception")
}

// TestTheSameServiceIsToBlameAsByEveryLine verifies the ways that are cut short on the way to the service that is to blame, against
// all lines being taken apart and counted.
func TestTheSameServiceIsToBlameAsByEveryLine(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	hosts := []string{"db", "db.other", "cache", "cache.shop.svc", "orders", "web", "api.pay", "10.0.0.7"}
	keys := []string{"shop/db", "other/db", "shop/cache", "shop/orders", "shop/web", "other/unnamed"}
	blamed := map[string]int{}
	for range 5000 {
		in := story(incident.CrashLoop, all(), nil)
		in.Services = map[string]cluster.Service{}
		for _, key := range keys {
			if rnd.IntN(3) == 0 {
				namespace, name, _ := strings.Cut(key, "/")
				in.Services[key] = cluster.Service{Namespace: namespace, Name: name, Selects: true, Ready: int32(rnd.IntN(3) / 2)}
			}
		}
		var lines []string
		for range rnd.IntN(8) {
			host := hosts[rnd.IntN(len(hosts))]
			lines = append(lines, []string{
				"cannot connect to " + host + ":80", "GET http://" + host + "/ 200", "error http://" + host + " and http://" + hosts[rnd.IntN(len(hosts))],
				"started", host + ": bad",
			}[rnd.IntN(5)])
		}
		in.Evidence = []incident.Evidence{logged(lines...)}
		s := newScene(&in, Lead(in.Findings))
		count, example, want := map[string]int{}, map[string]string{}, ""
		var order []string
		for _, line := range lines {
			for _, key := range s.named(line) {
				if count[key]++; count[key] == 1 {
					order, example[key] = append(order, key), line
				}
			}
		}
		for _, key := range order {
			if want == "" || count[key] > count[want] {
				want = key
			}
		}
		c := Explain(in)
		if c.Blame.Dependency != want || want != "" && !slices.Contains(c.For, "the log names "+want+": "+example[want]) {
			t.Fatalf("%q is to blame, want %q of %v for %q: %q", c.Blame.Dependency, want, in.Services, lines, c.For)
		}
		blamed[want]++
	}
	if len(blamed) != 5 || blamed["shop/web"] != 0 {
		t.Errorf("blamed are %v, want all but the workload's own and the one that is not named", blamed)
	}
}
