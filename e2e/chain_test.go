//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/logs/loki/lokitest"
	"github.com/homeostat/homeostat/internal/report"
)

// One scale-up under load and one death, each under one id: in the status, the events, the journal, Loki, the annotations in Grafana and the notifications,
// and the command line shows it all by that id. The sample of the metric that the scale-up was decided from stands in the journal and in Loki. What a page
// says that comes from Homeostat by way of Alertmanager is the cause, with the lines of the log and what was done, and its end comes too. Besides, what a leak
// wrote is found in a real Loki, to which the lab's shipper sends it, when its pod is gone. Not parallel: the controllers of all other tests are away meanwhile.
func TestOneIDFollowsADeathAndAScaleUp(t *testing.T) {
	if env.lab == "" {
		t.Skip("SKIPPED: this cluster is not a lab, so nothing ships the logs of its containers")
	}
	w := watchAll(t, lokitest.Start(t, "..", false))
	s := newSpace(t, "chain")
	s.deploy(workload{replicas: 1, memory: "80Mi", change: requests})
	if err := env.scaleControllers(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	outside := startOutside(t, env.kubeconfig, w.config)

	// 70 thousandths of a core, with 40 wanted per replica, need two of them.
	pod := s.awaitReady(1)[0].Name
	s.ask(pod, "/cpu-load?millicores=70&seconds=3600")
	s.scale(func(a *v1alpha1.AutoscalerSpec) {
		a.MinReplicas, a.MaxReplicas = new(int32(1)), 2
		a.Behavior.ScaleDown.SelectPolicy = new(autoscalingv2.DisabledPolicySelect)
	})
	changes := s.awaitAutoscaler("two replicas under load", 2*time.Minute, hasReplicas(2)).Status.LastChanges
	if len(changes) != 1 || changes[0].From != 1 || changes[0].To != 2 || !strings.HasPrefix(changes[0].ID, "d-") {
		t.Fatalf("the status has the changes %+v, want one from 1 to 2 with an id", changes)
	}
	id := changes[0].ID
	w.follow(s, id, "HomeostatScaled", "decision", report.MomentScaling)
	w.hasSample(s, id, pod)

	in := s.leakUntilLokiTells(pod)
	w.follow(s, in.Namespace+"/"+in.Name, "HomeostatOOMKilled", "incident", report.MomentIncident)
	w.saysWhy(s, in, pod)
	s.heal(func(p *v1alpha1.HealingPolicySpec) { // from now on it is over soon
		p.Remedies = []v1alpha1.FindingRemedy{{Finding: v1alpha1.FindingKind(incident.OOMKilled), Remedy: v1alpha1.Remedy(incident.RemedyNone)}}
	})
	w.seesTheEnd(s, in)

	outside.kill(t)
	s.logsOutliveThePod(pod, evidence(in, incident.EvidenceLog)[0].Container, w.loki)
}

// witnesses are all that a controller tells of what it does, beside the cluster itself.
type witnesses struct {
	journal, config    string   // files
	loki, alertmanager string   // addresses
	hook, pages        *webhook // called by the controller, and by the Alertmanager that it tells
	grafana            *grafana
}

// idAnnotation of an Event is the id, as users read it.
const idAnnotation = "homeostat.dev/id"

// The secrets of the test.
const (
	hookKey      = "the key of the hook"
	grafanaToken = "glsa_of_the_test"
)

// watchAll lets the lab's shipper send logs to the Loki, and writes the configuration of a controller that tells everybody. Afterwards the controllers in their
// pods are back.
func watchAll(t *testing.T, loki string) *witnesses {
	t.Helper()
	if _, err := env.command(t.Context(), env.lab, "up", "--loki", loki); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's own context has ended
		if _, err := env.command(context.Background(), env.lab, "up", "--loki", "off"); err != nil {
			t.Errorf("end the shipper: %v", err)
		}
		if err := env.scaleControllers(context.Background(), replicas); err != nil {
			t.Errorf("bring the controllers back: %v", err)
		}
	})
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	text, err := os.ReadFile(filepath.Join(overlay, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := &witnesses{journal: filepath.Join(dir, "journal.jsonl"), loki: loki, hook: listen(t, signed), pages: listen(t, nil), grafana: annotated(t)}
	w.alertmanager = startAlertmanager(t, w.pages.url)
	w.config = write("config.yaml", string(text)+fmt.Sprintf(`
logs:
  loki: {url: %[1]q}
  push: {url: %[1]q, labels: {cluster: lab}}
journal: {path: %[2]q}
alerts:
  labels: {cluster: lab}
  receivers: [{name: hook, webhook: {url: %[3]q, secretFile: %[4]q}}, {name: stack, alertmanager: {urls: [%[7]q]}}]
  route: {receiver: hook, groupWait: 1s, groupInterval: 1s, routes: [{receiver: stack, continue: true}, {receiver: hook}]}
  decisions: {scaled: true}
grafana: {url: %[5]q, tokenFile: %[6]q}
`, loki, w.journal, w.hook.url, write("key", hookKey+"\n"), w.grafana.url, write("token", grafanaToken+"\n"), w.alertmanager))
	return w
}

// signed says what is wrong with the signature of a call, as whoever takes it would find out.
func signed(header http.Header, body []byte) error {
	stamp := header.Get("X-Homeostat-Timestamp")
	mac := hmac.New(sha256.New, []byte(hookKey))
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	if want, got := "sha256="+hex.EncodeToString(mac.Sum(nil)), header.Get("X-Homeostat-Signature"); !hmac.Equal([]byte(want), []byte(got)) {
		return fmt.Errorf("its signature is %q, want %q", got, want)
	}
	at, err := strconv.ParseInt(stamp, 10, 64)
	if age := time.Since(time.Unix(at, 0)); err != nil || age.Abs() > 10*time.Minute {
		return fmt.Errorf("its time is %q", stamp)
	}
	return nil
}

// annotation is one of Grafana's.
type annotation struct {
	ID      int64    `json:"id"`
	Time    int64    `json:"time"`
	TimeEnd int64    `json:"timeEnd"`
	Text    string   `json:"text"`
	Tags    []string `json:"tags"`
}

// grafana keeps annotations as the HTTP API of Grafana does, which cannot be had here.
type grafana struct {
	url string

	mu   sync.Mutex
	kept []annotation
}

func annotated(t *testing.T) *grafana {
	t.Helper()
	g := &grafana{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/annotations", func(w http.ResponseWriter, r *http.Request) {
		answer(w, g.with(r.URL.Query()["tags"]...))
	})
	mux.HandleFunc("POST /api/annotations", func(w http.ResponseWriter, r *http.Request) {
		var a annotation
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		a.ID = int64(len(g.kept) + 1)
		g.kept = append(g.kept, a)
		answer(w, map[string]any{"message": "Annotation added", "id": a.ID})
	})
	mux.HandleFunc("PATCH /api/annotations/{id}", func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id < 1 || id > len(g.kept) {
			http.NotFound(w, r)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&g.kept[id-1]); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, map[string]any{"message": "Annotation patched"})
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+grafanaToken {
			http.Error(w, "who is it", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// with returns the annotations that have all of the tags.
func (g *grafana) with(tags ...string) []annotation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.kept), func(a annotation) bool {
		return slices.ContainsFunc(tags, func(tag string) bool { return !contains(a.Tags, tag) })
	})
}

