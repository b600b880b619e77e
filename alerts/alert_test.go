package alerts

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// killed is an incident with a bit of everything.
func killed() *incident.Incident {
	in := &incident.Incident{
		Namespace: "shop", Name: "web-oomkilled-d09de1376e", Workload: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"},
		Kind: incident.OOMKilled, State: incident.Verifying, StartedAt: t0.Add(-10 * time.Second), OpenedAt: t0, LastSeenAt: t0.Add(time.Minute),
		Occurrences: 3, Confidence: 95, Cause: "the cache grows\nwithout end",
		For: []string{"memory at 99 % of the limit", "it grew for 20 min"}, Against: []string{"the load grew too"},
		Reason: "CarriedOut", Message: "raised the limit of web-2",
	}
	for _, name := range []string{"web-1", "web-2"} {
		in.Concern(incident.Subject{Replica: name, Container: "app", At: t0})
	}
	in.Attach(incident.Evidence{Kind: incident.EvidenceLog, Message: "log of web-1", Source: "loki", Lines: []string{"GET /", "GET /a", "cache full"}, Templates: []incident.LogTemplate{
		{Template: "cache <*>", Count: 7, Example: "cache full"}, {Template: "GET <*>", Count: 1, Example: "GET /a"},
	}})
	in.Attach(incident.Evidence{Kind: incident.EvidenceLog, Message: "the log could not be read"})
	in.Note(t0, "IncidentOpened", "opened")
	in.Note(t0.Add(time.Second), "RollingOut", "a rollout is under way")
	in.Intend(incident.Remediation{
		Remedy: incident.RemedyResizeMemory, Replica: "web-2", IntendedAt: t0.Add(20 * time.Second), Outcome: incident.Done, Message: "from 64Mi to 96Mi",
	})
	in.Note(t0.Add(30*time.Second), "MinHealthy", "one of two replicas is ready")
	in.Note(t0.Add(40*time.Second), "MinHealthy", "still one")
	return in
}

var links = Links{
	Grafana: "https://grafana.example.com/", Loki: "loki-uid", Labels: LogLabels{Namespace: "namespace", Pod: "pod", Container: "container"},
	Dashboard: "homeostat-healing", Autoscaling: "homeostat-autoscaling", Runbooks: "https://example.com/runbooks",
}

