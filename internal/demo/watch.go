package demo

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// watcher turns the difference between two views into lines for people. Make one with newWatcher.
type watcher struct {
	begun    bool
	replicas map[string]cluster.Replica // as they were seen last, by UID
	seen     map[string]struct{}        // steps of incidents and changes of the number of replicas that were told
}

func newWatcher() *watcher {
	return &watcher{replicas: map[string]cluster.Replica{}, seen: map[string]struct{}{}}
}

// see returns what is new in the view. What the first one holds of incidents and decisions happened before the story.
func (w *watcher) see(v View) []line {
	var lines []line
	now := make(map[string]cluster.Replica, len(v.Replicas))
	for i := range v.Replicas {
		r := &v.Replicas[i]
		old, known := w.replicas[r.UID]
		if !known {
			lines = append(lines, appeared(r)...)
		} else {
			lines = append(lines, replicaLines(&old, r)...)
		}
		now[r.UID] = *r
	}
	var gone []string
	for uid := range w.replicas {
		if old := w.replicas[uid]; now[uid].Name == "" {
			gone = append(gone, old.Name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		lines = append(lines, line{subject: name, text: "gone", turn: followed})
	}
	w.replicas = now

	told := w.incidentLines(v.Incidents)
	told = append(told, w.changeLines(v.Autoscaler)...)
	if w.begun {
		lines = append(lines, told...)
	}
	w.begun = true
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.turn, b.turn) })
	return lines
}

// first reports whether the key was not seen before.
func (w *watcher) first(key string) bool {
	_, known := w.seen[key]
	w.seen[key] = struct{}{}
	return !known
}

func appeared(r *cluster.Replica) []line {
	if r.Deleting() {
		return nil
	}
	lines := []line{{subject: r.Name, text: "starts", turn: followed}}
	if r.Ready {
		lines = append(lines, line{subject: r.Name, text: "ready", tone: good, turn: followed})
	}
	return lines
}

func replicaLines(old, r *cluster.Replica) []line {
	var lines []line
	add := func(t tone, when turn, format string, args ...any) {
		lines = append(lines, line{subject: r.Name, tone: t, turn: when, text: fmt.Sprintf(format, args...)})
	}
	before, now := container(old), container(r)
	if r.Deleting() {
		if !old.Deleting() {
			why := ""
			if r.Disruption != "" {
				why = ": it is replaced by a fresh one"
			}
			add(plain, followed, "drains and ends%s", why)
		}
		return lines // its death was asked for
	}
	death := now.LatestDeath()
	died := death != nil && (before.LatestDeath() == nil || before.LatestDeath().ContainerID != death.ContainerID)
	if died {
		add(bad, broke, "%s", deathWords(death, now.MemoryLimit))
	}
	if now.CrashLooping() && !before.CrashLooping() {
		add(noted, followed, "waits before it is started again (back-off)")
	}
	again := now.Restarts > before.Restarts
	if again {
		add(plain, followed, "started again by the platform (restart %d)", now.Restarts)
	}
	switch {
	case r.Ready && (!old.Ready || again):
		add(good, followed, "ready")
	case !r.Ready && old.Ready && !died && now.State == cluster.StateRunning:
		add(bad, broke, "not ready: %s", cmp.Or(r.ReadyMessage, r.ReadyReason, "no reason given"))
	}
	return lines
}

// deathWords says how a container died.
func deathWords(t *cluster.Termination, limit int64) string {
	switch {
	case t.Reason == cluster.ReasonOOMKilled && limit > 0:
		return fmt.Sprintf("killed at its memory limit of %s (exit %d, %s)", report.Bytes(limit), t.ExitCode, t.Reason)
	case t.Reason == cluster.ReasonOOMKilled:
		return fmt.Sprintf("killed for memory (exit %d, %s)", t.ExitCode, t.Reason)
	case t.Signal == 9 || t.ExitCode == 137:
		return fmt.Sprintf("killed (exit %d, SIGKILL)", t.ExitCode)
	default:
		return fmt.Sprintf("ended with exit code %d (%s)", t.ExitCode, cmp.Or(t.Reason, "no reason given"))
	}
}

// incidentLines tells the steps of incidents that were not told yet, the oldest incident first.
func (w *watcher) incidentLines(list []incident.Incident) []line {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b incident.Incident) int { return a.OpenedAt.Compare(b.OpenedAt) })
	var lines []line
	for i := range list {
		in := &list[i]
		for _, e := range in.Timeline {
			key := fmt.Sprintf("%s %d %s %s", in.Name, e.At.UnixMicro(), e.Reason, e.Message)
			if w.first(key) {
				lines = append(lines, step(in, e))
			}
		}
	}
	return lines
}

// step is one entry of an incident's timeline; its opening comes with the evidence.
func step(in *incident.Incident, e incident.Entry) line {
	l := line{subject: in.Name, text: e.Message, tone: noted, turn: decided}
	switch healing.Reason(e.Reason) { //nolint:exhaustive // every other reason is a refusal or something seen
	case healing.ReasonOpened:
		l.text = fmt.Sprintf("incident %s opened, %d %% sure: %s", in.Kind, in.Confidence, e.Message)
		l.details = evidence(in)
	case healing.ReasonRemediationStart:
		l.tone, l.text = acted, "intent: "+e.Message
	case healing.ReasonCarriedOut:
		l.tone, l.text = acted, "action: "+e.Message
	case healing.ReasonSucceeded:
		l.tone, l.turn, l.text = good, meant, "verified: "+e.Message
	case healing.ReasonRecovered:
		l.turn = meant
	case healing.ReasonResolved:
		l.tone, l.turn = good, meant
	case healing.ReasonFailed:
		l.tone, l.turn = bad, meant
	}
	return l
}

// changeLines tells the changes of the number of replicas, the oldest first.
func (w *watcher) changeLines(a report.Autoscaler) []line {
	var lines []line
	for _, c := range slices.Backward(a.Changes) {
		if w.first(fmt.Sprintf("scaled %d %d %d", c.At.UnixMilli(), c.From, c.To)) {
			lines = append(lines, line{
				subject: "autoscaler/" + a.Ref.Name, tone: acted, turn: decided, text: fmt.Sprintf("%d → %d replicas: %s", c.From, c.To, c.Message),
			})
		}
	}
	return lines
}
