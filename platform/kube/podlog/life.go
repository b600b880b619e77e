package podlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
)

const (
	// readLimit bounds what is read of the last lines. The API's limitBytes keeps the beginning of the requested tail and would
	// cut off the newest lines, so it is far above what is kept, and only guards against lines without end.
	readLimit = 256 << 10
	// attempts to read a log that stays the log of the same life from the first look to the last.
	attempts = 2
	// noLog is how the kubelet answers, with status 200, when the container's log file is gone.
	noLog = "unable to retrieve container logs for "
)

// errOtherLife says that the status shows no such life any more.
var errOtherLife = errors.New("the container has been started again since, and its log is gone")

// read returns the last lines of the life and where they come from.
func (k *Capturer) read(ctx context.Context, namespace string, c healing.Capture) (lines []logs.Line, source string, err error) {
	last := extract{replica: c.Replica, container: c.Container, lines: incident.MaxLogLines, bytes: readLimit}
	if c.ContainerID == "" { // no certain life is meant
		last.previous = c.Previous
		lines, err := k.fetch(ctx, namespace, last)
		return lines, sourceOf(c, c.Previous), err
	}
	for range attempts {
		previous, err := k.lifeOf(ctx, namespace, c)
		if err != nil {
			return nil, "", err
		}
		last.previous = previous
		lines, err := k.fetch(ctx, namespace, last)
		if err != nil {
			return nil, "", err
		}
		after, err := k.lifeOf(ctx, namespace, c)
		if err != nil {
			return nil, "", err
		}
		if after == previous {
			return lines, sourceOf(c, previous), nil
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

// extract says which part of which log is read from the kubelet.
type extract struct {
	replica, container string
	previous           bool
	// since leaves out what is older; zero: nothing.
	since time.Time
	// lines and bytes bound it. The API's limitBytes keeps the beginning of the last lines.
	lines, bytes int
}

func (k *Capturer) fetch(ctx context.Context, namespace string, x extract) ([]logs.Line, error) {
	o := &corev1.PodLogOptions{
		Container: x.container, Previous: x.previous, Timestamps: true,
		TailLines: new(int64(x.lines)), LimitBytes: new(int64(x.bytes)),
	}
	if !x.since.IsZero() {
		o.SinceTime = new(metav1.NewTime(x.since))
	}
	body, err := k.client.CoreV1().Pods(namespace).GetLogs(x.replica, o).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read log of %s: %w", x.container, err)
	}
	raw, err := io.ReadAll(io.LimitReader(body, int64(x.bytes)))
	if closeErr := body.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if err != nil && len(raw) == 0 {
		return nil, fmt.Errorf("read log of %s: %w", x.container, err)
	}
	if strings.HasPrefix(string(raw), noLog) {
		return nil, errors.New("the container's log file is gone from the node")
	}
	return stamped(string(raw)), nil
}

// stamped takes the kubelet's time off each line; a line without one keeps its text and has no time.
func stamped(raw string) []logs.Line {
	if strings.TrimSpace(raw) == "" {
		return nil
	}
	var out []logs.Line
	for text := range strings.SplitSeq(strings.TrimRight(raw, "\r\n"), "\n") {
		l := logs.Line{Text: text}
		stamp, rest, _ := strings.Cut(text, " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
			l.At, l.Text = at, rest
		}
		out = append(out, l)
	}
	return out
}
