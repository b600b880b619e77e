package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/alerts"
)

func TestAlertSettings(t *testing.T) {
	t.Parallel()
	c, err := Read(strings.NewReader(`
alerts:
  labels: {cluster: prod}
  receivers:
    - name: stack
      alertmanager:
        urls: [https://am-0:9093, https://am-1:9093]
        basicAuth: {username: me, passwordFile: /secrets/am}
        tls: {caFile: /ca.crt}
    - name: hook
      timeout: 3s
      webhook: {urlFile: /secrets/hook, secretFile: /secrets/key, bearerTokenFile: /secrets/token}
    - name: chat
      sendResolved: false
      slack: {urlFile: /secrets/slack, proxyURL: http://proxy:3128}
  route:
    receiver: chat
    groupWait: 0s
    routes:
      - {receiver: stack, continue: true}
      - receiver: hook
        matchers: [severity="critical", 'namespace=~"shop|web"']
        groupBy: []
        repeatInterval: 1h
        routes: [{matchers: [kind=Storm], groupBy: [...]}]
  links: {grafana: https://grafana.example.com, lokiDatasourceUID: loki, dashboards: {healing: mine}, runbooks: 'https://wiki/{alertname}'}
`))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := c.Alerts.Tree()
	if err != nil {
		t.Fatal(err)
	}
	hook := tree.Routes[1]
	for _, tc := range []struct{ what, want string }{
		{tree.Receiver + " " + tree.GroupWait.String() + " " + tree.GroupInterval.String() + " " + strings.Join(tree.GroupBy, ","), "chat 0s 5m0s namespace,workload_kind,workload"},
		{tree.Routes[0].Receiver + " " + tree.Routes[0].GroupWait.String(), "stack 0s"},
		{hook.Receiver + " " + hook.RepeatInterval.String() + " " + hook.Matchers[1].String(), `hook 1h0m0s namespace=~"shop|web"`},
		{hook.Routes[0].Receiver + " " + hook.Routes[0].RepeatInterval.String() + " " + strings.Join(hook.Routes[0].GroupBy, ","), "hook 1h0m0s ..."},
		{c.Alerts.Links.Dashboards.Healing + " " + c.Alerts.Links.Runbooks, "mine https://wiki/{alertname}"},
	} {
		if tc.what != tc.want {
			t.Errorf("it is %q, want %q", tc.what, tc.want)
		}
	}
	if hook.GroupBy == nil || len(hook.GroupBy) > 0 || !tree.Routes[0].Continue || hook.Continue {
		t.Errorf("routes are %+v", tree.Routes)
	}
	for i, want := range []string{"me /secrets/am", " /secrets/token", " http://proxy:3128"} {
		h := c.Alerts.Receivers[i].Client().HTTPClient()
		if err := h.Validate(); err != nil {
			t.Errorf("the settings of receiver %d are not valid: %v", i, err)
		}
		got := " " + h.ProxyURL.Redacted()
		if h.BasicAuth != nil {
			got = h.BasicAuth.Username + " " + h.BasicAuth.PasswordFile
		}
		if h.Authorization != nil {
			got = " " + h.Authorization.CredentialsFile
		}
		if got != want {
			t.Errorf("receiver %d shows %q, want %q", i, got, want)
		}
	}
}

