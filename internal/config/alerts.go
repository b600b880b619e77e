package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/homeostat/homeostat/alerts"
)

// Alerts configures who is told of incidents and decisions, in Alertmanager's words. Without receivers nobody is.
type Alerts struct {
	Receivers []Receiver `yaml:"receivers"`
	Route     Route      `yaml:"route"`
	// Labels are added to every alert, such as {cluster: prod}: those that Prometheus adds too (external_labels), so that
	// Alertmanager sees that both tell of one thing.
	Labels map[string]string `yaml:"labels"`
	Links  Links             `yaml:"links"`
	// Decisions says what is told of autoscalers.
	Decisions AlertDecisions `yaml:"decisions"`
}

// AlertDecisions says which decisions of autoscalers are alerts.
type AlertDecisions struct {
	// Scaled tells of every number of replicas that is written. Default false.
	Scaled bool `yaml:"scaled"`
	// MaxedOut is for how long the metrics have to ask for more than maxReplicas, NotScaling for how long an autoscaler has to be refused or its
	// numbers not be written, before somebody is told; 1s to 24h, or 0s: nobody is. Default 15m and 5m.
	MaxedOut   Duration `yaml:"maxedOut"`
	NotScaling Duration `yaml:"notScaling"`
}

// Receiver is somebody who is told: exactly one of alertmanager, webhook and slack. Secrets are only ever read from files, anew for
// each notification.
type Receiver struct {
	Name         string                `yaml:"name"`
	Alertmanager *AlertmanagerReceiver `yaml:"alertmanager"`
	Webhook      *WebhookReceiver      `yaml:"webhook"`
	Slack        *SlackReceiver        `yaml:"slack"`
	// SendResolved tells of the end too. Default true; an Alertmanager always hears of it.
	SendResolved *bool `yaml:"sendResolved"`
	// Timeout of one notification; 100ms to 1m. Default 10s.
	Timeout Duration `yaml:"timeout"`
}

// AlertmanagerReceiver is one Alertmanager, or the members of a cluster of them: each is told everything.
type AlertmanagerReceiver struct {
	// URLs such as http://alertmanager-0.alertmanager:9093; what comes before /api/v2 stays.
	URLs   []string `yaml:"urls"`
	Client `yaml:",inline"`
}

// WebhookReceiver gets the JSON that Alertmanager sends to webhooks (version 4).
type WebhookReceiver struct {
	// URL to post to, or the file with it where it has a secret in it. One of both.
	URL     string `yaml:"url"`
	URLFile string `yaml:"urlFile"`
	// SecretFile holds the key of the signature (HMAC-SHA256) of each request. Empty: they are not signed.
	SecretFile string `yaml:"secretFile"`
	Client     `yaml:",inline"`
}

// SlackReceiver gets messages as Slack's incoming webhooks take them.
type SlackReceiver struct {
	// URLFile holds the address of the incoming webhook, which is a secret.
	URLFile string `yaml:"urlFile"`
	Client  `yaml:",inline"`
}

// Client says how a server is reached and what is shown to it.
type Client struct {
	// BasicAuth is a user and its password; not together with BearerTokenFile.
	BasicAuth BasicAuth `yaml:"basicAuth"`
	// BearerTokenFile holds the token to present. Empty: none.
	BearerTokenFile string `yaml:"bearerTokenFile"`
	TLS             TLS    `yaml:"tls"`
	// ProxyURL is the proxy to go through, without credentials; empty: as the environment says (HTTPS_PROXY, NO_PROXY).
	ProxyURL string `yaml:"proxyURL"`
}

// Route is a node of the tree by which alerts find their receivers. What a child leaves out is its parent's.
type Route struct {
	// Receiver is the name of one; the first route may leave it out where there is only one receiver.
	Receiver string `yaml:"receiver"`
	// Matchers such as severity="critical"; all must be met. The first route has none.
	Matchers []string `yaml:"matchers"`
	// GroupBy are labels, or "..." for each alert by itself. Default namespace, workload_kind, workload.
	GroupBy        []string  `yaml:"groupBy"`
	GroupWait      *Duration `yaml:"groupWait"`      // 0s to 1h. Default 30s.
	GroupInterval  *Duration `yaml:"groupInterval"`  // 1s to 24h. Default 5m.
	RepeatInterval *Duration `yaml:"repeatInterval"` // groupInterval to 720h. Default 4h.
	// Continue asks the routes that follow too. Default false.
	Continue bool    `yaml:"continue"`
	Routes   []Route `yaml:"routes"`
}