func TestAnAlertTellsCauseLogAndWhatWasDone(t *testing.T) {
	t.Parallel()
	a := FromIncident(killed(), links, t0)
	if !a.StartsAt.Equal(t0) || a.Ended() || a.Status() != "firing" || a.ID != "shop/web-oomkilled-d09de1376e" {
		t.Errorf("it is %+v", a)
	}
	logs, dashboard := a.Annotations[AnnotationLogs], a.Annotations[AnnotationDashboard]
	delete(a.Annotations, AnnotationLogs)
	want := map[string]string{
		"summary": "shop/deployment/web: the cache grows without end",
		"description": `Cause (95 % sure): the cache grows without end
For it: memory at 99 % of the limit; it grew for 20 min
Against it: the load grew too
Since 2026-03-01T11:59:50Z, last seen 2026-03-01T12:01:00Z, seen 3 times on web-2, web-1
Verifying: raised the limit of web-2`,
		"log": "cache full (7 like it)\nGET /a",
		"done": `2026-03-01T12:00:20Z ResizeMemory of web-2: Done, from 64Mi to 96Mi
2026-03-01T12:00:40Z not done (MinHealthy): still one`,
		"id":            "shop/web-oomkilled-d09de1376e",
		"runbook_url":   "https://example.com/runbooks/HomeostatOOMKilled.md",
		"dashboard_url": "https://grafana.example.com/d/homeostat-healing?from=1772365490000&to=now&var-namespace=shop&var-workload=web&var-loki=loki-uid",
	}
	if d := cmp.Diff(want, a.Annotations); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
	labels := map[string]string{
		"alertname": "HomeostatOOMKilled", "severity": "warning", "namespace": "shop", "workload_kind": "Deployment", "workload": "web",
		"container": "app", "kind": "OOMKilled", "source": "homeostat",
	}
	if d := cmp.Diff(labels, a.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if _, err := url.Parse(dashboard); err != nil {
		t.Error(err)
	}
	u, err := url.Parse(logs)
	if err != nil || u.Host != "grafana.example.com" || u.Path != "/explore" || u.Query().Get("schemaVersion") != "1" {
		t.Fatalf("the link to the logs is %s (%v)", logs, err)
	}
	var panes map[string]explore
	if err := json.Unmarshal([]byte(u.Query().Get("panes")), &panes); err != nil {
		t.Fatal(err)
	}
	pane := panes["a"]
	source := exploreSource{Type: "loki", UID: "loki-uid"}
	if pane.Datasource != source.UID || len(pane.Queries) != 1 || pane.Queries[0].Datasource != source || pane.Queries[0].RefID != "A" {
		t.Fatalf("the pane is %+v", pane)
	}
	if d := cmp.Diff(`{namespace="shop",pod=~"web-1|web-2",container="app"}`, pane.Queries[0].Expr); d != "" {
		t.Errorf("query (-want +got):\n%s", d)
	}
	if d := cmp.Diff(exploreRange{From: "1772366090000", To: "1772366520000"}, pane.Range); d != "" {
		t.Errorf("range (-want +got):\n%s", d)
	}
}

func TestTheLinkToTheLogsSurvivesAnyName(t *testing.T) {
	t.Parallel()
	in := killed()
	in.Subjects = []incident.Subject{{Replica: `we"b\.1+&%`, Container: `a"b`}}
	l := links
	l.Labels = LogLabels{Namespace: "k8s_namespace_name", Pod: "k8s_pod_name", Container: "k8s_container_name", Structured: true}
	u, err := url.Parse(FromIncident(in, l, t0).Annotations[AnnotationLogs])
	if err != nil {
		t.Fatal(err)
	}
	var panes map[string]explore
	if err := json.Unmarshal([]byte(u.Query().Get("panes")), &panes); err != nil {
		t.Fatal(err)
	}
	want := `{k8s_namespace_name="shop"} | k8s_pod_name="we\"b\\.1+&%" | k8s_container_name="a\"b"`
	if d := cmp.Diff(want, panes["a"].Queries[0].Expr); d != "" {
		t.Errorf("query (-want +got):\n%s", d)
	}
	in.Subjects = append(in.Subjects, incident.Subject{Replica: "x", Container: `a"b`})
	if want, got := `{namespace="shop",pod=~"we\"b\\\\\\.1\\+&%|x",container="a\"b"}`, links.logQL(in); got != want {
		t.Errorf("query is %s, want %s", got, want)
	}
}

func TestLinksThatLeadNowhereAreLeftOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*incident.Incident, *Links)
		gone   []string
	}{
		"no Grafana":       {func(_ *incident.Incident, l *Links) { l.Grafana = "" }, []string{AnnotationLogs, AnnotationDashboard}},
		"no Loki":          {func(_ *incident.Incident, l *Links) { l.Loki = "" }, []string{AnnotationLogs}},
		"no labels":        {func(_ *incident.Incident, l *Links) { l.Labels = LogLabels{} }, []string{AnnotationLogs}},
		"no dashboard":     {func(_ *incident.Incident, l *Links) { l.Dashboard = "" }, []string{AnnotationDashboard}},
		"no runbooks":      {func(_ *incident.Incident, l *Links) { l.Runbooks = "" }, []string{AnnotationRunbook}},
		"a node":           {func(in *incident.Incident, _ *Links) { in.Workload = cluster.Ref{Kind: "Node", Name: "n1"} }, []string{AnnotationLogs}},
		"no replica":       {func(in *incident.Incident, _ *Links) { in.Subjects = nil }, []string{AnnotationLogs}},
		"nothing at all":   {func(_ *incident.Incident, l *Links) { *l = Links{} }, []string{AnnotationLogs, AnnotationDashboard, AnnotationRunbook}},
		"all of them lead": {func(*incident.Incident, *Links) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, l := killed(), links
			tc.change(in, &l)
			a := FromIncident(in, l, t0)
			var gone []string
			for _, name := range []string{AnnotationLogs, AnnotationDashboard, AnnotationRunbook} {
				if _, there := a.Annotations[name]; !there {
					gone = append(gone, name)
				}
			}
			if d := cmp.Diff(tc.gone, gone); d != "" {
				t.Errorf("left out (-want +got):\n%s", d)
			}
		})
	}
}