// follow waits until every witness tells of the id, and of no other one of the same kind: an alert of that name, an annotation with that tag, and moments of
// that kind on the command line.
func (w *witnesses) follow(s *space, id, alertname, tag, moment string) {
	s.t.Helper()
	s.awaitChain(id, w.loki, w.journal, moment, report.MomentEvent, report.MomentJournal, report.MomentLoki)
	s.awaitEventOf(id)
	s.await("the lines of Loki about "+id, time.Minute, func(ctx context.Context) error { return w.inLokiAsInJournal(ctx, s.name, id) })
	s.await("the annotation of "+id, time.Minute, func(context.Context) error {
		all := w.grafana.with("homeostat", tag, "namespace:"+s.name)
		if len(all) != 1 || !contains(all[0].Tags, "id:"+id) || !contains(all[0].Tags, "workload:"+web) {
			return fmt.Errorf("there are %+v, want one", all)
		}
		return nil
	})
	if a := w.hook.await(s, alertname, "firing", time.Minute); a.Annotations["id"] != id || a.Labels["workload"] != web {
		s.t.Errorf("the notification is %+v, want the id %s", a, id)
	}
	for _, a := range w.hook.about(s.name) {
		if a.Labels["alertname"] == alertname && a.Annotations["id"] != id {
			s.t.Errorf("there is another notification: %+v", a)
		}
	}
}

// saysWhy waits for the page about the death, and fails the test unless it carries what a person needs who is woken by it.
func (w *witnesses) saysWhy(s *space, in *v1alpha1.Incident, pod string) {
	s.t.Helper()
	page := w.pages.await(s, "HomeostatOOMKilled", "firing", time.Minute)
	want := map[string]string{
		"alertname": "HomeostatOOMKilled", "severity": "warning", "namespace": s.name, "workload_kind": "Deployment", "workload": web, "container": web,
		"kind": "OOMKilled", "source": "homeostat", "cluster": "lab",
	}
	if diff := cmp.Diff(want, page.Labels); diff != "" || page.receiver != "people" {
		s.t.Errorf("labels of the page to %s (-want +got):\n%s", page.receiver, diff)
	}
	hasRunbook(s.t, &page)
	for name, part := range map[string]string{
		"id": in.Namespace + "/" + in.Name, "summary": "container " + web + " of " + pod + " was killed at its memory limit of 80 MiB", "description": "Cause (",
	} {
		if !strings.Contains(page.Annotations[name], part) {
			s.t.Errorf("the page's %s is %q, want %q in it", name, page.Annotations[name], part)
		}
	}
	// What is found out later is no second page, but Alertmanager has it.
	s.await("an alert with the log and what was done", time.Minute, func(ctx context.Context) error {
		all, err := known(ctx, w.alertmanager, s.name, "HomeostatOOMKilled")
		if err == nil && (len(all) != 1 || !strings.Contains(all[0].Annotations["log"], "leaking memory") || !strings.Contains(all[0].Annotations["done"], "ResizeMemory")) {
			err = fmt.Errorf("alertmanager has %+v", all)
		}
		return err
	})
}