// Links says where alerts lead to.
type Links struct {
	// Grafana is its address for people, such as https://grafana.example.com; empty: no links to it.
	Grafana string `yaml:"grafana"`
	// LokiDatasourceUID is the UID of Grafana's data source for Loki; empty: no links to logs. The labels are those of logs.loki.
	LokiDatasourceUID string         `yaml:"lokiDatasourceUID"`
	Dashboards        LinkDashboards `yaml:"dashboards"`
	// Runbooks is the address of the pages about alerts, <runbooks>/<alertname>.md, or with {alertname} in it; empty: no links to
	// them. Default: those of this project.
	Runbooks string `yaml:"runbooks"`
}

// LinkDashboards are UIDs of dashboards in Grafana; an empty one is not linked to.
type LinkDashboards struct {
	Healing     string `yaml:"healing"`     // Default homeostat-healing.
	Autoscaling string `yaml:"autoscaling"` // Default homeostat-autoscaling.
}

func defaultAlerts() Alerts {
	return Alerts{
		Links: Links{
			Dashboards: LinkDashboards{Healing: "homeostat-healing", Autoscaling: "homeostat-autoscaling"},
			Runbooks:   "https://github.com/homeostat/homeostat/blob/main/alerts/runbooks",
		},
		Decisions: AlertDecisions{MaxedOut: Duration(alerts.DefaultMaxedOut), NotScaling: Duration(alerts.DefaultNotScaling)},
	}
}

// DefaultAlertTimeout is the timeout of a receiver that has none.
const DefaultAlertTimeout = 10 * time.Second

// HTTPClient returns the settings of a client that reaches the server.
func (c *Client) HTTPClient() promconfig.HTTPClientConfig {
	a := access{bearerTokenFile: c.BearerTokenFile, proxyURL: c.ProxyURL, basicAuth: c.BasicAuth, tls: c.TLS}
	return a.client()
}

// Client returns how the receiver is reached; the zero one where it has no kind.
func (r *Receiver) Client() *Client {
	switch {
	case r.Alertmanager != nil:
		return &r.Alertmanager.Client
	case r.Webhook != nil:
		return &r.Webhook.Client
	case r.Slack != nil:
		return &r.Slack.Client
	default:
		return &Client{}
	}
}

// Tree returns the routes with everything that was left out, or what is wrong with their matchers.
func (a *Alerts) Tree() (alerts.Route, error) {
	top := alerts.Route{
		GroupBy: alerts.DefaultGroupBy(), GroupWait: alerts.DefaultGroupWait,
		GroupInterval: alerts.DefaultGroupInterval, RepeatInterval: alerts.DefaultRepeatInterval,
	}
	if len(a.Receivers) == 1 {
		top.Receiver = a.Receivers[0].Name
	}
	return a.Route.tree("alerts.route", top)
}

func (r *Route) tree(field string, parent alerts.Route) (alerts.Route, error) {
	var errs []error
	out := parent
	out.Continue, out.Matchers, out.Routes = r.Continue, nil, nil
	if r.Receiver != "" {
		out.Receiver = r.Receiver
	}
	if r.GroupBy != nil {
		out.GroupBy = r.GroupBy
	}
	for _, of := range []struct {
		given *Duration
		to    *time.Duration
	}{{r.GroupWait, &out.GroupWait}, {r.GroupInterval, &out.GroupInterval}, {r.RepeatInterval, &out.RepeatInterval}} {
		if of.given != nil {
			*of.to = of.given.D()
		}
	}
	for i, text := range r.Matchers {
		m, err := alerts.ParseMatcher(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.matchers[%d]: %w", field, i, err))
		}
		out.Matchers = append(out.Matchers, m)
	}
	for i := range r.Routes {
		child, err := r.Routes[i].tree(fmt.Sprintf("%s.routes[%d]", field, i), out)
		if err != nil {
			errs = append(errs, err)
		}
		out.Routes = append(out.Routes, child)
	}
	return out, errors.Join(errs...)
}

var receiverName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// ownLabels are those that an alert has of itself.
func ownLabels() []string {
	return []string{
		alerts.LabelAlertname, alerts.LabelSeverity, alerts.LabelNamespace, alerts.LabelWorkloadKind, alerts.LabelWorkload,
		alerts.LabelContainer, alerts.LabelKind, alerts.LabelSource, alerts.LabelName, alerts.LabelDecision,
	}
}

