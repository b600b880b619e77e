package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/alerts"
)

const (
	// batch is how many alerts go into one request, as with Prometheus.
	batch = 64
	// expiry is after how many repetitions that do not come an Alertmanager takes an alert for over, as with Prometheus.
	expiry = 4
)

// alertmanager posts alerts to one Alertmanager. What fires is posted again every alerts.RelayRepeat with an end in the future, so
// that it is over by itself where Homeostat is not there any more.
type alertmanager struct {
	*poster
	api string
}

func newAlertmanager(p *poster, address string) *alertmanager {
	return &alertmanager{poster: p, api: strings.TrimRight(address, "/") + "/api/v2/alerts"}
}

// postableAlert is an alert as the API takes it.
type postableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func (a *alertmanager) send(ctx context.Context, n *alerts.Notification) error {
	for i := 0; i < len(n.Alerts); i += batch {
		part := n.Alerts[i:min(i+batch, len(n.Alerts))]
		list := make([]postableAlert, 0, len(part))
		for j := range part {
			one := &part[j]
			ends := one.EndsAt
			if !one.Ended() {
				ends = n.At.Add(expiry * alerts.RelayRepeat)
			}
			list = append(list, postableAlert{
				Labels: one.Labels, Annotations: one.Annotations, StartsAt: one.StartsAt, EndsAt: ends,
				GeneratorURL: one.Annotations[alerts.AnnotationDashboard],
			})
		}
		body, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("encode alerts: %w", err)
		}
		if err := a.post(ctx, a.api, body, nil); err != nil {
			return err
		}
	}
	return nil
}
