package cause

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestHosts(t *testing.T) {
	tests := []struct {
		name, line string
		want       []string
	}{
		{"empty", "", nil},
		{"lookup", "dial tcp: lookup db on 10.96.0.10:53: no such host", []string{"db"}},
		{"dial", "dial tcp 10.0.0.7:5432: connect: connection refused", nil},
		{"dial by name", "failed: dial tcp db:5432: i/o timeout", []string{"db"}},
		{"URL", `Get "http://db.demo.svc.cluster.local:80/": EOF`, []string{"db.demo.svc.cluster.local"}},
		{"URL without a port", "ERROR POST https://api.pay/v1?x=1 failed", []string{"api.pay"}},
		{"URL with a user", "cannot open postgres://app:p@ss@db:5432/orders", []string{"db"}},
		{"URL with a masked user", "cannot open postgres://app:***@db.demo/orders", []string{"db.demo"}},
		{"several in one URL", "error: mongodb://db-0.db,db-1.db:27017/x timed out", []string{"db-0.db", "db-1.db"}},
		{"connect to", "could not connect to db.demo", []string{"db.demo"}},
		{"connect to, with what follows", "Failed to connect to db: connection refused", []string{"db"}},
		{"postgres", `connection to server at "db" (10.96.3.4), port 5432 failed: Connection refused`, []string{"db"}},
		{"postgres before 14", `could not translate host name "db.demo" to address: Name or service not known`, []string{"db.demo"}},
		{"DSN", `pq: cannot open host=db port=5432 user=app`, []string{"db"}},
		{"node", "Error: getaddrinfo ENOTFOUND cache", []string{"cache"}},
		{"java", "java.net.UnknownHostException: payments", []string{"payments"}},
		{"python", `HTTPConnectionPool(host='pay', port=80): Max retries exceeded: timed out`, []string{"pay"}},
		{"curl", "curl: (6) Could not resolve host: db.demo.svc", []string{"db.demo.svc"}},
		{"JSON", `{"level":"error","msg":"connect failed","addr":"DB:5432"}`, []string{"db"}},
		{"wait script", "waiting for db:5432...", []string{"db"}},
		{"gRPC", `rpc error: code = Unavailable desc = name resolver error: dns: "dns:///cart:50051"`, nil},
		{"a final dot", "lookup db.demo.svc.cluster.local.: no such host", []string{"db.demo.svc.cluster.local"}},

		{"no trouble", "GET http://db:80/ 200 OK", nil},
		{"success", "connected to db:5432 after a timeout", nil},
		{"established", "connection established: http://db:80 (no error)", nil},
		{"a failure to establish", "connection to db:5432 could not be established", []string{"db"}},
		{"the name as a word", "error in db layer", nil},
		{"the name as a prefix", "error: db: constraint violated", nil},
		{"a source file", "panic at db.go:42", []string{"db.go"}}, // which is no service: see TestServiceOf
		{"an image's tag", "failed to pull db:1.5", nil},
		{"a time", "12:30:15 error", nil},
		{"an address", "cannot reach 10.1.2.3:80", nil},
		{"IPv6", "dial tcp [fd00::1]:443: connect: no route to host", nil},
		{"an underscore", "error: my_db:5432 unreachable", nil},
		{"a port that is none", "error: db:543210", nil},
		{"a database", `FATAL: database "orders" does not exist`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Hosts(tt.line)); diff != "" {
				t.Errorf("hosts of %q (-want +got):\n%s", tt.line, diff)
			}
		})
	}
}

func services(keys ...string) map[string]cluster.Service {
	out := make(map[string]cluster.Service, len(keys))
	for _, key := range keys {
		namespace, name, _ := strings.Cut(key, "/")
		out[key] = cluster.Service{Namespace: namespace, Name: name, Selects: true}
	}
	return out
}

func TestServiceOf(t *testing.T) {
	known := services("demo/db", "other/db", "demo/web", "other/cache", "svc/svc")
	tests := []struct{ host, want string }{
		{"db", "demo/db"},
		{"DB.", "demo/db"},
		{"db.other", "other/db"},
		{"db.other.svc", "other/db"},
		{"db.other.svc.cluster.local", "other/db"},
		{"db.other.svc.k8s.example.com", "other/db"},
		{"db-0.db", "demo/db"},
		{"db-0.db.other", "other/db"},
		{"postgres-12.db.other.svc.cluster.local", "other/db"},
		{"svc.svc.svc", "svc/svc"},

		{"cache", ""}, // of another namespace
		{"mydb", ""},
		{"db2", ""},
		{"db-main", ""}, // whole names only
		{"db.example.com", ""},
		{"db.go", ""},
		{"main.db", ""}, // no pod of a StatefulSet
		{"x.y.db.demo.svc", ""},
		{"main.db.demo.svc", ""},
		{"svc", ""},
		{"", ""},
		{"...", ""},
	}
	for _, tt := range tests {
		key, ok := ServiceOf(tt.host, "demo", known)
		if ok != (tt.want != "") || ok && key != tt.want {
			t.Errorf("%q is the service %q, %v, want %q", tt.host, key, ok, tt.want)
		}
	}
}

func FuzzHosts(f *testing.F) {
	for _, line := range []string{
		"dial tcp: lookup db on 10.96.0.10:53: no such host", `Get "http://u:p@db.demo.svc.cluster.local:80/": EOF`, "error mongodb://a,b:1,c",
		"cannot connect to \xff\xfe db:80", "error [::1]:80 ://: @: :80 http://@:/", strings.Repeat("error host a", 1000),
	} {
		f.Add(line)
	}
	known := services("demo/db", "demo/cache")
	f.Fuzz(func(t *testing.T, line string) {
		hosts := Hosts(line)
		if len(hosts) > maxHosts {
			t.Fatalf("%d hosts of one line", len(hosts))
		}
		lower := strings.ToLower(line)
		for i, host := range hosts {
			if !isName(host) || slices.Contains(hosts[:i], host) || !strings.Contains(lower, host) {
				t.Fatalf("%q is no host of %q", host, line)
			}
			if key, ok := ServiceOf(host, "demo", known); ok {
				if _, name, _ := strings.Cut(key, "/"); !slices.Contains(strings.Split(strings.TrimSuffix(host, "."), "."), name) {
					t.Fatalf("%q is not a whole word of %q", name, host)
				}
			}
		}
		if len(line) < 1000 && len(hosts) < maxHosts {
			if again := Hosts("  " + line); !slices.Equal(hosts, again) {
				t.Fatalf("blanks before %q change its hosts from %q to %q", line, hosts, again)
			}
		}
	})
}
