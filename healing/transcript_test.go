package healing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/transcript"
	"github.com/homeostat/homeostat/metrics"
)

// TestTranscripts plays the stories of testdata. A story is blocks with a blank line between: commands, a line of four
// dashes, and what they print. Lines with # tell the story. The commands are those of story.run.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", 80, play)
}

type story struct {
	*world
	t   *testing.T
	out strings.Builder
}

func play(t *testing.T, text string) string {
	t.Helper()
	s := &story{world: newWorld(), t: t}
	s.log = func(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }
	return transcript.Play(text, &s.out, transcript.Words, func(command string, words []string) {
		s.run(command, words)
		for name := range s.stored {
			i := s.stored[name]
			checkIncident(t, &i)
		}
	})
}

// options reads key=value words; a word without = is a flag with the value "true".
func options(words []string) map[string]string {
	out := map[string]string{}
	for _, w := range words {
		k, v, found := strings.Cut(w, "=")
		if !found {
			v = "true"
		}
		out[k] = v
	}
	return out
}

func (s *story) run(command string, words []string) {
	s.t.Helper()
	o := options(words)
	switch command {
	case "policy": // policy mode=Act OOMKilled=Restart budget=3 period=1h minHealthy=51 cooldown=1m verify=2m resolve=2m notReady=3m
		s.setPolicy(o)
	case "workload": // workload kind=Deployment name=web desired=3 rolling=true system self revision=r1
		s.setWorkload(o)
	case "node": // node n1 ready=True; node n1 gone
		if o["gone"] == "true" {
			delete(s.nodes, words[0])
			return
		}
		s.nodes[words[0]] = cluster.Node{Name: words[0], Ready: o["ready"], Since: s.now, Message: o["message"]}
	case "replica": // replica web-1 node=n1 age=1h revision=r1 always=true
		r := s.add(words[0], or(o["node"], "n1"), s.duration(or(o["age"], "1h")))
		if rev := o["revision"]; rev != "" {
			r.Revision = rev
		}
		r.RestartsAlways = o["always"] == "true"
		if o["pending"] == "true" {
			r.Node, r.Phase, r.Ready, r.StartedAt, r.ReadySince = "", cluster.PhasePending, false, time.Time{}, time.Time{}
			s.wait(r, &r.Containers[0], "ContainerCreating", "")
		}
	case "wait": // wait 30s
		s.now = s.now.Add(s.duration(words[0]))
	case "change":
		s.workload.Changes = append(s.workload.Changes, cluster.Change{At: s.now, Kind: cluster.ChangeRollout, Message: words[0]})
	case "platform": // platform Done|Blocked|Failed reason=Forbidden "says=in words", then replace=false, lingers
		s.answer, s.reason, s.says = incident.Outcome(words[0]), Reason(o["reason"]), o["says"]
		if s.answer == incident.Blocked {
			s.reason = ReasonBlockedByPDB
		}
		s.noReplace, s.lingers = o["replace"] == "false", o["lingers"] == "true"
	case "pass", "passes": // pass as=a stale=20s conflict dies=plan|intent|outcome; passes 5m every=10s
		s.passes(command, words, o)
	case "findings":
		in := s.input(&leader{})
		for _, f := range s.findings(&in) {
			s.log("%s %s/%s active=%t %d%% %s: %s", f.Kind, f.Replica, f.Container, f.Active, f.Confidence, f.Fingerprint, f.Message)
		}
	case "show":
		s.show()
	case "effects":
		for _, e := range s.effects {
			s.log("%s: %s for %s", e.at.Sub(epoch), e.what, e.id)
		}
	default:
		if !s.onCluster(command, words, o) {
			s.onReplica(command, words, o)
		}
	}
}

// onReplica runs the commands whose first word is a replica.
func (s *story) onReplica(command string, words []string, o map[string]string) {
	s.t.Helper()
	r := s.find(words[0])
	if r == nil {
		s.t.Fatalf("%s: no replica %q", command, words[0])
	}
	c := &r.Containers[0]
	switch command {
	case "die": // die web-1 exit=137 reason=OOMKilled
		code, err := strconv.Atoi(or(o["exit"], "1"))
		if err != nil {
			s.t.Fatal(err)
		}
		s.die(r, c, int32(code), or(o["reason"], "Error"))
	case "restart":
		s.restart(r, c)
	case "backoff":
		s.wait(r, c, cluster.ReasonCrashLoopBackOff, "back-off 20s restarting failed container")
	case "waiting": // waiting web-1 ImagePullBackOff "message"
		s.wait(r, c, words[1], words[2])
	case "ready", "unready":
		s.setReady(r, command == "ready")
	case "running": // a pending replica was scheduled and runs
		r.Node, r.Phase, r.StartedAt, r.Unschedulable = or(o["node"], "n1"), cluster.PhaseRunning, s.now, false
		c.State, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateRunning, s.now, "", ""
	case "unschedulable": // unschedulable web-1 "message"
		r.Unschedulable, r.UnschedulableMessage, r.UnschedulableSince = true, words[1], s.now
	case "delete":
		r.DeletedAt = s.now
	case "remove":
		s.remove(words[0])
	case "event": // event web-1 Unhealthy "message"
		ev := cluster.Event{Type: "Warning", Reason: words[1], Message: words[2], Count: 1, First: s.now, Last: s.now}
		r.Events = slices.Insert(r.Events, 0, ev)
	case "memory": // memory web-1 40Mi 127Mi
		mib, err := strconv.Atoi(strings.TrimSuffix(words[1], "Mi"))
		if err != nil {
			s.t.Fatal(err)
		}
		key := r.Name + "/" + c.Name
		s.memory[key] = append(s.memory[key], metrics.Point{At: s.now, CPUMilli: 20, MemoryBytes: int64(mib) << 20})
	case "child-oom":
		c.OOMEvents++
		c.OOMEventsKnown, c.LastOOMEvent = true, s.now
	default:
		s.t.Fatalf("no such command: %s", command)
	}
}

