package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/homeostat/homeostat/alerts"
)

// Kind says how a receiver is spoken to.
type Kind string

// The kinds of receivers.
const (
	Alertmanager Kind = "alertmanager"
	Webhook      Kind = "webhook"
	Slack        Kind = "slack"
)

// DefaultTimeout of one notification.
const DefaultTimeout = 10 * time.Second

// Receiver is somebody who is told.
type Receiver struct {
	Name string
	Kind Kind
	// URLs of an Alertmanager, without /api/v2; one URL of a webhook, none where URLFile has it.
	URLs []string
	// URLFile has the address of a webhook, which is a secret then.
	URLFile string
	// SecretFile has the key of the signatures of a Webhook; empty: none are made.
	SecretFile string
	// SkipResolved leaves out the end; not for an Alertmanager.
	SkipResolved bool
	// Timeout of one notification. Default DefaultTimeout.
	Timeout time.Duration
	// HTTP is TLS, authentication and proxy. It is copied; redirects are never followed, for they could take secrets elsewhere.
	HTTP promconfig.HTTPClientConfig
}

// Options of a Notifier.
type Options struct {
	Receivers []Receiver
	Route     alerts.Route
	Links     alerts.Links
	// Decisions says what is told of the decisions of autoscalers. The zero value: nothing.
	Decisions alerts.DecisionOptions
	// Labels are added to every alert.
	Labels map[string]string
	// Sent is called with the receiver's name after every attempt, err being nil where it was taken. It must not block; nil: nobody
	// counts.
	Sent func(receiver string, err error)
	// Log tells when a receiver begins to fail and when it is back. Default: nowhere.
	Log *slog.Logger
	// UserAgent of the requests.
	UserAgent string
}

// sender sends to one endpoint. It returns an *alerts.SendError where the receiver answered, and never a text with a secret.
type sender interface {
	send(ctx context.Context, n *alerts.Notification) error
	close()
}

type endpointKey struct {
	receiver string
	index    int
}

// senders makes those of a receiver, one for each endpoint.
func (r *Receiver) senders(userAgent string) ([]sender, error) {
	bad := func(field string, value any, allowed string) error {
		return fmt.Errorf("receiver %q: %s: %v is not allowed: %s", r.Name, field, value, allowed)
	}
	r.Timeout = cmp.Or(r.Timeout, DefaultTimeout)
	switch {
	case r.Name == "":
		return nil, bad("name", `""`, "allowed is any other")
	case r.Timeout < 0:
		return nil, bad("timeout", r.Timeout, "allowed is more than 0s")
	case r.Kind == Alertmanager && (len(r.URLs) == 0 || r.URLFile != ""):
		return nil, bad("urls", len(r.URLs), "an Alertmanager has one or more, and none from a file")
	case r.Kind == Alertmanager && r.SkipResolved:
		return nil, bad("skipResolved", true, "an Alertmanager is always told of the end")
	case r.Kind != Alertmanager && len(r.URLs) > 1, r.Kind != Alertmanager && (len(r.URLs) == 0) == (r.URLFile == ""):
		return nil, bad("urls", len(r.URLs), "a webhook has one, or a file with it")
	case r.Kind != Webhook && r.SecretFile != "":
		return nil, bad("secretFile", fmt.Sprintf("%q", r.SecretFile), "only requests to a webhook are signed")
	}
	for _, u := range r.URLs {
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("receiver %q: urls: %w", r.Name, err)
		}
	}
	p, err := newPoster(r, userAgent)
	if err != nil {
		return nil, fmt.Errorf("receiver %q: http client: %w", r.Name, err)
	}
	switch r.Kind {
	case Alertmanager:
		var out []sender
		for _, u := range r.URLs {
			out = append(out, newAlertmanager(p, u))
		}
		return out, nil
	case Webhook:
		return []sender{&webhook{poster: p, receiver: r.Name}}, nil
	case Slack:
		return []sender{&slack{poster: p}}, nil
	default:
		return nil, bad("kind", fmt.Sprintf("%q", r.Kind), "allowed is alertmanager or webhook or slack")
	}
}

// checkURL does not repeat the address: it may be a secret.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return errors.New("it has no http or https address")
	}
	return nil
}