func TestTheOnlyReceiverNeedsNoRoute(t *testing.T) {
	t.Parallel()
	c, err := Read(strings.NewReader("alerts: {receivers: [{name: am, alertmanager: {urls: ['http://am:9093']}}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := c.Alerts.Tree()
	want := alerts.Route{
		Receiver: "am", GroupBy: []string{"namespace", "workload_kind", "workload"},
		GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour,
	}
	if err != nil || cmp.Diff(want.Receiver, tree.Receiver) != "" || cmp.Diff(want.GroupBy, tree.GroupBy) != "" ||
		want.GroupWait != tree.GroupWait || want.GroupInterval != tree.GroupInterval || want.RepeatInterval != tree.RepeatInterval {
		t.Errorf("route is %+v (%v), want %+v", tree, err, want)
	}
}

func TestWhichDecisionsAreTold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]AlertDecisions{
		"{}":                          {MaxedOut: Duration(15 * time.Minute), NotScaling: Duration(5 * time.Minute)},
		"{decisions: {scaled: true}}": {Scaled: true, MaxedOut: Duration(15 * time.Minute), NotScaling: Duration(5 * time.Minute)},
		"{decisions: {scaled: true, maxedOut: 0s, notScaling: 1h}}": {Scaled: true, NotScaling: Duration(time.Hour)},
	} {
		c, err := Read(strings.NewReader("alerts: " + text + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, c.Alerts.Decisions); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
	}
}

func TestAlertErrorsNameFieldValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	const am = "receivers: [{name: am, alertmanager: {urls: ['http://am:9093']}}], "
	for name, tc := range map[string]struct {
		alerts string
		want   []string
	}{
		"no name":              {"receivers: [{slack: {urlFile: /f}}]", []string{"alerts.receivers[0].name", `""`, "letters"}},
		"a name twice":         {"receivers: [{name: a, slack: {urlFile: /f}}, {name: a, slack: {urlFile: /f}}], route: {receiver: a}", []string{"alerts.receivers[1].name", `"a"`, "twice"}},
		"no kind":              {"receivers: [{name: a}]", []string{"alerts.receivers[0]", "exactly one"}},
		"two kinds":            {"receivers: [{name: a, slack: {urlFile: /f}, webhook: {url: 'http://h'}}]", []string{"alerts.receivers[0]", "exactly one"}},
		"an unknown kind":      {"receivers: [{name: a, pager: {}}]", []string{"pager"}},
		"no address":           {"receivers: [{name: a, alertmanager: {}}]", []string{"alerts.receivers[0].alertmanager.urls", "0", "1 to 16"}},
		"no server":            {"receivers: [{name: a, alertmanager: {urls: ['am:9093']}}]", []string{"alerts.receivers[0].alertmanager.urls[0]", "am:9093"}},
		"the path of the API":  {"receivers: [{name: a, alertmanager: {urls: ['http://am/api/v2/alerts']}}]", []string{"alertmanager.urls[0]", "without /api/v2"}},
		"an address twice":     {"receivers: [{name: a, alertmanager: {urls: ['http://am', 'http://am']}}]", []string{"alertmanager.urls[1]", "twice"}},
		"no end":               {"receivers: [{name: a, sendResolved: false, alertmanager: {urls: ['http://am']}}]", []string{"alerts.receivers[0].sendResolved", "false"}},
		"password in it":       {"receivers: [{name: a, alertmanager: {urls: ['http://me:s3cret@am']}}]", []string{"urls[0]", "me:xxxxx@"}},
		"webhook to nowhere":   {"receivers: [{name: a, webhook: {}}]", []string{"alerts.receivers[0].webhook.url", "one of url and urlFile"}},
		"webhook to two":       {"receivers: [{name: a, webhook: {url: 'http://h', urlFile: /f}}]", []string{"webhook.url", "one of url and urlFile"}},
		"webhook with a user":  {"receivers: [{name: a, webhook: {url: 'http://me:s3cret@h'}}]", []string{"webhook.url", "me:xxxxx@", "urlFile"}},
		"slack without a file": {"receivers: [{name: a, slack: {}}]", []string{"slack.urlFile", "path"}},
		"slack with a secret":  {"receivers: [{name: a, slack: {url: 'http://h'}}]", []string{"url"}},
		"too patient":          {"receivers: [{name: a, timeout: 5m, slack: {urlFile: /f}}]", []string{"alerts.receivers[0].timeout", "5m0s", "100ms to 1m0s"}},
		"webhook with a token": {"receivers: [{name: a, webhook: {url: 'http://h/hook?token=s3cret'}}]", []string{"webhook.url", "urlFile"}},
		"half a user":          {"receivers: [{name: a, webhook: {url: 'http://h', basicAuth: {username: me}}}]", []string{"alerts.receivers[0].webhook.basicAuth", "passwordFile"}},
		"two credentials":      {"receivers: [{name: a, webhook: {url: 'http://h', bearerTokenFile: /t, basicAuth: {username: me, passwordFile: /p}}}]", []string{"webhook.bearerTokenFile"}},
		"nobody's route":       {am + "route: {receiver: x}", []string{"alerts.route.receiver", `"x"`, `["am"]`}},
		"nobody's child":       {am + "route: {routes: [{receiver: x}]}", []string{"alerts.route.routes[0].receiver", `"x"`}},
		"which of two":         {"receivers: [{name: a, slack: {urlFile: /f}}, {name: b, slack: {urlFile: /f}}]", []string{"alerts.route.receiver", `""`, `["a" "b"]`}},
		"no matcher":           {am + "route: {routes: [{matchers: ['severity']}]}", []string{"alerts.route.routes[0].matchers[0]", `"severity"`, "no operator"}},
		"matcher at the top":   {am + "route: {matchers: ['a=b']}", []string{"alerts.route.matchers", `a="b"`, "takes everything"}},
		"wait":                 {am + "route: {groupWait: 2h}", []string{"alerts.route.groupWait", "2h0m0s", "0s to 1h"}},
		"repeat":               {am + "route: {repeatInterval: 1m}", []string{"alerts.route.repeatInterval", "1m0s", "groupInterval"}},
		"a route for nobody":   {"route: {receiver: x}", []string{"alerts.receivers", "needs receivers"}},
		"told too late":        {"decisions: {maxedOut: 48h}", []string{"alerts.decisions.maxedOut", "48h0m0s", "1s to 24h"}},
		"told before it is":    {"decisions: {notScaling: -1m}", []string{"alerts.decisions.notScaling", "-1m0s", "1s to 24h"}},
		"no duration":          {"decisions: {maxedOut: true}", []string{`"true"`, "not a duration"}},
		"no yes or no":         {"decisions: {scaled: 15m}", []string{"15m", "true or false"}},
		"a decision's label":   {"labels: {decision: x}", []string{"alerts.labels.decision", `"x"`, "already"}},
		"a label of its own":   {"labels: {severity: low}", []string{"alerts.labels.severity", `"low"`, "already"}},
		"an odd label":         {"labels: {a.b: c}", []string{"alerts.labels.a.b", "letters"}},
		"Grafana":              {"links: {grafana: grafana}", []string{"alerts.links.grafana", `"grafana"`, "https://"}},
		"runbooks":             {"links: {runbooks: /wiki}", []string{"alerts.links.runbooks", `"/wiki"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(strings.NewReader("alerts: {" + tc.alerts + "}\n"))
			if err == nil {
				t.Fatal("it is allowed")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if text := err.Error(); strings.Contains(text, "s3cret") || strings.Contains(text, "\n") {
				t.Errorf("error %q has a secret, or is more than one", err)
			}
		})
	}
}
