package spec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/platform/local/spec"
)

const head = `apiVersion: local.homeostat.dev/v1alpha1
kind: Service
metadata: {name: web}
spec:
  command: [web]
`

func parse(t *testing.T, document string) (spec.Service, error) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(document), &n); err != nil {
		t.Fatal(err)
	}
	return spec.Parse(&n)
}

func TestDefaults(t *testing.T) {
	got, err := parse(t, head)
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Default()
	want.Name, want.Command = "web", []string{"web"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryField(t *testing.T) {
	got, err := parse(t, `apiVersion: local.homeostat.dev/v1alpha1
kind: Service
metadata:
  name: web
  labels: {app: web, example.com/tier: front}
spec:
  command: [./web, --verbose]
  workingDir: /srv
  env:
  - {name: A, value: "1"}
  - name: B
  replicas: 2
  listen: 127.0.0.1:8080
  readinessProbe: {path: /readyz, period: 250ms, timeout: 2s, initialDelay: 1s, failureThreshold: 2}
  livenessProbe: {path: /healthz, period: 1s}
  resources:
    requests: {cpu: 0.2, memory: 64Mi}
    limits: {memory: 128Mi}
  terminationGracePeriod: 5s
  restart: {initialBackoff: 1s, maxBackoff: 8s, resetAfter: 1m}
  minAvailable: 50%
`)
	if err != nil {
		t.Fatal(err)
	}
	half := intstr.FromString("50%")
	want := spec.Service{
		Name: "web", Labels: map[string]string{"app": "web", "example.com/tier": "front"},
		Command: []string{"./web", "--verbose"}, WorkingDir: "/srv", Env: []spec.EnvVar{{Name: "A", Value: "1"}, {Name: "B"}},
		Replicas: 2, Listen: "127.0.0.1:8080",
		Readiness: spec.Probe{
			Path: "/readyz", Period: 250 * time.Millisecond, Timeout: 2 * time.Second,
			InitialDelay: time.Second, FailureThreshold: 2,
		},
		Liveness:        spec.Probe{Path: "/healthz", Period: time.Second, Timeout: time.Second, FailureThreshold: 3},
		CPURequestMilli: 200, MemoryRequest: 64 << 20, MemoryLimit: 128 << 20, TerminationGracePeriod: 5 * time.Second,
		Restart:      spec.Restart{InitialBackoff: time.Second, MaxBackoff: 8 * time.Second, ResetAfter: time.Minute},
		MinAvailable: &half,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An error names the line, the field, the value and what is allowed.
func TestErrors(t *testing.T) {
	tests := []struct{ document, want string }{
		{"", "line 1: document: nothing is no mapping"},
		{"[]", "line 1: document: a list is no mapping; allowed are the fields apiVersion, kind, metadata, spec"},
		{"apiVersion: v1\n", `line 1: apiVersion: "v1" is not known here; allowed is local.homeostat.dev/v1alpha1`},
		{"kind: Pod\n", `line 1: kind: "Pod" is not known here; allowed is Service`},
		{"kind: Service\n", "line 1: apiVersion: is missing and required"},
		{strings.Replace(head, "name: web", "", 1), "line 3: metadata.name: is missing and required"},
		{strings.Replace(head, "name: web", "name: Web", 1), `line 3: metadata.name: "Web" is no name; allowed are 1 to 40 lower case`},
		{strings.Replace(head, "name: web", "name: web, labels: {a: 'b c'}", 1), `line 3: metadata.labels.a: "b c" is no label`},
		{strings.Replace(head, "command: [web]", "command: []", 1), "line 5: spec.command: is empty"},
		{strings.Replace(head, "command: [web]", "command: web", 1), `line 5: spec.command: "web" is no list`},
		{strings.Replace(head, "command: [web]", "command: [[]]", 1), "line 5: spec.command[0]: a list is no single value"},
		{strings.Replace(head, "  command: [web]", "  listen: :80", 1), "line 5: spec.command: is missing and required"},
		{head + "  replica: 2\n", "line 6: spec.replica: is no known field; allowed are command, env,"},
		{head + "  command: [web]\n", "line 6: spec.command: is given twice"},
		{head + "  replicas: 101\n", `line 6: spec.replicas: "101" is no such number; allowed is 0 to 100`},
		{head + "  replicas: many\n", `line 6: spec.replicas: "many" is no such number; allowed is 0 to 100`},
		{head + "  listen: 8080\n", `line 6: spec.listen: "8080" is no address; allowed is host:port`},
		{head + "  env: [{name: A=B}]\n", `line 6: spec.env[0]: "A=B" is no variable`},
		{head + "  env: [{name: A}, {name: A}]\n", `line 6: spec.env[1].name: "A" is given twice`},
		{head + "  readinessProbe: {path: readyz}\n", `line 6: spec.readinessProbe.path: "readyz" is no path; allowed is what begins with '/'`},
		{head + "  livenessProbe: {period: 1s}\n", "line 6: spec.livenessProbe.path: is missing and required"},
		{head + "  livenessProbe: {path: /, failureThreshold: 0}\n", `line 6: spec.livenessProbe.failureThreshold: "0" is no such number; allowed is 1 to 100`},
		{head + "  resources: {limits: {memory: 12MB}}\n", `line 6: spec.resources.limits.memory: "12MB" is no such quantity; allowed is 1Mi to 1Pi, such as 128Mi`},
		{head + "  resources: {limits: {cpu: 1}}\n", "line 6: spec.resources.limits.cpu: is no known field; allowed are memory"},
		{head + "  resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}\n", "spec.resources.requests.memory: 2147483648 bytes is more than the limit"},
		{head + "  terminationGracePeriod: 30\n", `line 6: spec.terminationGracePeriod: "30" is no such duration; allowed is 0s to 10m0s`},
		{head + "  restart: {initialBackoff: 10m}\n", "spec.restart.maxBackoff: 5m0s is too small; allowed is 10m0s (initialBackoff) to 1h0m0s"},
		{head + "  minAvailable: 120%\n", `line 6: spec.minAvailable: "120%" is no number of replicas`},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			_, err := parse(t, tt.document)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestMustStay(t *testing.T) {
	tests := []struct {
		min     string
		desired int32
		want    int32
	}{{"", 4, 0}, {"1", 4, 1}, {"50%", 4, 2}, {"50%", 3, 2}, {"0%", 3, 0}}
	for _, tt := range tests {
		document := head
		if tt.min != "" {
			document += "  minAvailable: " + tt.min + "\n"
		}
		s, err := parse(t, document)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.MustStay(tt.desired); got != tt.want {
			t.Errorf("minAvailable %q of %d: %d, want %d", tt.min, tt.desired, got, tt.want)
		}
	}
}

// Whatever comes in, the answer is an error or a Service within its bounds.
func FuzzParse(f *testing.F) {
	f.Add(head)
	f.Add(head + "  minAvailable: 5%\n  resources: {requests: {cpu: 1}}\n  env: [{name: A, value: &x b}, {name: B, value: *x}]\n")
	f.Add("&a [*a]")
	f.Fuzz(func(t *testing.T, document string) {
		var n yaml.Node
		if yaml.Unmarshal([]byte(document), &n) != nil {
			return
		}
		s, err := spec.Parse(&n)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("error without a line: %v", err)
			}
			return
		}
		if s.Name == "" || len(s.Command) == 0 || s.Replicas < 0 || s.Replicas > spec.MaxReplicas || s.MemoryLimit < 0 ||
			s.Restart.MaxBackoff < s.Restart.InitialBackoff || s.Readiness.Period <= 0 {
			t.Errorf("out of bounds: %+v", s)
		}
	})
}
