package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Validate returns every value that is out of range: field, value and what is allowed, one error each, joined.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, allowed string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %v is not allowed: %s", field, quote(value), allowed))
		}
	}
	between := func(field string, d Duration, lo, hi time.Duration) {
		check(d.D() >= lo && d.D() <= hi, field, d, fmt.Sprintf("allowed is %s to %s", lo, hi))
	}
	oneOf := func(field, value string, allowed ...string) {
		check(slices.Contains(allowed, value), field, value, "allowed is "+strings.Join(allowed, " or "))
	}

	oneOf("platform", string(c.Platform), string(Kubernetes), string(Local))
	_, _, err := net.SplitHostPort(c.Listen)
	check(err == nil, "listen", c.Listen, "allowed is host:port, such as :8080")
	for i, ns := range c.Namespaces {
		check(ns != "", fmt.Sprintf("namespaces[%d]", i), ns, "allowed is the name of a namespace")
		check(!slices.Contains(c.Namespaces[:i], ns), fmt.Sprintf("namespaces[%d]", i), ns, "it is given twice")
	}
	oneOf("nativeHPAs", string(c.NativeHPAs), string(NativeObserve), string(NativeManage), string(NativeOff))
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "json", "text")

	l := c.LeaderElection
	check(l.Name != "", "leaderElection.name", l.Name, "allowed is the name of a Lease")
	between("leaderElection.retryPeriod", l.RetryPeriod, 100*time.Millisecond, time.Minute)
	// client-go asks for renewDeadline > 1.2 × retryPeriod (its jitter) and leaseDuration > renewDeadline.
	check(float64(l.RenewDeadline) > 1.2*float64(l.RetryPeriod), "leaderElection.renewDeadline", l.RenewDeadline, "allowed is more than 1.2 × leaderElection.retryPeriod")
	// A Lease has whole seconds, and the API server refuses one of none.
	check(l.LeaseDuration > l.RenewDeadline && l.LeaseDuration.D() >= time.Second && l.LeaseDuration.D() <= 10*time.Minute,
		"leaderElection.leaseDuration", l.LeaseDuration, "allowed is more than leaderElection.renewDeadline, 1s to 10m0s")

	m := c.Metrics
	between("metrics.scrapePeriod", m.ScrapePeriod, time.Second, 5*time.Minute)
	check(m.Timeout > 0 && m.Timeout <= m.ScrapePeriod, "metrics.timeout", m.Timeout, "allowed is more than 0s, at most metrics.scrapePeriod")
	between("metrics.window", m.Window, 2*time.Second, 10*time.Minute)
	check(m.StaleAfter >= m.Window && m.StaleAfter.D() <= time.Hour, "metrics.staleAfter", m.StaleAfter, "allowed is metrics.window to 1h0m0s")
	between("metrics.trendStep", m.TrendStep, 10*time.Second, 10*time.Minute)

	c.Sources.validate(check, between)
	between("scaling.period", c.Scaling.Period, 200*time.Millisecond, time.Minute)
	c.Healing.validate(check, between, oneOf)
	c.Logs.validate(check, between)
	c.Grafana.validate(check)
	if err := c.Alerts.validate(check); err != nil {
		errs = append(errs, err)
	}
	check(c.Journal.Every >= 1 && c.Journal.Every <= 100000, "journal.every", c.Journal.Every, "allowed is 1 to 100000")
	check(c.Platform != Local || c.LocalPlatform.File != "", "local.file", c.LocalPlatform.File, "platform local needs the file with its documents")
	return errors.Join(errs...)
}

// validate reports to check, between and oneOf, which are Validate's.
func (h *Healing) validate(
	check func(ok bool, field string, value any, allowed string), between func(field string, d Duration, lo, hi time.Duration),
	oneOf func(field, value string, allowed ...string),
) {
	upTo := func(field string, n, most int) {
		check(n >= 1 && n <= most, field, n, fmt.Sprintf("allowed is 1 to %d", most))
	}
	between("healing.period", h.Period, 200*time.Millisecond, time.Minute)
	oneOf("healing.watch", string(h.Watch), string(WatchAll), string(WatchSelected))
	between("healing.keepIncidents", h.KeepIncidents, time.Minute, 720*time.Hour)
	upTo("healing.maxIncidents", h.MaxIncidents, 1000)
	upTo("healing.clusterBudget.actions", h.ClusterBudget.Actions, 1000)
	between("healing.clusterBudget.period", h.ClusterBudget.Period, time.Minute, 168*time.Hour)
	upTo("healing.breaker.sharePercent", h.Breaker.SharePercent, 100)
	upTo("healing.breaker.atLeast", h.Breaker.AtLeast, 1000)
	between("healing.breaker.within", h.Breaker.Within, 10*time.Second, time.Hour)
	upTo("healing.breaker.nodes", h.Breaker.Nodes, 1000)
	between("healing.breaker.hold", h.Breaker.Hold, 0, 24*time.Hour)
}

func quote(v any) any {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return v
}