// seesTheEnd waits until the incident is over, and whoever was told of it knows.
func (w *witnesses) seesTheEnd(s *space, in *v1alpha1.Incident) {
	s.t.Helper()
	s.awaitIncident(incident.OOMKilled, 2*time.Minute, inState(incident.Resolved))
	began := w.pages.await(s, "HomeostatOOMKilled", "firing", time.Second)
	for _, hook := range []*webhook{w.pages, w.hook} {
		over := hook.await(s, "HomeostatOOMKilled", "resolved", time.Minute)
		if over.Fingerprint != began.Fingerprint || over.Annotations["id"] != in.Namespace+"/"+in.Name || !over.EndsAt.After(over.StartsAt) {
			s.t.Errorf("the end is %+v, of the page %+v", over, began)
		}
	}
	// The change of the number is no page: its severity is info, which the committed configuration tells nobody.
	if diff := cmp.Diff([]string{"people firing HomeostatOOMKilled", "people resolved HomeostatOOMKilled"}, names(w.pages.about(s.name))); diff != "" {
		s.t.Errorf("pages (-want +got):\n%s", diff)
	}
	s.await("the end of the annotation", time.Minute, func(context.Context) error {
		all := w.grafana.with("id:"+in.Namespace+"/"+in.Name, "incident")
		if len(all) != 1 || all[0].TimeEnd <= all[0].Time {
			return fmt.Errorf("there are %+v, want one with an end", all)
		}
		return nil
	})
}

// awaitEventOf waits for an Event with the id.
func (s *space) awaitEventOf(id string) {
	s.t.Helper()
	s.await("the event of "+id, time.Minute, func(ctx context.Context) error {
		list, err := env.kube.CoreV1().Events(s.name).List(ctx, metav1.ListOptions{})
		if err == nil && !slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return e.Annotations[idAnnotation] == id }) {
			err = fmt.Errorf("none of the %d events has the annotation %s", len(list.Items), idAnnotation)
		}
		return err
	})
}

// inLokiAsInJournal returns an error unless Loki has lines with the id as structured metadata, each of them a line of the journal.
func (w *witnesses) inLokiAsInJournal(ctx context.Context, namespace, id string) error {
	written, err := w.lines(id)
	if err != nil {
		return err
	}
	var out struct {
		Data struct {
			Result []struct {
				Stream map[string]string
				Values [][2]string
			}
		}
	}
	params := url.Values{"query": {fmt.Sprintf(`{app="homeostat", cluster="lab", namespace=%q} | id=%q`, namespace, id)}, "limit": {"1000"}, "since": {"1h"}}
	if err := fetch(ctx, w.loki+"/loki/api/v1/query_range?"+params.Encode(), &out); err != nil {
		return err
	}
	if len(out.Data.Result) == 0 {
		return errors.New("there is none")
	}
	for _, r := range out.Data.Result {
		for _, v := range r.Values {
			if r.Stream["id"] != id || !contains(written, v[1]) {
				return fmt.Errorf("the line of %v is none of the journal's %d: %s", r.Stream, len(written), v[1])
			}
		}
	}
	return nil
}

// lines returns the journal's lines with the id.
func (w *witnesses) lines(id string) ([]string, error) {
	file, err := os.Open(w.journal)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var out []string
	in := bufio.NewScanner(file)
	in.Buffer(nil, journal.MaxLine)
	for in.Scan() {
		var r struct{ ID string }
		if json.Unmarshal(in.Bytes(), &r) == nil && r.ID == id { // the last line may not be whole yet
			out = append(out, in.Text())
		}
	}
	return out, in.Err()
}

// hasSample fails the test unless the journal says which sample of the pod's CPU the decision was made from.
func (w *witnesses) hasSample(s *space, id, pod string) {
	s.t.Helper()
	lines, err := w.lines(id)
	if err != nil || len(lines) != 1 {
		s.t.Fatalf("the journal has %d lines with the id %s, want one (%v)", len(lines), id, err)
	}
	for r, err := range journal.Read(strings.NewReader(lines[0] + "\n")) {
		if err != nil || r.Decision == nil {
			s.t.Fatalf("want a decision: %s (%v)", lines[0], err)
		}
		of, at := r.Decision.Observation.Replicas, r.Decision.Recommendation.At
		if len(of) != 1 || of[0].Name != pod || !of[0].CPU.Known {
			s.t.Fatalf("the replicas are %+v, want the usage of %s", of, pod)
		}
		// More than the 40 that are wanted and the tenth that is tolerated.
		if c := of[0].CPU; c.Value <= 44 || c.Window <= 0 || c.At.IsZero() || c.At.After(at) || at.Sub(c.At) > time.Minute {
			s.t.Errorf("the sample that the decision of %s was made from is %+v", at, c)
		}
	}
}