func TestOtherPlacesOfLinks(t *testing.T) {
	t.Parallel()
	in := killed()
	in.Kind, in.State, in.ResolvedAt = incident.AutoscalerBlind, incident.Resolved, t0.Add(time.Hour)
	in.StartedAt = t0.Add(-24 * time.Hour)
	l := links
	l.Runbooks = "https://wiki/p?title={alertname}"
	a := FromIncident(in, l, t0)
	if got := a.Annotations[AnnotationDashboard]; !strings.Contains(got, "&to=1772370300000&") {
		t.Errorf("dashboard is %s", got)
	}
	if got := a.Annotations[AnnotationRunbook]; got != "https://wiki/p?title=HomeostatAutoscalerBlind" {
		t.Errorf("runbook is %s", got)
	}
	u, err := url.Parse(a.Annotations[AnnotationLogs])
	if err != nil || !strings.Contains(u.Query().Get("panes"), `"from":"1772344920000"`) {
		t.Errorf("logs are %s (%v), want at most six hours of them", u.Query().Get("panes"), err)
	}
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*incident.Incident)
		want   string
		since  time.Time
	}{
		"a failure":             {func(*incident.Incident) {}, Warning, t0},
		"abandoned":             {func(in *incident.Incident) { in.State = incident.Abandoned }, Critical, t0},
		"a storm":               {func(in *incident.Incident) { in.Kind = incident.Storm }, Critical, t0},
		"a forecast":            {func(in *incident.Incident) { in.Kind = incident.MemoryLeak }, Info, t0},
		"a notice":              {func(in *incident.Incident) { in.Kind = incident.Evicted }, Info, t0},
		"nothing left to try":   {func(in *incident.Incident) { in.Note(t0.Add(time.Hour), "LadderExhausted", "x") }, Critical, t0.Add(time.Hour)},
		"no budget left":        {func(in *incident.Incident) { in.Note(t0.Add(time.Hour), "BudgetExhausted", "x") }, Critical, t0.Add(time.Hour)},
		"nor the cluster's":     {func(in *incident.Incident) { in.Reason = "ClusterBudgetExhausted" }, Critical, t0},
		"it stays so till over": {func(in *incident.Incident) { in.Note(t0, "BudgetExhausted", "x"); in.State = incident.Resolved }, Critical, t0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := killed()
			tc.change(in)
			a := FromIncident(in, links, t0)
			if a.Labels[LabelSeverity] != tc.want || !a.StartsAt.Equal(tc.since) {
				t.Errorf("severity is %s since %s, want %s since %s", a.Labels[LabelSeverity], a.StartsAt, tc.want, tc.since)
			}
		})
	}
}

func TestAMemberIsToldByItsRoot(t *testing.T) {
	t.Parallel()
	member := killed()
	member.Root = "shop/db-crashloop-1"
	member.Note(t0.Add(50*time.Second), "RootFound", "it follows from shop/db-crashloop-1")
	a := FromIncident(member, links, t0.Add(time.Hour))
	if !a.EndsAt.Equal(t0.Add(50 * time.Second)) {
		t.Errorf("the member's alert ends at %s", a.EndsAt)
	}
	if !strings.Contains(a.Annotations[AnnotationDescription], "It follows from shop/db-crashloop-1, whose alert stands for it") {
		t.Errorf("it says %s", a.Annotations[AnnotationDescription])
	}
	root := killed()
	root.Join(incident.Member{Workload: member.Workload, Incident: "shop/web-1", Kind: incident.CrashLoop})
	root.Join(incident.Member{Workload: cluster.Ref{Kind: "StatefulSet", Namespace: "shop", Name: "api"}})
	root.MemberCount = 7
	got := FromIncident(root, links, t0).Annotations
	if want := "shop/deployment/web (CrashLoop), shop/statefulset/api and 5 more"; got[AnnotationMembers] != want {
		t.Errorf("members are %q, want %q", got[AnnotationMembers], want)
	}
	if !strings.Contains(got[AnnotationDescription], "Workloads that fail because of it: 7") {
		t.Errorf("it says %s", got[AnnotationDescription])
	}
}

