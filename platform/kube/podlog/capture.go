// Package podlog captures the last lines of one life of a container from the kubelet, through the API server.
//
// A life is named by its container ID. Which log belongs to it is told from the pod's live status, before and after the
// read, so that lines of the next life never pass for lines of the one that died. Where the log is gone, the message that
// the kubelet kept in the status stands in (terminationMessagePolicy FallbackToLogsOnError). Lines are bounded and
// masked by package logs. It reads only; nothing is kept.
package podlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
)

const (
	// timeout bounds one capture: the evidence waits for it, and the action for the evidence.
	timeout = 3 * time.Second
	// readLimit bounds what is read. The API's limitBytes keeps the beginning of the requested tail and would cut off the
	// newest lines, so it is far above what is kept, and only guards against lines without end.
	readLimit = 256 << 10
	// attempts to read a log that stays the log of the same life from the first look to the last.
	attempts = 2
	// noLog is how the kubelet answers, with status 200, when the container's log file is gone.
	noLog = "unable to retrieve container logs for "
)

// errOtherLife says that the status shows no such life any more.
var errOtherLife = errors.New("the container has been started again since, and its log is gone")

// Window is a store of logs beside the kubelet's, such as Loki.
type Window interface {
	// Window returns the lines that the query asks for, oldest first. It bounds itself in time.
	Window(ctx context.Context, q logs.Query) ([]logs.Line, error)
}

// Option changes what New makes.
type Option func(*Capturer)

// WithWindow lets the Capturer ask the store first. Its name is written into the evidence's source and message, such as "loki".
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

// Capture fetches the last lines of the life that c names. It never fails: where there are no lines, the message says
// why. It takes 3 s at most.
func (k *Capturer) Capture(ctx context.Context, w *cluster.Workload, c healing.Capture) incident.Evidence {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	death := deathOf(w, c)
	out := incident.Evidence{Kind: incident.EvidenceLog, At: time.Now().UTC(), Replica: c.Replica, Container: c.Container}
	if death != nil && !death.FinishedAt.IsZero() {
		out.At = death.FinishedAt
	}
	lines, source, err := k.read(ctx, w.Ref.Namespace, c)
	if err == nil && len(lines) > 0 {
		out.Lines, out.Message = lines, source
		return out
	}
	why := "the container wrote nothing"
	if err != nil {
		why = explain(err)
	}
	if death != nil && death.Message != "" {
		out.Lines = logs.Tail([]byte(death.Message), incident.MaxLogLines, incident.MaxLogBytes)
		out.Message = "the kubelet's termination message, because " + why
		return out
	}
	out.Message = "no log: " + why
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

// read returns the last lines and where they come from.
func (k *Capturer) read(ctx context.Context, namespace string, c healing.Capture) (lines []string, source string, err error) {
	if c.ContainerID == "" { // no certain life is meant
		raw, err := k.fetch(ctx, namespace, c, c.Previous)
		return tail(raw), sourceOf(c, c.Previous), err
	}
	for range attempts {
		previous, err := k.lifeOf(ctx, namespace, c)
		if err != nil {
			return nil, "", err
		}
		raw, err := k.fetch(ctx, namespace, c, previous)
		if err != nil {
			return nil, "", err
		}
		after, err := k.lifeOf(ctx, namespace, c)
		if err != nil {
			return nil, "", err
		}
		if after == previous {
			return tail(raw), sourceOf(c, previous), nil
		}
	}
	return nil, "", errOtherLife
}

// lifeOf looks where the log of the life is: at the present container (false) or at the one before (true).
func (k *Capturer) lifeOf(ctx context.Context, namespace string, c healing.Capture) (previous bool, err error) {
	pod, err := k.client.CoreV1().Pods(namespace).Get(ctx, c.Replica, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("get pod %s: %w", c.Replica, err)
	}
	if c.ReplicaUID != "" && string(pod.UID) != c.ReplicaUID {
		return false, errors.New("the pod is gone, another one has its name")
	}
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if list[i].Name == c.Container {
				return lifeIn(&list[i], c.ContainerID)
			}
		}
	}
	return false, fmt.Errorf("the pod has no container %s", c.Container)
}

// lifeIn follows the kubelet (validateContainerLogStatus in pkg/kubelet/kubelet_pods.go): without "previous" it reads
// the running or terminated container, and for a waiting one the one before.
func lifeIn(s *corev1.ContainerStatus, id string) (previous bool, err error) {
	if last := s.LastTerminationState.Terminated; last != nil && last.ContainerID == id {
		return true, nil
	}
	switch t := s.State.Terminated; {
	case t != nil && t.ContainerID == id, s.State.Running != nil && s.ContainerID == id:
		return false, nil
	default:
		return false, errOtherLife
	}
}

func (k *Capturer) fetch(ctx context.Context, namespace string, c healing.Capture, previous bool) ([]byte, error) {
	body, err := k.client.CoreV1().Pods(namespace).GetLogs(c.Replica, &corev1.PodLogOptions{
		Container: c.Container, Previous: previous,
		TailLines: ptr.To(int64(incident.MaxLogLines)), LimitBytes: new(int64(readLimit)),
	}).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read log of %s: %w", c.Container, err)
	}
	raw, err := io.ReadAll(io.LimitReader(body, readLimit))
	if closeErr := body.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if err != nil && len(raw) == 0 {
		return nil, fmt.Errorf("read log of %s: %w", c.Container, err)
	}
	if strings.HasPrefix(string(raw), noLog) {
		return nil, errors.New("the container's log file is gone from the node")
	}
	return raw, nil
}

func tail(raw []byte) []string { return logs.Tail(raw, incident.MaxLogLines, incident.MaxLogBytes) }

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
