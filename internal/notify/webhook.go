package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/alerts"
)

// The headers of a signed request. The signature is the HMAC-SHA256, in hexadecimal digits after "sha256=", with the key in the
// receiver's file, of the timestamp (Unix seconds, decimal), a dot, and the body.
const (
	HeaderTimestamp = "X-Homeostat-Timestamp"
	HeaderSignature = "X-Homeostat-Signature"
)

// Sign returns the value of HeaderSignature.
func Sign(key, body []byte, timestamp string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(timestamp + ".")) // a hash takes everything
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// webhook posts what Alertmanager posts to webhooks.
type webhook struct {
	*poster
	receiver string
}

// webhookVersion is the version of the format.
const webhookVersion = "4"

// message is Alertmanager's format of version 4.
type message struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []messageAlert    `json:"alerts"`
}

type messageAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // the year 1 while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

func (w *webhook) send(ctx context.Context, n *alerts.Notification) error {
	m := message{
		Version: webhookVersion, GroupKey: n.GroupKey, TruncatedAlerts: n.Truncated, Status: n.Status(), Receiver: w.receiver,
		GroupLabels: n.GroupLabels, CommonLabels: n.CommonLabels(), CommonAnnotations: n.CommonAnnotations(),
		Alerts: make([]messageAlert, 0, len(n.Alerts)),
	}
	for i := range n.Alerts {
		a := &n.Alerts[i]
		m.Alerts = append(m.Alerts, messageAlert{
			Status: a.Status(), Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
			GeneratorURL: a.Annotations[alerts.AnnotationDashboard], Fingerprint: a.Fingerprint(),
		})
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode notification: %w", err)
	}
	target, err := w.target()
	if err != nil {
		return err
	}
	header := http.Header{}
	if w.key != "" {
		key, err := readSecret(w.key)
		if err != nil {
			return err
		}
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		header.Set(HeaderTimestamp, stamp)
		header.Set(HeaderSignature, Sign([]byte(key), body, stamp))
	}
	return w.post(ctx, target, body, header)
}