func TestTheEndOfAnAlert(t *testing.T) {
	t.Parallel()
	in := killed()
	in.State, in.ResolvedAt = incident.Resolved, t0.Add(time.Minute)
	if a := FromIncident(in, links, t0.Add(time.Hour)); !a.EndsAt.Equal(in.ResolvedAt) || a.Status() != "resolved" {
		t.Errorf("it ends at %s", a.EndsAt)
	}
	in.ResolvedAt = time.Time{}
	if a := FromIncident(in, links, t0.Add(time.Hour)); !a.EndsAt.Equal(t0.Add(time.Hour)) {
		t.Errorf("it ends at %s", a.EndsAt)
	}
	in.ResolvedAt = t0.Add(-time.Hour)
	if a := FromIncident(in, links, t0); !a.EndsAt.Equal(a.StartsAt) {
		t.Errorf("it ends at %s before it starts", a.EndsAt)
	}
}

func TestAnAlertOfAnIncidentWithoutAnything(t *testing.T) {
	t.Parallel()
	a := FromIncident(&incident.Incident{Namespace: "shop", Name: "x", Kind: incident.NotReady, State: incident.Open, Workload: cluster.Ref{Kind: "Job", Name: "j"}}, Links{}, t0)
	for name, want := range map[string]string{
		AnnotationSummary: "job/j: NotReady", AnnotationDone: "Nothing was done.", AnnotationID: "shop/x",
	} {
		if a.Annotations[name] != want {
			t.Errorf("%s is %q, want %q", name, a.Annotations[name], want)
		}
	}
	if _, has := a.Labels[LabelContainer]; has {
		t.Error("it has an empty label")
	}
}

func TestAnAlertIsSmallHoweverLongItsIncidentIs(t *testing.T) {
	t.Parallel()
	in, long := killed(), strings.Repeat("ü", 400)
	for n := range 60 {
		in.Note(t0.Add(time.Duration(n)*time.Second), []string{"MinHealthy", "Cooldown", "NoRemedy"}[n%3], long)
		in.Intend(incident.Remediation{ID: string(rune('a' + n)), Remedy: incident.RemedyRestart, Message: long})
		in.Join(incident.Member{Workload: cluster.Ref{Kind: "Deployment", Namespace: long[:200], Name: string(rune('a' + n))}})
		in.Attach(incident.Evidence{Kind: incident.EvidenceLog, Lines: []string{long, long, long, long, long, long, long}})
	}
	in.Explain(long, 90, []string{long, long + "a", long + "b", long + "c"}, []string{long + "d", long + "e", long + "f"})
	in.Say("x", long)
	a := FromIncident(in, links, t0)
	size := 0
	for _, text := range a.Annotations {
		size += len(text)
		if strings.ToValidUTF8(text, "?") != text {
			t.Errorf("%q is no UTF-8", text)
		}
	}
	if size > 8<<10 {
		t.Errorf("the annotations have %d bytes", size)
	}
	if !strings.HasSuffix(a.Annotations[AnnotationDescription], "…") {
		t.Error("what was cut is not marked")
	}
}

func TestCommonLabelsAndAnnotations(t *testing.T) {
	t.Parallel()
	one := Alert{Labels: map[string]string{"a": "1", "b": "2"}, Annotations: map[string]string{"x": "1"}}
	two := Alert{Labels: map[string]string{"a": "1", "b": "3", "c": "4"}, Annotations: map[string]string{"y": "1"}, EndsAt: t0}
	n := Notification{Alerts: []Alert{one, two}}
	if d := cmp.Diff(map[string]string{"a": "1"}, n.CommonLabels()); d != "" {
		t.Error(d)
	}
	if len(n.CommonAnnotations()) != 0 || n.Status() != "firing" || len(one.Labels) != 2 {
		t.Errorf("annotations %v, status %s, labels %v", n.CommonAnnotations(), n.Status(), one.Labels)
	}
	if n.Alerts = n.Alerts[1:]; n.Status() != "resolved" {
		t.Error("nothing fires, and it is firing")
	}
	if n.Alerts = nil; len(n.CommonLabels()) != 0 {
		t.Error("no alerts have labels in common")
	}
}