// validate reports to check, which is Validate's, and returns what is wrong with the routes.
func (a *Alerts) validate(check func(ok bool, field string, value any, allowed string)) error {
	var names []string
	for i := range a.Receivers {
		r := &a.Receivers[i]
		at := fmt.Sprintf("alerts.receivers[%d]", i)
		check(receiverName.MatchString(r.Name), at+".name", r.Name, "allowed are letters, digits, _ . and -")
		check(!slices.Contains(names, r.Name), at+".name", r.Name, "it is given twice")
		names = append(names, r.Name)
		r.validate(at, check)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		field := "alerts.labels." + name
		check(lokiLabel.MatchString(name) && a.Labels[name] != "", field, a.Labels[name], "allowed is a label's name (letters, digits and _, no digit first) with a value")
		check(!slices.Contains(ownLabels(), name), field, a.Labels[name], "alerts have this label already")
	}
	a.Decisions.validate(check)
	l := &a.Links
	check(l.Grafana == "" || isServer(l.Grafana), "alerts.links.grafana", withoutSecret(l.Grafana),
		"allowed is the address of a server, such as https://grafana.example.com, without credentials and query")
	check(l.Runbooks == "" || isPage(l.Runbooks), "alerts.links.runbooks", withoutSecret(l.Runbooks),
		"allowed is an address such as https://wiki.example.com/runbooks, without credentials")
	if len(a.Receivers) == 0 {
		check(a.Route.empty(), "alerts.receivers", "[]", "alerts.route needs receivers")
		return nil
	}
	tree, err := a.Tree()
	if err != nil {
		return err
	}
	return tree.Check("alerts.route", names)
}

func (d *AlertDecisions) validate(check func(ok bool, field string, value any, allowed string)) {
	for _, of := range []struct {
		field string
		value Duration
	}{{"maxedOut", d.MaxedOut}, {"notScaling", d.NotScaling}} {
		check(of.value == 0 || of.value.D() >= time.Second && of.value.D() <= 24*time.Hour, "alerts.decisions."+of.field, of.value,
			"allowed is 1s to 24h0m0s, or 0s for nobody is told")
	}
}

func (r *Route) empty() bool {
	return r.Receiver == "" && len(r.Matchers)+len(r.GroupBy)+len(r.Routes) == 0
}

func (r *Receiver) validate(at string, check func(ok bool, field string, value any, allowed string)) {
	kinds := 0
	for _, has := range []bool{r.Alertmanager != nil, r.Webhook != nil, r.Slack != nil} {
		if has {
			kinds++
		}
	}
	check(kinds == 1, at, r.Name, "a receiver has exactly one of alertmanager, webhook and slack")
	check(r.Timeout == 0 || r.Timeout.D() >= 100*time.Millisecond && r.Timeout.D() <= time.Minute, at+".timeout", r.Timeout, "allowed is 100ms to 1m0s")
	if m := r.Alertmanager; m != nil {
		field := at + ".alertmanager"
		check(len(m.URLs) > 0 && len(m.URLs) <= 16, field+".urls", len(m.URLs), "allowed are 1 to 16 addresses")
		for i, u := range m.URLs {
			check(isServer(u), fmt.Sprintf("%s.urls[%d]", field, i), withoutSecret(u), "allowed is the address of a server, such as http://alertmanager:9093, without credentials and query")
			check(!strings.Contains(u, "/api/v2"), fmt.Sprintf("%s.urls[%d]", field, i), withoutSecret(u), "it is given without /api/v2")
			check(!slices.Contains(m.URLs[:i], u), fmt.Sprintf("%s.urls[%d]", field, i), withoutSecret(u), "it is given twice")
		}
		check(r.SendResolved == nil || *r.SendResolved, at+".sendResolved", false, "an Alertmanager is always told of the end")
		m.validate(field, check)
	}
	if w := r.Webhook; w != nil {
		field := at + ".webhook"
		check((w.URL == "") != (w.URLFile == ""), field+".url", withoutSecret(w.URL), "one of url and urlFile is needed")
		check(w.URL == "" || isPage(w.URL) && !strings.Contains(w.URL, "?"), field+".url", withoutSecret(w.URL),
			"allowed is an http or https address without credentials and query; one with a secret belongs into urlFile")
		w.validate(field, check)
	}
	if s := r.Slack; s != nil {
		check(s.URLFile != "", at+".slack.urlFile", s.URLFile, "allowed is the path of the file with the address of the incoming webhook")
		s.validate(at+".slack", check)
	}
}

func (c *Client) validate(field string, check func(ok bool, field string, value any, allowed string)) {
	a := access{
		url:             "http://checked.elsewhere",
		bearerTokenFile: c.BearerTokenFile, proxyURL: c.ProxyURL, basicAuth: c.BasicAuth, tls: c.TLS,
	}
	a.validate(field, false, check)
}

// isPage reports whether the text is an address without credentials.
func isPage(address string) bool {
	u, err := url.Parse(strings.ReplaceAll(address, "{alertname}", "x"))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}
