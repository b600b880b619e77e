package command

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// run returns the exit code and what was written.
func run(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), Process{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "v1",
		LookupEnv: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
	})
	return code, out.String(), errs.String()
}

func TestWrongUsageIsToldInOneLine(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{args: []string{"nosuch"}, want: `"nosuch" is no command`},
		{args: []string{"serve", "now"}, want: `"now" is no command`},
		{args: []string{"--nosuch"}, want: "unknown flag: --nosuch"},
		{args: []string{"--port", "x"}, want: `invalid argument "x" for "--port"`},
		{args: []string{"--port", "70000"}, want: "port is 70000; allowed: 0 to 65535"},
		{env: map[string]string{"PORT": "x"}, want: `environment variable PORT is "x"; allowed: a int, TCP port, 0 to 65535`},
		{env: map[string]string{"DRAIN": "3"}, want: `environment variable DRAIN is "3"; allowed: a duration`},
		{env: map[string]string{"FAIL_ON_START": "256"}, want: "fail-on-start is 256; allowed: an exit code from 0 (off) to 255"},
		{args: []string{"load"}, want: `url is ""; allowed: http://HOST:PORT`},
		{args: []string{"load", "--url", "http://web", "--rate", "0"}, want: "rate is 0; allowed: above 0"},
		{args: []string{"load", "--url", "http://web", "-o", "xml"}, want: `output is "xml"; allowed: text or json`},
		{args: []string{"load", "--url", "http://web", "--max-error-share", "2"}, want: "max-error-share is 2; allowed: 0 to 1"},
	} {
		code, stdout, stderr := run(t, c.env, c.args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%v %v: exit code %d, stderr %q, stdout %q; want 2 and %q", c.env, c.args, code, stderr, stdout, c.want)
		}
	}
}

func TestFlagsBeforeEnvironment(t *testing.T) {
	env := map[string]string{"FAIL_ON_START": "7", "PORT": "", "HOSTNAME_OVERRIDE": "local-1", "POD_NAME": "pod-1"}
	code, stdout, _ := run(t, env)
	var line map[string]any
	if err := json.Unmarshal([]byte(stdout), &line); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	if code != 7 || line["hostname"] != "local-1" || line["setting"] != "FAIL_ON_START" {
		t.Errorf("exit code %d and %v, want 7 by the variable, as local-1", code, line)
	}
	if code, stdout, _ = run(t, env, "serve", "--fail-on-start", "8", "--hostname", "flag-1"); code != 8 || !strings.Contains(stdout, `"hostname":"flag-1"`) {
		t.Errorf("exit code %d and %q, want 8 by the flag, as flag-1", code, stdout)
	}
}

func TestLoadJudgesTheErrorShare(t *testing.T) {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	// One request in flight at a time, so that every second answer is the one that fails.
	args := []string{"load", "--rate", "100", "--duration", "200ms", "--max-in-flight", "1", "--timeout", "1m", "--max-error-share"}
	env := map[string]string{"URL": server.URL}
	if code, stdout, stderr := run(t, env, append(args, "0.5")...); code != 0 || !strings.Contains(stdout, "status 500 10") {
		t.Errorf("half failed, half may: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, stdout, stderr := run(t, env, append(args, "0.49", "-o", "json")...)
	var summary struct {
		Failed int `json:"failed"`
	}
	if err := json.Unmarshal([]byte(stdout), &summary); err != nil {
		t.Fatalf("stdout is not the summary alone: %v\n%s", err, stdout)
	}
	if code != exitFailed || summary.Failed != 10 || !strings.Contains(stderr, "50.00 % of the requests failed, above the 49.00 %") {
		t.Errorf("half failed, less may: exit code %d, summary %+v, stderr %q", code, summary, stderr)
	}
}

func TestHelpAndVersion(t *testing.T) {
	if code, stdout, _ := run(t, nil, "--help"); code != 0 || !strings.Contains(stdout, "[FAIL_ON_START]") || strings.Contains(stdout, "leak-child") {
		t.Errorf("exit code %d, help %q", code, stdout)
	}
	if code, stdout, _ := run(t, nil, "--version"); code != 0 || stdout != "demoapp version v1\n" {
		t.Errorf("exit code %d, version %q", code, stdout)
	}
}

func TestLeakChildEndsWithItsStdin(t *testing.T) {
	code, stdout, _ := run(t, nil, "leak-child", "--rate", "1", "--size", "1", "--correlation-id", "abc")
	if code != 0 || !strings.Contains(stdout, `"correlation_id":"abc"`) {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
}