func (s *story) passes(command string, words []string, o map[string]string) {
	s.t.Helper()
	l := &leader{
		name: or(o["as"], "a"), conflict: o["conflict"] == "true", diesBeforeSave: o["dies"] == "plan",
		diesAfterSave: o["dies"] == "intent", diesAfterCarry: o["dies"] == "outcome",
	}
	if v := o["stale"]; v != "" {
		l.stale = s.duration(v)
	}
	until := s.now
	if command == "passes" {
		until = s.now.Add(s.duration(words[0]))
	}
	every := s.duration(or(o["every"], "10s"))
	print := s.log
	s.touched = 0
	defer func() {
		if s.touched > 0 {
			s.log("%s\n  times brought up to date: %d", s.now.Sub(epoch), s.touched)
		}
	}()
	for {
		said := s.out.Len()
		at := s.now.Sub(epoch)
		s.log = func(format string, args ...any) {
			if s.out.Len() == said {
				fmt.Fprintf(&s.out, "%s\n", at)
			}
			print("  "+format, args...)
		}
		s.pass(l)
		s.log = print
		if command == "pass" && s.out.Len() == said && s.touched == 0 {
			s.log("%s\n  nothing to do", at)
		}
		if s.now.Add(every).After(until) {
			s.now = until
			return
		}
		s.now = s.now.Add(every)
	}
}

func (s *story) setPolicy(o map[string]string) {
	s.t.Helper()
	p := &s.policy
	for k, v := range o {
		number, _ := strconv.Atoi(v)
		switch k {
		case "mode":
			p.Mode = Mode(v)
		case "budget":
			p.BudgetActions = int32(number)
		case "period":
			p.BudgetPeriod = s.duration(v)
		case "minHealthy":
			p.MinHealthyPercent = int32(number)
		case "cooldown":
			p.Cooldown = s.duration(v)
		case "verify":
			p.VerifyWithin = s.duration(v)
		case "resolve":
			p.ResolveAfter = s.duration(v)
		case "notReady":
			p.NotReadyAfter = s.duration(v)
		case "maxMemory":
			p.MaxMemoryPercent = int32(number)
		case "maxScaleOut":
			p.MaxScaleOutPercent = int32(number)
		case "patchTemplate":
			p.PatchTemplate = v == "true"
		default:
			if p.Remedies == nil {
				p.Remedies = map[incident.Kind][]incident.Remedy{}
			}
			var rungs []incident.Remedy
			for r := range strings.SplitSeq(v, ",") {
				rungs = append(rungs, incident.Remedy(r))
			}
			p.Remedies[incident.Kind(k)] = rungs
		}
	}
	if err := p.Validate(); err != nil {
		s.log("policy refused: %v", err)
	}
}

func (s *story) setWorkload(o map[string]string) {
	s.t.Helper()
	w := s.workload
	for k, v := range o {
		switch k {
		case "kind":
			w.Ref.Kind = v
		case "name":
			w.Ref.Name = v
		case "desired":
			n, err := strconv.Atoi(v)
			if err != nil {
				s.t.Fatal(err)
			}
			w.Desired = int32(n)
		case "rolling":
			w.RollingOut = v == "true"
		case "system":
			w.System = v == "true"
		case "self":
			w.Self = v == "true"
		case "revision":
			w.Revision = v
		case "resizable":
			w.Resizable = v == "true"
		case "surge":
			w.SurgesFirst = v == "true"
		case "paused":
			w.Paused = v == "true"
		case "profile":
			w.ProfilePort, w.ProfilePath = int32(s.number(v)), "/debug/pprof"
		default:
			s.t.Fatalf("no such field of a workload: %s", k)
		}
	}
}

// show prints the stored incidents.
func (s *story) show() {
	for _, i := range s.incidents() {
		s.log("%s: %s %s, %d seen, confidence %d", i.Name, i.Kind, i.State, i.Occurrences, i.Confidence)
		s.log("  cause: %s", i.Cause)
		for _, f := range i.For {
			s.log("  for: %s", f)
		}
		for _, f := range i.Against {
			s.log("  against: %s", f)
		}
		for _, e := range i.Evidence {
			s.log("  %s %s: %s", strings.ToLower(string(e.Kind)), e.Replica, e.Message)
		}
		for _, r := range i.Remediations {
			s.log("  remediation %s of %s: %s %s, %d answers, by %s", r.Remedy, or(r.Replica, "the workload"), r.Outcome, r.Reason, r.Attempts, r.By)
			if r.Outcome == incident.DryRun {
				s.log("    call %q: %s", r.Call, r.Message)
			}
		}
		if i.Root != "" {
			s.log("  root: %s", i.Root)
		}
		for _, m := range i.Members {
			s.log("  member: %s %s", m.Workload, m.Incident)
		}
		if f := i.Forecast; f != nil {
			s.log("  forecast: limit reached at %s", f.OOMAt.Sub(epoch))
		}
		for line := range strings.Lines(i.Proposal) {
			s.log("  | %s", strings.TrimRight(line, "\n"))
		}
		s.log("  last: %s: %s", i.Reason, i.Message)
	}
}

func (s *story) duration(v string) time.Duration {
	s.t.Helper()
	d, err := time.ParseDuration(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func or(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}
