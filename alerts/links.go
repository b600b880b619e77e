package alerts

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// Links says where an alert leads to. What is empty is left out.
type Links struct {
	// Grafana is the address of the server, such as https://grafana.example.com.
	Grafana string
	// Loki is the UID of Grafana's data source; Labels are those of its streams.
	Loki   string
	Labels LogLabels
	// Dashboard is the UID of the one about incidents, with the variables namespace, workload and loki.
	Dashboard string
	// Autoscaling is the UID of the one about one autoscaler, with the variables namespace, kind, name, target and loki.
	Autoscaling string
	// Runbooks is the address below which each alert has a page: <Runbooks>/<alertname>.md; {alertname} in it says that the page
	// is called otherwise.
	Runbooks string
}

// LogLabels are the labels that tell the log of a container. Structured is true where pod and container are structured metadata.
type LogLabels struct {
	Namespace, Pod, Container string
	Structured                bool
}

const (
	// lead is how much of a log before the failure is shown: the window that evidence is captured from.
	lead = 5 * time.Minute
	// trail is how much after it was last seen.
	trail = time.Minute
	// widest is how much at most is shown, from the end; Loki is slow with more, and the newest tells most.
	widest = 6 * time.Hour
)

const alertnameHole = "{alertname}"

func (l *Links) runbook(alertname string) string {
	switch {
	case l.Runbooks == "":
		return ""
	case strings.Contains(l.Runbooks, alertnameHole):
		return strings.ReplaceAll(l.Runbooks, alertnameHole, alertname)
	default:
		return strings.TrimRight(l.Runbooks, "/") + "/" + alertname + ".md"
	}
}

// dashboard is the dashboard of incidents on the workload and the time.
func (l *Links) dashboard(in *incident.Incident) string {
	var end time.Time
	if !in.State.Active() {
		end = in.ResolvedAt
	}
	return l.board(l.Dashboard, in.StartedAt, end, [][2]string{{"namespace", in.Namespace}, {"workload", in.Workload.Name}})
}

// autoscaling is the dashboard of the autoscaler from the time on; a zero end: until now.
func (l *Links) autoscaling(d *Decision, from, end time.Time) string {
	return l.board(l.Autoscaling, from, end, [][2]string{
		{"namespace", d.Autoscaler.Namespace}, {"kind", d.Autoscaler.Kind}, {"name", d.Autoscaler.Name}, {"target", d.Target.Name},
	})
}

// board is the address of a dashboard with a while around the time, and with the variables.
func (l *Links) board(uid string, from, end time.Time, variables [][2]string) string {
	if l.Grafana == "" || uid == "" {
		return ""
	}
	to := "now"
	if !end.IsZero() {
		to = millis(end.Add(lead))
	}
	if l.Loki != "" {
		variables = append(variables, [2]string{"loki", l.Loki})
	}
	var b strings.Builder
	b.WriteString(strings.TrimRight(l.Grafana, "/") + "/d/" + escape(uid) + "?from=" + millis(from.Add(-3*lead)) + "&to=" + to)
	for _, v := range variables {
		b.WriteString("&var-" + v[0] + "=" + escape(v[1]))
	}
	return b.String()
}

// explore is what Grafana's Explore page reads from its address (schemaVersion 1).
type explore struct {
	Datasource string         `json:"datasource"`
	Queries    []exploreQuery `json:"queries"`
	Range      exploreRange   `json:"range"`
}

type exploreQuery struct {
	RefID      string        `json:"refId"`
	Datasource exploreSource `json:"datasource"`
	Expr       string        `json:"expr"`
}

type exploreSource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type exploreRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// logs is the Explore page with the logs of the replicas around the failure.
func (l *Links) logs(in *incident.Incident) string {
	expr := l.logQL(in)
	if l.Grafana == "" || l.Loki == "" || expr == "" {
		return ""
	}
	to := in.LastSeenAt.Add(trail)
	from := in.StartedAt.Add(-lead)
	if to.Sub(from) > widest {
		from = to.Add(-widest)
	}
	panes := map[string]explore{"a": {
		Datasource: l.Loki,
		Queries:    []exploreQuery{{RefID: "A", Datasource: exploreSource{Type: "loki", UID: l.Loki}, Expr: expr}},
		Range:      exploreRange{From: millis(from), To: millis(to)},
	}}
	text, err := json.Marshal(panes)
	if err != nil {
		return ""
	}
	return strings.TrimRight(l.Grafana, "/") + "/explore?schemaVersion=1&orgId=1&panes=" + escape(string(text))
}

// logQL selects the streams of the replicas and container that the incident is about; empty: it is about none.
func (l *Links) logQL(in *incident.Incident) string {
	if l.Labels.Namespace == "" || l.Labels.Pod == "" || in.Workload.Namespace == "" {
		return "" // a node or the cluster: it has no log of its own
	}
	var names []string
	seen := map[string]bool{}
	for i := range in.Subjects {
		if name := in.Subjects[i].Replica; name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	pod := l.Labels.Pod + "=" + strconv.Quote(names[0])
	if len(names) > 1 {
		for i := range names {
			names[i] = regexp.QuoteMeta(names[i])
		}
		pod = l.Labels.Pod + "=~" + strconv.Quote(strings.Join(names, "|"))
	}
	filters := []string{pod}
	if c := in.Container(); c != "" && l.Labels.Container != "" {
		filters = append(filters, l.Labels.Container+"="+strconv.Quote(c))
	}
	namespace := l.Labels.Namespace + "=" + strconv.Quote(in.Workload.Namespace)
	if l.Labels.Structured {
		return "{" + namespace + "} | " + strings.Join(filters, " | ")
	}
	return "{" + namespace + "," + strings.Join(filters, ",") + "}"
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// escape writes a value of a query: every byte but RFC 3986's unreserved ones by its number.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
