package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/homeostat/homeostat/alerts"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// notification has one alert that fires and one that has ended.
func notification() *alerts.Notification {
	return &alerts.Notification{
		Receiver: "hook", Reason: alerts.ReasonFiring, GroupKey: `{}:{namespace="shop"}`, GroupLabels: map[string]string{"namespace": "shop"}, At: t0.Add(time.Minute),
		Alerts: []alerts.Alert{
			{
				ID: "shop/a", StartsAt: t0, Labels: map[string]string{"alertname": "HomeostatOOMKilled", "severity": "critical", "namespace": "shop", "workload": "web"},
				Annotations: map[string]string{
					"summary": "shop/deployment/web: <!channel> & more", "description": "Cause: x", "log": "line `1`\nline 2", "done": "Nothing was done.", "id": "a",
					"members": "shop/deployment/api", "runbook_url": "https://r/x", "dashboard_url": "https://g/d/x", "logs_url": "https://g/explore?a=%7B",
				},
			},
			{
				ID: "shop/b", StartsAt: t0, EndsAt: t0.Add(30 * time.Second), Labels: map[string]string{"alertname": "HomeostatNotReady", "severity": "warning", "namespace": "shop", "workload": "web"},
				Annotations: map[string]string{"summary": "shop/deployment/web: not ready", "done": "restarted", "id": "b"},
			},
		},
	}
}

// server answers every request with the code, header and body, and keeps what it was sent.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	code   int
	header map[string]string
	answer func(r *http.Request) string
	bodies []string
	asked  []*http.Request
}

