// Package podlog captures the last lines of one life of a container from the kubelet, through the API server, and tells
// which kinds of line in them are new.
//
// A life is named by its container ID. Which log belongs to it is told from the pod's live status, before and after the
// read, so that lines of the next life never pass for lines of the one that died. Where a store of logs is configured, such
// as Loki, its window around the death is asked for too and preferred where it reaches to the last line that the kubelet
// has; where it does not, the evidence says why. Where the log is gone everywhere, the message that the kubelet kept in the
// status stands in (terminationMessagePolicy FallbackToLogsOnError).
//
// What is new is told from the same container's lines of the hour before and from up to two healthy replicas, read side
// by side; they are waited for 1 s at most, and a baseline that did not come is not known. Lines are bounded and masked by
// package logs. It reads only; nothing is kept.
package podlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/internal/logs/template"
)

// timeout bounds one capture: the evidence waits for it, and the action for the evidence.
const timeout = 3 * time.Second

// sourceKubelet is the source of what the kubelet gave.
const sourceKubelet = "kubelet"

// Window is a store of logs beside the kubelet's, such as Loki.
type Window interface {
	// Window returns the lines that the query asks for, oldest first. It bounds itself in time.
	Window(ctx context.Context, q logs.Query) ([]logs.Line, error)
}

// Option changes what New makes.
type Option func(*Capturer)

// WithWindow lets the Capturer prefer the store. Its name is the evidence's source and stands in its message, such as "loki".
func WithWindow(name string, w Window) Option {
	return func(k *Capturer) { k.store, k.window = name, w }
}

// Capturer captures logs. It is safe for concurrent use.
type Capturer struct {
	client kubernetes.Interface
	// store is the name of window, which may be nil.
	store  string
	window Window
}

// New returns a Capturer that reads with the client.
func New(client kubernetes.Interface, options ...Option) *Capturer {
	k := &Capturer{client: client}
	for _, o := range options {
		o(k)
	}
	return k
}

// request is one capture: what is asked for and what is known of it.
type request struct {
	healing.Capture
	workload *cluster.Workload
	// death is what the snapshot knows of it, nil for nothing; at is when it was, now where that is not known.
	death *cluster.Termination
	at    time.Time
}

// Capture fetches the last lines of the life that c names. It never fails: where there are no lines, the message says
// why. It takes 3 s at most.
func (k *Capturer) Capture(ctx context.Context, w *cluster.Workload, c healing.Capture) incident.Evidence {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := request{Capture: c, workload: w, death: deathOf(w, c), at: time.Now().UTC()}
	if r.death != nil && !r.death.FinishedAt.IsZero() {
		r.at = r.death.FinishedAt
	}
	out := incident.Evidence{Kind: incident.EvidenceLog, At: r.at, Replica: c.Replica, Container: c.Container}
	found := k.gather(ctx, &r)
	out.Message = found.message
	if out.Lines = logs.Tail([]byte(strings.Join(logs.Texts(found.dead), "\n")), incident.MaxLogLines, incident.MaxLogBytes); len(out.Lines) > 0 {
		out.Source = found.source
		out.Templates = template.Rank(template.Logs{
			Dead: logs.Texts(logs.Clean(found.dead)), Before: logs.Texts(logs.Clean(found.before)), Siblings: logs.Texts(logs.Clean(found.siblings)),
		})
		return out
	}
	if r.death != nil && r.death.Message != "" {
		out.Lines = logs.Tail([]byte(r.death.Message), incident.MaxLogLines, incident.MaxLogBytes)
		out.Templates, out.Source = template.Rank(template.Logs{Dead: out.Lines}), sourceKubelet
		out.Message = "the kubelet's termination message, because " + found.message
		return out
	}
	out.Message = "no log: " + found.message
	return out
}

// deathOf returns the death that the capture is about, as the snapshot knows it.
func deathOf(w *cluster.Workload, c healing.Capture) *cluster.Termination {
	for i := range w.Replicas {
		r := &w.Replicas[i]
		if r.Name != c.Replica || c.ReplicaUID != "" && r.UID != c.ReplicaUID {
			continue
		}
		con := r.Container(c.Container)
		if con == nil {
			return nil
		}
		for _, t := range []*cluster.Termination{con.Terminated, con.Last} {
			if t != nil && (c.ContainerID == "" || t.ContainerID == c.ContainerID) {
				return t
			}
		}
	}
	return nil
}

func sourceOf(c healing.Capture, previous bool) string {
	switch {
	case c.ContainerID != "":
		return fmt.Sprintf("last lines of container %s, life %s", c.Container, shortID(c.ContainerID))
	case previous:
		return "last lines of the previous log of container " + c.Container
	default:
		return "last lines of the present log of container " + c.Container
	}
}

// shortID makes "containerd://0123456789abcdef…" readable.
func shortID(id string) string {
	if _, rest, ok := strings.Cut(id, "://"); ok {
		id = rest
	}
	return id[:min(len(id), 12)]
}

// explain turns an error into half a sentence.
func explain(err error) string {
	switch {
	case apierrors.IsNotFound(err):
		return "the pod or its container is gone"
	case errors.Is(err, context.DeadlineExceeded):
		return "the node did not deliver the log in time"
	default:
		return err.Error()
	}
}
