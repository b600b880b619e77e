package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// maxSwitches bounds what is remembered of a Service's selectors.
const maxSwitches = 5

// serving is what the Notes remember of a Service.
type serving struct {
	had      bool      // it was seen with a ready endpoint
	down     time.Time // since when it has none, after that
	switches []change  // newest first
}

// change is another selector of a Service.
type change struct {
	at       time.Time
	old, now map[string]string
}

// Reselected notes the change from one record of a Service to the next.
func (n *Notes) Reselected(old, now *Service, at time.Time) {
	if len(old.Selector) == 0 || len(now.Selector) == 0 || maps.Equal(old.Selector, now.Selector) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.serving(now.UID)
	s.switches = slices.Insert(s.switches, 0, change{at: at, old: old.Selector, now: now.Selector})
	s.switches = s.switches[:min(len(s.switches), maxSwitches)]
}

// serving must be called with the lock held.
func (n *Notes) serving(uid string) *serving {
	s := n.served[uid]
	if s == nil {
		s = &serving{}
		n.served[uid] = s
	}
	return s
}

// downSince notes how many ready endpoints a Service has and returns since when it has none, zero where it has one or never
// had.
func (n *Notes) downSince(uid string, ready int32, now time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.serving(uid)
	switch {
	case ready > 0:
		s.had, s.down = true, time.Time{}
	case s.had && s.down.IsZero():
		s.down = now
	}
	return s.down
}

// switchesOf returns the noted changes of a Service's selector, newest first.
func (n *Notes) switchesOf(uid string) []change {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.served[uid]; s != nil {
		return slices.Clone(s.switches)
	}
	return nil
}

// Services completes the records of the Services, by "namespace/name", with the workloads that they select. It is nil while
// the endpoints are not known: one without a record of any would look as if it were down.
func Services(s Sources, workloads []*cluster.Workload, now time.Time) map[string]cluster.Service {
	if !s.EndpointsKnown {
		return nil
	}
	type count struct{ namespace, service, family string }
	ready := make(map[count]int32, len(s.Slices))
	families := map[string]struct{}{}
	for _, x := range s.Slices {
		if x.Service != "" {
			ready[count{x.Namespace, x.Service, x.Family}] += x.Ready
			families[x.Family] = struct{}{}
		}
	}
	out := make(map[string]cluster.Service, len(s.Services))
	for _, x := range s.Services {
		svc := cluster.Service{Namespace: x.Namespace, Name: x.Name, Selects: len(x.Selector) > 0}
		for family := range families {
			svc.Ready = max(svc.Ready, ready[count{x.Namespace, x.Name, family}])
		}
		svc.DownSince = s.Notes.downSince(x.UID, svc.Ready, now)
		out[x.Namespace+"/"+x.Name] = svc
	}
	for _, w := range workloads {
		for _, name := range w.Services {
			key := w.Ref.Namespace + "/" + name
			if svc, ok := out[key]; ok {
				svc.Workloads = append(svc.Workloads, w.Ref)
				out[key] = svc
			}
		}
	}
	for key, svc := range out {
		if len(svc.Workloads) > 1 { // the same at every look
			slices.SortFunc(svc.Workloads, func(a, b cluster.Ref) int {
				return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
			})
			out[key] = svc
		}
	}
	return out
}

// switched adds the changes of Services' selectors to the workloads that they concern: those that were selected, and those
// that are.
func switched(s *Sources, workloads []*cluster.Workload) {
	for _, x := range s.Services {
		for _, c := range s.Notes.switchesOf(x.UID) {
			message := fmt.Sprintf("service %s selects %s instead of %s", x.Name, words(c.now, c.old), words(c.old, c.now))
			for _, w := range workloads {
				if w.Ref.Namespace != x.Namespace || !includes(w.Labels, c.now) && !includes(w.Labels, c.old) {
					continue
				}
				w.Changes = append(w.Changes, cluster.Change{At: c.at, Kind: cluster.ChangeSwitch, Message: message})
				slices.SortStableFunc(w.Changes, func(a, b cluster.Change) int { return b.At.Compare(a.At) })
				w.Changes = w.Changes[:min(len(w.Changes), MaxChanges)]
			}
		}
	}
}

// words writes those labels of set that are not in other.
func words(set, other map[string]string) string {
	text := ""
	for _, k := range slices.Sorted(maps.Keys(set)) {
		if v, ok := other[k]; ok && v == set[k] {
			continue
		}
		if text != "" {
			text += ","
		}
		text += k + "=" + set[k]
	}
	if text == "" {
		return "fewer labels"
	}
	return text
}

// tracks fills in which workloads stand for others: canaries, and the colour that a Service selects now.
func tracks(s *Sources, groups map[cluster.Ref]*building, workloads []*cluster.Workload) {
	for _, b := range groups {
		if b.top == nil || b.top.Head == nil || b.top.Head.CanaryOf == "" || b.top.Head.CanaryOf == b.top.Name {
			continue
		}
		for _, stable := range workloads {
			if stable.Ref.Kind == b.top.Kind && stable.Ref.Namespace == b.top.Namespace && stable.Ref.Name == b.top.Head.CanaryOf {
				b.workload.Track = trackTo(cluster.TrackCanary, stable)
			}
		}
	}
	for _, x := range s.Services {
		if value, ok := x.Selector[x.BlueGreen]; ok && x.BlueGreen != "" {
			blueGreen(s.Notes, x, value, workloads)
		}
	}
}

// blueGreen gives the one workload that the Service selects the one that it could select again: the only other colour, or the
// one that it selected before.
func blueGreen(notes *Notes, x *Service, value string, workloads []*cluster.Workload) {
	want := maps.Clone(x.Selector)
	delete(want, x.BlueGreen)
	var present, others []*cluster.Workload
	for _, w := range workloads {
		if w.Ref.Namespace != x.Namespace || len(want) > 0 && !includes(w.Labels, want) {
			continue
		}
		switch other, ok := w.Labels[x.BlueGreen]; {
		case !ok:
		case other == value:
			present = append(present, w)
		default:
			others = append(others, w)
		}
	}
	if len(others) > 1 {
		before := ""
		if list := notes.switchesOf(x.UID); len(list) > 0 {
			before = list[0].old[x.BlueGreen]
		}
		others = slices.DeleteFunc(others, func(w *cluster.Workload) bool { return w.Labels[x.BlueGreen] != before })
	}
	if len(present) != 1 || len(others) != 1 {
		return // nothing to go back to, or more than one
	}
	t := trackTo(cluster.TrackBlueGreen, others[0])
	t.Service, t.Key, t.Value, t.OtherValue = x.Name, x.BlueGreen, value, others[0].Labels[x.BlueGreen]
	present[0].Track = t
}

func trackTo(kind cluster.TrackKind, other *cluster.Workload) *cluster.Track {
	return &cluster.Track{Kind: kind, Other: other.Ref, OtherReady: other.ReadyReplicas(), OtherDesired: other.Desired}
}
