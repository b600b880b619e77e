// Package patch writes the patch that a person or a Git repository would apply in place of a remedy: YAML for one object, with a
// comment that names it and says why. It knows what a Workload knows: the images and memory limits of a revision, not the rest of
// its template, so the patch of a rollback is no more than that, and says so.
package patch

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// maxReason of a comment, in bytes.
const maxReason = 240

// Change is one remedy that is proposed.
type Change struct {
	Workload *cluster.Workload
	Remedy   incident.Remedy
	Change   incident.Change
	// Why it is proposed and not done, and Cause why it is needed: a sentence each.
	Why, Cause string
	At         time.Time
}

// Write returns the patch: a strategic merge patch for the object that its comment names. Empty for a remedy that changes no
// object that outlives a replica.
func Write(c Change) string {
	if c.Workload == nil {
		return ""
	}
	ref, lines := c.Workload.Ref, []string(nil)
	switch c.Remedy {
	case incident.RemedyResizeMemory:
		lines = c.memory()
	case incident.RemedyScaleOut:
		ref, lines = c.replicas()
	case incident.RemedyRestartWorkload:
		lines = []string{
			"spec:", "  template:", "    metadata:", "      annotations:",
			"        kubectl.kubernetes.io/restartedAt: " + strconv.Quote(c.At.UTC().Format(time.RFC3339)),
		}
	case incident.RemedyRollback:
		lines = c.revision()
	case incident.RemedyAbortCanary:
		ref, lines = c.track()
	case incident.RemedyNone, incident.RemedyCapture, incident.RemedyRestart, incident.RemedyQuarantine:
	}
	if len(lines) == 0 {
		return ""
	}
	head := []string{
		"# " + ref.String() + ": " + string(c.Remedy),
		"# " + phrase.Cut(c.Cause, maxReason),
		"# Proposed because " + phrase.Cut(c.Why, maxReason) + ".",
	}
	if c.Remedy == incident.RemedyRollback {
		head = append(head, "# Only images and memory limits are known here; kubectl rollout undo goes back to the whole revision.")
	}
	head = append(head, "apiVersion: "+apiVersion(ref.Kind), "kind: "+ref.Kind, "metadata:", "  name: "+strconv.Quote(ref.Name))
	if ref.Namespace != "" {
		head = append(head, "  namespace: "+strconv.Quote(ref.Namespace))
	}
	return strings.Join(append(head, lines...), "\n") + "\n"
}

func apiVersion(kind string) string {
	switch kind {
	case "HorizontalPodAutoscaler":
		return "autoscaling/v2"
	case "Autoscaler":
		return "homeostat.dev/v1alpha1"
	case cluster.KindService:
		return "v1"
	default:
		return "apps/v1"
	}
}

// memory sets the container's limit in the template; an init container that goes on running is one of another list.
func (c *Change) memory() []string {
	list := "containers"
	for i := range c.Workload.Replicas {
		if one := c.Workload.Replicas[i].Container(c.Change.Container); one != nil {
			if one.Kind == cluster.ContainerSidecar || one.Kind == cluster.ContainerInit {
				list = "initContainers"
			}
			break
		}
	}
	return []string{
		"spec:", "  template:", "    spec:", "      " + list + ":", "      - name: " + strconv.Quote(c.Change.Container),
		"        resources:", "          limits:", "            memory: " + quantity(c.Change.ToMemory),
	}
}

// replicas raises the number of replicas, or the minimum of whoever decides on it.
func (c *Change) replicas() (cluster.Ref, []string) {
	n := strconv.Itoa(int(c.Change.ToReplicas))
	if s := c.Workload.Scaler; s != nil {
		return s.Ref, []string{"spec:", "  minReplicas: " + n}
	}
	return c.Workload.Ref, []string{"spec:", "  replicas: " + n}
}

// revision sets what differs between the two revisions, as far as it is known.
func (c *Change) revision() []string {
	var from, to *cluster.Revision
	for i := range c.Workload.Revisions {
		switch r := &c.Workload.Revisions[i]; r.Name {
		case c.Change.FromRevision:
			from = r
		case c.Change.ToRevision:
			to = r
		}
	}
	if to == nil {
		return nil
	}
	patches := map[string][]string{}
	for _, pair := range to.Images {
		name, image, ok := strings.Cut(pair, "=")
		if ok && (from == nil || !slices.Contains(from.Images, pair)) {
			patches[name] = append(patches[name], "        image: "+strconv.Quote(image))
		}
	}
	for name, limit := range to.MemoryLimits {
		if limit > 0 && (from == nil || from.MemoryLimits[name] != limit) {
			patches[name] = append(patches[name], "        resources:", "          limits:", "            memory: "+quantity(limit))
		}
	}
	lines := []string{"spec:", "  template:", "    spec:", "      containers:"}
	for _, name := range slices.Sorted(maps.Keys(patches)) {
		lines = append(lines, "      - name: "+strconv.Quote(name))
		lines = append(lines, patches[name]...)
	}
	if len(patches) == 0 {
		return []string{"# The revisions do not differ in these: go back to revision " + c.Change.ToRevision + "."}
	}
	return lines
}

// track takes the canary's replicas away, or sets the Service's selector back.
func (c *Change) track() (cluster.Ref, []string) {
	if c.Change.Target.Kind == cluster.KindService {
		return c.Change.Target, []string{"spec:", "  selector:", "    " + strconv.Quote(c.Change.Key) + ": " + strconv.Quote(c.Change.ToRevision)}
	}
	return c.Workload.Ref, []string{"spec:", "  replicas: " + strconv.Itoa(int(c.Change.ToReplicas))}
}

// quantity words an amount of memory exactly, as Kubernetes reads it.
func quantity(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%dMi", n>>20)
	}
	return strconv.FormatInt(n, 10)
}
