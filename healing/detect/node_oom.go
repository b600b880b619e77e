package detect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// pressureStays is how long a node's MemoryPressure outlives its cause (the kubelet's eviction-pressure-transition-period, 5 m
// by default), and so how old a death may be that it explains.
const pressureStays = 5 * time.Minute

// nodeMemory is what speaks for a node that ran out of memory at a time.
type nodeMemory struct {
	event    *cluster.Event // nil for none
	named    bool           // the event names this container's process, life or replica
	pressure bool
}

// nodeOOM knows a death that the kernel brought about because the whole node ran out of memory: the container has no limit or
// was far below it, and the node says so. A death near the container's own limit is never one of these where the runtime
// gives the reason OOMKilled.
func nodeOOM(s *subject, d *death) (explanation, bool) {
	killed := d.Reason == cluster.ReasonOOMKilled
	if !killed && !unclaimedKill(s, d) {
		return explanation{}, false
	}
	m := nodeMemoryNear(s, d)
	if m.event == nil && !m.pressure {
		return explanation{}, false
	}
	limit := s.container.MemoryLimit
	used, known := memoryBefore(s.points(), d.Termination)
	near := limit > 0 && known && float64(used) >= nearLimit*float64(limit)
	far := limit <= 0 || known && float64(used) < farFromLimit*float64(limit)
	e := explanation{message: s.who() + " was killed by the kernel because node " + s.replica.Node + " ran out of memory"}
	switch {
	case near && (killed || !m.named):
		return explanation{}, false
	case near:
		e.confidence = 60
	case m.named:
		e.confidence = 90
	case !far:
		return explanation{}, false
	case m.event != nil && killed:
		e.confidence = 85
	case m.event != nil:
		e.confidence = 75
	case killed:
		e.confidence = 70
	default:
		e.confidence = 55
	}
	e.pro = append(m.phrases(s), exitPhrase(d.Termination))
	switch {
	case limit <= 0:
		e.pro = append(e.pro, "it has no limit of its own")
	case near:
		e.against = append(e.against, lastSample(used, limit))
	case known:
		e.pro = append(e.pro, lastSample(used, limit))
	default:
		e.against = append(e.against, "no memory sample of that life")
	}
	if !killed {
		e.against = append(e.against, reasonPhrase(d.Termination))
	}
	return e, true
}

// nodeMemoryNear looks for what the node says of its memory near the death. Events of the kernel's log that speak of a cgroup
// are about a container's limit and not about the node.
func nodeMemoryNear(s *subject, d *death) nodeMemory {
	n, found := s.Nodes[s.replica.Node]
	if !found {
		return nodeMemory{}
	}
	m := nodeMemory{pressure: slices.Contains(n.Pressures, "MemoryPressure") && s.Now.Sub(d.FinishedAt).Abs() <= pressureStays}
	for i := range n.Events {
		ev := &n.Events[i]
		if ev.Reason != "SystemOOM" && ev.Reason != "OOMKilling" || !eventNear(ev, d.FinishedAt) ||
			strings.Contains(lower(ev.Message), "memory cgroup out of memory") {
			continue
		}
		named := namesVictim(ev.Message, s, d)
		if m.event == nil || named && !m.named {
			m.event, m.named = ev, named
		}
	}
	return m
}

func (m nodeMemory) phrases(s *subject) []string {
	var out []string
	if m.event != nil {
		out = append(out, fmt.Sprintf("event %s of node %s", m.event.Reason, s.replica.Node))
	}
	if m.named {
		out = append(out, "the event names its process")
	}
	if m.pressure {
		out = append(out, "node "+s.replica.Node+" is under MemoryPressure")
	}
	return out
}

// namesVictim reports whether an OOM event of a node means this container: by the ID of its life, by its replica's UID or name,
// or by a process named as the container or its image.
func namesVictim(message string, s *subject, d *death) bool {
	id := d.ContainerID[strings.LastIndex(d.ContainerID, "/")+1:]
	for _, name := range []string{id, s.replica.UID, strings.ReplaceAll(s.replica.UID, "-", "_"), s.replica.Name} {
		if len(name) >= 8 && strings.Contains(message, name) {
			return true
		}
	}
	victim := victimProcess(message)
	return victim != "" && (victim == s.container.Name || victim == imageBase(s.container.Image))
}

// victimProcess reads the process of "System OOM encountered, victim process: demoapp, pid: 4242" (kubelet) and of "Out of
// memory: Killed process 5151 (demoapp) total-vm:…" (the kernel, as node-problem-detector passes it on).
func victimProcess(message string) string {
	if _, rest, found := strings.Cut(message, "victim process: "); found {
		name, _, _ := strings.Cut(rest, ",")
		return strings.TrimSpace(name)
	}
	if _, rest, found := strings.Cut(message, "Killed process "); found {
		_, rest, _ = strings.Cut(rest, "(")
		if name, _, closed := strings.Cut(rest, ")"); closed {
			return name
		}
	}
	return ""
}

// imageBase returns the last part of an image's name: "demoapp" of "localhost:5000/team/demoapp:dev".
func imageBase(image string) string {
	image, _, _ = strings.Cut(image, "@")
	base := image[strings.LastIndex(image, "/")+1:]
	base, _, _ = strings.Cut(base, ":")
	return base
}
