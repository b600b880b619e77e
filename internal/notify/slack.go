package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/homeostat/homeostat/alerts"
)

// Bounds of a message: Slack takes 50 blocks, 3,000 characters in a section and 150 in a header.
const (
	slackAlerts  = 10
	slackSection = 2900
	slackHeader  = 150
)

// slack posts messages as Slack's incoming webhooks take them: blocks, and the same as text for those that know no blocks.
type slack struct{ *poster }

type slackMessage struct {
	Text   string       `json:"text"`
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type string     `json:"type"`
	Text *slackText `json:"text,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func (s *slack) send(ctx context.Context, n *alerts.Notification) error {
	body, err := json.Marshal(slackOf(n))
	if err != nil {
		return fmt.Errorf("encode notification: %w", err)
	}
	target, err := s.target()
	if err != nil {
		return err
	}
	return s.post(ctx, target, body, nil)
}

func slackOf(n *alerts.Notification) slackMessage {
	title := cutTo(slackTitle(n), slackHeader)
	m := slackMessage{Blocks: []slackBlock{{Type: "header", Text: &slackText{Type: "plain_text", Text: title}}}}
	parts := []string{"*" + mrkdwn(title) + "*"}
	for i := range n.Alerts[:min(len(n.Alerts), slackAlerts)] {
		part := slackAlert(&n.Alerts[i])
		parts = append(parts, part)
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &slackText{Type: "mrkdwn", Text: part}})
	}
	if more := len(n.Alerts) + n.Truncated - slackAlerts; more > 0 {
		part := fmt.Sprintf("and %d more", more)
		parts = append(parts, part)
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &slackText{Type: "mrkdwn", Text: part}})
	}
	m.Text = strings.Join(parts, "\n\n")
	return m
}

// slackTitle says how many fire and have ended, and what they share.
func slackTitle(n *alerts.Notification) string {
	firing := 0
	for i := range n.Alerts {
		if !n.Alerts[i].Ended() {
			firing++
		}
	}
	var state []string
	if firing > 0 {
		state = append(state, fmt.Sprintf("FIRING %d", firing))
	}
	if over := len(n.Alerts) - firing; over > 0 {
		state = append(state, fmt.Sprintf("RESOLVED %d", over))
	}
	words := []string{"[" + strings.Join(state, ", ") + "]"}
	common := n.CommonLabels()
	for _, name := range []string{alerts.LabelAlertname, alerts.LabelNamespace, alerts.LabelWorkload} {
		if v := common[name]; v != "" {
			words = append(words, v)
		}
	}
	return strings.Join(words, " ")
}

// slackAlert is one alert, at most slackSection bytes.
func slackAlert(a *alerts.Alert) string {
	of := func(name string, size int) string { return cutTo(mrkdwn(a.Annotations[name]), size) }
	head := strings.ToUpper(a.Labels[alerts.LabelSeverity])
	if a.Ended() {
		head = "RESOLVED"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%s* %s\n", head, of(alerts.AnnotationSummary, 300))
	if a.Ended() {
		fmt.Fprintf(&b, "%s\n", of(alerts.AnnotationDone, 600))
		return b.String() + slackLinks(a, slackSection-b.Len())
	}
	fmt.Fprintf(&b, "%s\n", of(alerts.AnnotationDescription, 700))
	if text := of(alerts.AnnotationMembers, 200); text != "" {
		fmt.Fprintf(&b, "_Fail because of it:_ %s\n", text)
	}
	if text := strings.ReplaceAll(of(alerts.AnnotationLog, 500), "`", "'"); text != "" {
		fmt.Fprintf(&b, "```%s```\n", text)
	}
	fmt.Fprintf(&b, "%s\n", of(alerts.AnnotationDone, 400))
	return b.String() + slackLinks(a, slackSection-b.Len())
}

// slackLinks are the alert's links and id, as many as fit.
func slackLinks(a *alerts.Alert, size int) string {
	out := ""
	for _, l := range []struct{ annotation, name string }{
		{alerts.AnnotationRunbook, "Runbook"}, {alerts.AnnotationDashboard, "Dashboard"}, {alerts.AnnotationLogs, "Logs"},
	} {
		link := "<" + strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C").Replace(a.Annotations[l.annotation]) + "|" + l.name + "> "
		if a.Annotations[l.annotation] != "" && len(out)+len(link) < size-150 {
			out += link
		}
	}
	return out + "`" + cutTo(a.Annotations[alerts.AnnotationID], 140) + "`"
}

// mrkdwn escapes what Slack reads as a link or an address of people: what a log says must not call a channel.
func mrkdwn(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// cutTo shortens a text to at most size bytes at a rune's border.
func cutTo(s string, size int) string {
	if len(s) <= size {
		return s
	}
	return strings.ToValidUTF8(s[:size-len("…")], "") + "…"
}
