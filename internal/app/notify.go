package app

import (
	"cmp"
	"context"
	"fmt"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/logs/loki"
	"github.com/homeostat/homeostat/internal/notify"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// useAlerts makes the notifier where alerts.receivers says whom to tell.
func (a *App) useAlerts() error {
	c := &a.opts.Config.Alerts
	if len(c.Receivers) == 0 {
		return nil
	}
	route, err := c.Tree()
	if err != nil {
		return fmt.Errorf("configure alerts: %w", err)
	}
	o := notify.Options{
		Route: route, Links: a.links(), Labels: c.Labels, Log: a.log, UserAgent: "homeostat/" + a.opts.Version,
		Sent: func(receiver string, err error) {
			if err != nil {
				a.telemetry.Notified(receiver, telemetry.NotificationFailed)
				return
			}
			a.telemetry.Notified(receiver, telemetry.NotificationSent)
		},
	}
	o.Decisions = alerts.DecisionOptions{Scaled: c.Decisions.Scaled, MaxedOut: c.Decisions.MaxedOut.D(), NotScaling: c.Decisions.NotScaling.D()}
	for i := range c.Receivers {
		o.Receivers = append(o.Receivers, receiverOf(&c.Receivers[i]))
		a.telemetry.Receiver(c.Receivers[i].Name)
	}
	n, err := notify.New(o)
	if err != nil {
		return fmt.Errorf("configure alerts: %w", err)
	}
	a.telemetry.Queue("alerts", func() float64 { return float64(n.Queued()) }, func() float64 { return float64(n.Dropped()) })
	a.notifier = n
	return nil
}

// links says where alerts lead to; to logs by the labels by which they are read.
func (a *App) links() alerts.Links {
	l, read := a.opts.Config.Alerts.Links, a.opts.Config.Logs.Loki
	preset := loki.Presets()[read.Preset]
	return alerts.Links{
		Grafana: l.Grafana, Loki: l.LokiDatasourceUID, Dashboard: l.Dashboards.Healing, Autoscaling: l.Dashboards.Autoscaling, Runbooks: l.Runbooks,
		Labels: alerts.LogLabels{
			Namespace:  cmp.Or(read.Labels.Namespace, preset.Namespace),
			Pod:        cmp.Or(read.Labels.Pod, preset.Pod),
			Container:  cmp.Or(read.Labels.Container, preset.Container),
			Structured: preset.Structured,
		},
	}
}

func receiverOf(c *config.Receiver) notify.Receiver {
	r := notify.Receiver{
		Name: c.Name, Timeout: cmp.Or(c.Timeout.D(), config.DefaultAlertTimeout), HTTP: c.Client().HTTPClient(),
		SkipResolved: c.SendResolved != nil && !*c.SendResolved,
	}
	switch {
	case c.Alertmanager != nil:
		r.Kind, r.URLs = notify.Alertmanager, c.Alertmanager.URLs
	case c.Webhook != nil:
		r.Kind, r.URLFile, r.SecretFile = notify.Webhook, c.Webhook.URLFile, c.Webhook.SecretFile
		if c.Webhook.URL != "" {
			r.URLs = []string{c.Webhook.URL}
		}
	case c.Slack != nil:
		r.Kind, r.URLFile = notify.Slack, c.Slack.URLFile
	}
	return r
}

// recorder returns what the loops record to while this process acts, and what has to run beside them until ctx is done.
func (a *App) recorder() (control.Recorder, func(ctx context.Context)) {
	if a.notifier == nil {
		return a.telemetry, func(context.Context) {}
	}
	term := a.notifier.Begin()
	return control.Tee(a.telemetry, term), func(ctx context.Context) {
		if err := term.Run(ctx); err != nil {
			a.log.ErrorContext(ctx, "nobody is told of incidents", "error", err)
		}
		a.notifier.Close()
	}
}