func newServer(t *testing.T, code int) *server {
	t.Helper()
	s := &server{code: code, header: map[string]string{}, answer: func(*http.Request) string { return "" }}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bodies, s.asked = append(s.bodies, string(body)), append(s.asked, r)
		for k, v := range s.header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(s.code)
		_, _ = io.WriteString(w, s.answer(r))
	}))
	t.Cleanup(s.Close)
	return s
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func make1(t *testing.T, r Receiver) sender {
	t.Helper()
	if r.Name == "" {
		r.Name = "hook"
	}
	list, err := r.senders("homeostat/test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(list[0].close)
	return list[0]
}

func TestAnAlertmanagerIsSentItsFormat(t *testing.T) {
	t.Parallel()
	s := newServer(t, 200)
	password := file(t, "s3cret")
	n := notification()
	for i := range 70 {
		n.Alerts = append(n.Alerts, alerts.Alert{ID: strconv.Itoa(i), Labels: map[string]string{"i": strconv.Itoa(i)}, StartsAt: t0})
	}
	sender := make1(t, Receiver{
		Kind: Alertmanager, URLs: []string{s.URL + "/prefix/"},
		HTTP: promconfig.HTTPClientConfig{BasicAuth: &promconfig.BasicAuth{Username: "me", PasswordFile: password}},
	})
	if err := sender.send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 2 {
		t.Fatalf("%d requests for 72 alerts", len(s.bodies))
	}
	r := s.asked[0]
	user, pass, _ := r.BasicAuth()
	if r.Method != http.MethodPost || r.URL.Path != "/prefix/api/v2/alerts" || r.Header.Get("Content-Type") != "application/json" ||
		r.UserAgent() != "homeostat/test" || user != "me" || pass != "s3cret" {
		t.Errorf("request is %s %s %v", r.Method, r.URL, r.Header)
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(s.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]any{
		{"startsAt": "2026-03-01T12:00:00Z", "endsAt": "2026-03-01T12:05:00Z", "generatorURL": "https://g/d/x"}, // over 4 min after a silence
		{"startsAt": "2026-03-01T12:00:00Z", "endsAt": "2026-03-01T12:00:30Z"},
	} {
		delete(got[i], "labels")
		delete(got[i], "annotations")
		if d := cmp.Diff(want, got[i]); d != "" {
			t.Errorf("alert %d (-want +got):\n%s", i, d)
		}
	}
}

func TestAWebhookIsSentAlertmanagersFormatSigned(t *testing.T) {
	t.Parallel()
	s := newServer(t, 204)
	sender := make1(t, Receiver{Kind: Webhook, URLFile: file(t, s.URL+"/in/t0ken?x=1"), SecretFile: file(t, "k3y")})
	if err := sender.send(t.Context(), notification()); err != nil {
		t.Fatal(err)
	}
	r, body := s.asked[0], s.bodies[0]
	if r.URL.String() != "/in/t0ken?x=1" {
		t.Errorf("it was sent to %s", r.URL)
	}
	stamp, err := strconv.ParseInt(r.Header.Get(HeaderTimestamp), 10, 64)
	if age := time.Since(time.Unix(stamp, 0)); err != nil || age < -time.Minute || age > time.Minute {
		t.Errorf("timestamp is %q", r.Header.Get(HeaderTimestamp))
	}
	if got, want := r.Header.Get(HeaderSignature), Sign([]byte("k3y"), []byte(body), r.Header.Get(HeaderTimestamp)); got != want {
		t.Errorf("signature is %s, want %s", got, want)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	first, _ := got["alerts"].([]any)[0].(map[string]any)
	for what, want := range map[string]string{
		"version": "4", "status": "firing", "receiver": "hook", "groupKey": `{}:{namespace="shop"}`, "truncatedAlerts": "0",
		"groupLabels": "map[namespace:shop]", "commonLabels": "map[namespace:shop workload:web]", "commonAnnotations": "map[]", "externalURL": "",
	} {
		if fmt.Sprint(got[what]) != want {
			t.Errorf("%s is %v, want %s", what, got[what], want)
		}
	}
	for what, want := range map[string]string{
		"status": "firing", "startsAt": "2026-03-01T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "https://g/d/x",
		"fingerprint": notification().Alerts[0].Fingerprint(),
	} {
		if fmt.Sprint(first[what]) != want {
			t.Errorf("%s of the alert is %v, want %s", what, first[what], want)
		}
	}
}

// TestTheSignatureIsTheDocumentedOne pins it by a value that other programs make:
//
//	printf '1700000000.{}' | openssl dgst -sha256 -hmac k3y
func TestTheSignatureIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	const want = "sha256=e2974d0d973957aed8182a7f1ef5690a188566c2c4620fc16bd97d7febcf5ef3"
	if got := Sign([]byte("k3y"), []byte("{}"), "1700000000"); got != want {
		t.Errorf("signature is %s, want %s", got, want)
	}
}

func TestSlackIsSentBlocksAndText(t *testing.T) {
	t.Parallel()
	s := newServer(t, 200)
	if err := make1(t, Receiver{Kind: Slack, URLFile: file(t, s.URL)}).send(t.Context(), notification()); err != nil {
		t.Fatal(err)
	}
	var m slackMessage
	if err := json.Unmarshal([]byte(s.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Blocks) != 3 || m.Blocks[0].Type != "header" || m.Blocks[0].Text.Text != "[FIRING 1, RESOLVED 1] shop web" {
		t.Fatalf("blocks are %+v", m.Blocks)
	}
	want := "*CRITICAL* shop/deployment/web: &lt;!channel&gt; &amp; more\nCause: x\n_Fail because of it:_ shop/deployment/api\n" +
		"```line '1'\nline 2```\nNothing was done.\n<https://r/x|Runbook> <https://g/d/x|Dashboard> <https://g/explore?a=%7B|Logs> `a`"
	if d := cmp.Diff(want, m.Blocks[1].Text.Text); d != "" {
		t.Errorf("section (-want +got):\n%s", d)
	}
	if want := "*RESOLVED* shop/deployment/web: not ready\nrestarted\n`b`"; m.Blocks[2].Text.Text != want {
		t.Errorf("section is %q, want %q", m.Blocks[2].Text.Text, want)
	}
	if !strings.Contains(m.Text, want) || !strings.Contains(m.Text, "*RESOLVED*") {
		t.Errorf("text is %q", m.Text)
	}
}

func TestASlackMessageKeepsWithinSlacksBounds(t *testing.T) {
	t.Parallel()
	n := notification()
	long := strings.Repeat("<ü>", 2000)
	for name := range n.Alerts[0].Annotations {
		n.Alerts[0].Annotations[name] = long
	}
	n.Alerts[0].Labels["workload"] = long
	n.Alerts[1].Labels["workload"] = long
	for range 60 {
		n.Alerts = append(n.Alerts, n.Alerts[0])
	}
	n.Truncated = 5
	m := slackOf(n)
	if len(m.Blocks) > 50 || len(m.Blocks[0].Text.Text) > slackHeader {
		t.Errorf("%d blocks, header of %d", len(m.Blocks), len(m.Blocks[0].Text.Text))
	}
	for _, b := range m.Blocks {
		if len(b.Text.Text) > 3000 {
			t.Errorf("a section has %d bytes", len(b.Text.Text))
		}
	}
	if got := m.Blocks[len(m.Blocks)-1].Text.Text; got != "and 57 more" {
		t.Errorf("the last section is %q", got)
	}
}

func TestWhatIsTriedAgainAndWhatIsNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code      int
		header    map[string]string
		permanent bool
		after     time.Duration
		want      string
	}{
		"busy":            {code: 429, header: map[string]string{"Retry-After": "30"}, after: 30 * time.Second, want: "it answers 429"},
		"busy for ever":   {code: 429, header: map[string]string{"Retry-After": "999999999"}, after: longestRest, want: "429"},
		"broken":          {code: 500, want: "500"},
		"not there":       {code: 503, header: map[string]string{"Retry-After": "soon"}, want: "503"},
		"too slow for it": {code: 408, want: "408"},
		"bad request":     {code: 400, permanent: true, want: "400"},
		"denied":          {code: 401, permanent: true, want: "401"},
		"no such page":    {code: 404, permanent: true, want: "404"},
		"elsewhere":       {code: 307, header: map[string]string{"Location": "http://127.0.0.1:1/elsewhere"}, permanent: true, want: "307"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tc.code)
			s.header = tc.header
			for _, r := range []Receiver{
				{Kind: Alertmanager, URLs: []string{s.URL}}, {Kind: Webhook, URLs: []string{s.URL}}, {Kind: Slack, URLFile: file(t, s.URL)},
			} {
				var e *alerts.SendError
				err := make1(t, r).send(t.Context(), notification())
				if !errors.As(err, &e) || e.Permanent != tc.permanent || e.After != tc.after || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%s: error is %v (%+v)", r.Kind, err, e)
				}
			}
			if len(s.asked) != 3 {
				t.Errorf("%d requests, want one for each receiver", len(s.asked))
			}
		})
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"Sun, 01 Mar 2026 12:00:40 GMT": 40 * time.Second, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2027 11:00:00 GMT": longestRest,
		"": 0, "-5": 0, " 7 ": 7 * time.Second,
	} {
		if got := retryAfter(text, t0); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestAReceiverThatDoesNotAnswerInTime(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
	defer s.Close()
	defer close(free)
	err := make1(t, Receiver{Kind: Webhook, URLs: []string{s.URL}, Timeout: 50 * time.Millisecond}).send(t.Context(), notification())
	var e *alerts.SendError
	if err == nil || err.Error() != "no answer within 50ms" || errors.As(err, &e) {
		t.Errorf("error is %v", err)
	}
}

func TestSecretsAreInNoError(t *testing.T) {
	t.Parallel()
	s := newServer(t, 403)
	s.answer = func(r *http.Request) string { // it repeats whatever it knows
		return r.URL.String() + " " + r.Header.Get("Authorization")
	}
	away := httptest.NewServer(nil)
	away.Close()
	basic := &promconfig.BasicAuth{Username: "me", PasswordFile: file(t, "s3cret-password")}
	bearer := &promconfig.Authorization{Type: "Bearer", CredentialsFile: file(t, "s3cret-token")}
	for name, r := range map[string]Receiver{
		"a webhook":              {Kind: Webhook, URLFile: file(t, s.URL+"/s3cret-path?s3cret-query"), SecretFile: file(t, "s3cret-key"), HTTP: promconfig.HTTPClientConfig{Authorization: bearer}},
		"an Alertmanager":        {Kind: Alertmanager, URLs: []string{s.URL}, HTTP: promconfig.HTTPClientConfig{Authorization: bearer}},
		"a chat that is away":    {Kind: Slack, URLFile: file(t, away.URL+"/s3cret-path")},
		"a chat at no address":   {Kind: Slack, URLFile: file(t, "s3cret-path")},
		"a chat at an odd place": {Kind: Slack, URLFile: file(t, "http://h\x7f/s3cret-path")},
		"an empty file":          {Kind: Slack, URLFile: file(t, "")},
		"no file":                {Kind: Slack, URLFile: "/no/such/file"},
		"no key":                 {Kind: Webhook, URLs: []string{s.URL}, SecretFile: "/no/such/file"},
		"no password":            {Kind: Webhook, URLs: []string{s.URL}, HTTP: promconfig.HTTPClientConfig{BasicAuth: &promconfig.BasicAuth{Username: "me", PasswordFile: "/no/such/file"}}},
	} {
		err := make1(t, r).send(t.Context(), notification())
		if err == nil {
			t.Errorf("%s takes it", name)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "czNjcmV0") {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), "no such file") != strings.HasPrefix(name, "no ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := make1(t, Receiver{Kind: Webhook, URLs: []string{s.URL}, HTTP: promconfig.HTTPClientConfig{BasicAuth: basic}}).send(t.Context(), notification())
	if b == nil || strings.Contains(b.Error(), "bWU6czNjcmV0LXBhc3N3b3Jk") || !strings.Contains(b.Error(), "Basic <secret>") {
		t.Errorf("basic auth: %v", b)
	}
}

func TestASecretIsReadAnewForEachNotification(t *testing.T) {
	t.Parallel()
	s := newServer(t, 200)
	path := file(t, s.URL+"/one")
	sender := make1(t, Receiver{Kind: Slack, URLFile: path})
	for _, want := range []string{"/one", "/two"} {
		if err := os.WriteFile(path, []byte(s.URL+want), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sender.send(t.Context(), notification()); err != nil {
			t.Fatal(err)
		}
		if got := s.asked[len(s.asked)-1].URL.Path; got != want {
			t.Errorf("it was sent to %s, want %s", got, want)
		}
	}
}
