package detect

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Horizon is how old a death may be and still be news. It is also the span in which restarts make a crash loop: the
// kubelet forgets its back-off after a clean run of ten minutes.
const Horizon = 10 * time.Minute

// near is how far an event or an OOM counter may be from a death and still belong to it: the default grace period of
// 30 s between a probe's failure and the kill, one scrape, and the delay of events.
const near = 60 * time.Second

// Look is what the checks read: one workload at one time.
type Look struct {
	Workload *cluster.Workload
	// Nodes by name; empty on a platform without nodes.
	Nodes map[string]cluster.Node
	// Memory gives the points that are kept of a container, oldest first; nil where nothing is kept.
	Memory func(replica, container string) []metrics.Point
	// Trend gives the long history of a container's usage, oldest first; nil where none is kept.
	Trend func(replica, container string) []metrics.TrendPoint
	// Services by "namespace/name"; empty on a platform without services.
	Services map[string]cluster.Service
	// NotReadyAfter and PendingAfter are the policy's.
	NotReadyAfter, PendingAfter time.Duration
	// ForecastWarmUp, ForecastMinSpan, ForecastMinPercent and ForecastHorizon are those of the policy's forecast.
	ForecastWarmUp, ForecastMinSpan, ForecastHorizon time.Duration
	ForecastMinPercent                               int32
	Now                                              time.Time
}

// subject is one replica, or one container of it, under a look.
type subject struct {
	*Look
	replica   *cluster.Replica
	container *cluster.Container // nil in the checks of a whole replica
	room      [2]death           // for deaths, so that a look at a healthy replica allocates nothing
	// dead are the container's deaths that its status shows, the oldest first; explained is true once the newest of them has a
	// kind that owns what follows from it.
	dead      []death
	explained bool
}

// death is one death of the subject's container.
type death struct {
	*cluster.Termination
	// number of this death among the container's, the first is 1.
	number int32
	// newest is true for the latest death that the status shows.
	newest bool
}

// explanation is what a check of deaths says about a death.
type explanation struct {
	confidence   int32
	message      string
	pro, against []string
}

// Findings runs every check over the workload. The result has the order of the replicas and, within one, of the checks;
// what concerns the workload itself is at its end.
func Findings(l *Look) []incident.Finding {
	var out []incident.Finding
	s := &subject{Look: l}
	for i := range l.Workload.Replicas {
		s.replica, s.container = &l.Workload.Replicas[i], nil
		if f, found := nodeNotReady(s); found {
			out = append(out, f)
			continue
		}
		for j := range s.replica.Containers {
			s.container = &s.replica.Containers[j]
			out = ofContainer(s, out)
		}
		s.container = nil
		out = ofReplica(s, out)
	}
	for _, c := range workloadChecks() {
		if f, found := c.check(l, out); found {
			f.Kind = c.kind
			if f.Since.IsZero() {
				f.Since = l.Now
			}
			out = append(out, f)
		}
	}
	return out
}

func ofReplica(s *subject, out []incident.Finding) []incident.Finding {
	for _, c := range endedChecks() {
		if f, found := c.check(s); found {
			out = append(out, s.finish(f, c.kind))
		}
	}
	if s.replica.Deleting() {
		return out
	}
	for _, c := range replicaChecks() {
		if f, found := c.check(s); found {
			out = append(out, s.finish(f, c.kind))
		}
	}
	return out
}

func ofContainer(s *subject, out []incident.Finding) []incident.Finding {
	if s.container.Kind == cluster.ContainerEphemeral {
		return ofTool(s, out)
	}
	before, checks := len(out), deathChecks()
	s.dead, s.explained = s.deaths(), false
	for i := range s.dead {
		f, found := explain(s, &s.dead[i], checks[:])
		if !found {
			continue
		}
		s.explained = s.explained || s.dead[i].newest && !f.Kind.Notice()
		out = append(out, f)
	}
	if s.replica.Deleting() || s.over() {
		return out
	}
	for _, c := range containerChecks() {
		if f, found := c.check(s); found {
			out = append(out, s.finish(f, c.kind))
		}
	}
	if !s.explained {
		if f, found := crashLoop(s); found {
			out = append(out, nodeCrashLoop(s, s.finish(f, incident.CrashLoop)))
			s.explained = true
		}
	}
	for i := before; i < len(out); i++ {
		if out[i].Active {
			return out
		}
	}
	for _, c := range forecastChecks() {
		if f, found := c.check(s); found {
			out = append(out, s.finish(f, c.kind))
		}
	}
	return out
}

// newest returns the latest death that the status shows, nil for none.
func (s *subject) newest() *death {
	if n := len(s.dead); n > 0 && s.dead[n-1].newest {
		return &s.dead[n-1]
	}
	return nil
}

// deaths returns the deaths that the container's status shows and that count as such, oldest first. They are valid until
// the next call.
func (s *subject) deaths() []death {
	c, found := s.container, s.room[:0]
	present := c.Terminated
	if c.State != cluster.StateTerminated {
		present = nil
	}
	// The count of restarts grows when the next life begins, so until then it is one behind the deaths.
	ended := min(max(c.Restarts, 0), math.MaxInt32-2) + 1
	same := present != nil && c.Last != nil && c.Last.ContainerID == present.ContainerID && c.Last.ContainerID != ""
	if c.Last != nil && !same && s.counts(c.Last) {
		number := max(c.Restarts, 1)
		if c.State == cluster.StateWaiting {
			number = ended
		}
		found = append(found, death{Termination: c.Last, number: number, newest: present == nil})
	}
	if present != nil && s.counts(present) {
		number := ended
		if len(found) > 0 {
			number = max(number, found[0].number+1)
		}
		found = append(found, death{Termination: present, number: number, newest: true})
	}
	return found
}

// counts reports whether the termination is a death: an init container that is done, and what dies because its replica
// is deleted, are none.
func (s *subject) counts(t *cluster.Termination) bool {
	if s.container.Kind == cluster.ContainerInit && t.ExitCode == 0 {
		return false
	}
	return !s.replica.Deleting() || !t.FinishedAt.IsZero() && t.FinishedAt.Before(s.replica.DeletedAt)
}

func explain(s *subject, d *death, checks []deathCheck) (incident.Finding, bool) {
	for _, c := range checks {
		e, found := c.check(s, d)
		if !found {
			continue
		}
		f := incident.Finding{
			Since: s.endOf(d), Active: d.newest && s.failing() && !c.kind.Notice(), Fingerprint: s.deathPrint(d), Death: d.Termination,
			Deaths: d.number, Confidence: e.confidence, Message: e.message, For: e.pro, Against: e.against,
		}
		if f.Active && s.container.CrashLooping() {
			f.Message += "; it is in the back-off of a crash loop after " + restarts(s.container.Restarts)
		}
		return s.finish(f, c.kind), true
	}
	return incident.Finding{}, false
}

// endOf returns when the life ended: by the status, or at the latest when the next one began or the replica stopped to be
// ready. The kubelet gives no times where it lost sight of a container.
func (s *subject) endOf(d *death) time.Time {
	switch {
	case !d.FinishedAt.IsZero():
		return d.FinishedAt
	case d.newest && !s.container.StartedAt.IsZero():
		return s.container.StartedAt
	case d.newest && !s.replica.Ready:
		return s.replica.ReadySince
	default:
		return time.Time{}
	}
}

// failing reports whether the container has not come back after its latest death.
func (s *subject) failing() bool {
	if s.replica.Deleting() || s.over() {
		return false
	}
	c := s.container
	return c.State == cluster.StateTerminated || c.CrashLooping() ||
		c.State == cluster.StateWaiting && c.WaitingReason == waitingRunError
}

// over reports whether the replica has ended for good, so that nothing in it lasts.
func (s *subject) over() bool {
	return s.replica.Phase == cluster.PhaseSucceeded || s.replica.Phase == cluster.PhaseFailed
}

// finish sets what all findings have. Where the platform gives no time, the failure began when it was seen.
func (s *subject) finish(f incident.Finding, k incident.Kind) incident.Finding {
	f.Kind = k
	if f.Since.IsZero() {
		f.Since = s.Now
	}
	f.Replica, f.ReplicaUID = s.replica.Name, s.replica.UID
	if s.replica.Node != "" {
		f.Node = s.replica.Node
	}
	if s.container != nil {
		f.Container, f.Restarts = s.container.Name, s.container.Restarts
	}
	return f
}

// who names the container or replica in a message: "container app of web-7c9".
func (s *subject) who() string {
	if s.container == nil {
		return s.replica.Name
	}
	role := "container "
	switch s.container.Kind {
	case cluster.ContainerInit:
		role = "init container "
	case cluster.ContainerSidecar:
		role = "sidecar "
	case cluster.ContainerEphemeral:
		role = "ephemeral container "
	case cluster.ContainerMain:
	}
	return role + s.container.Name + " of " + s.replica.Name
}

func (s *subject) points() []metrics.Point {
	if s.Memory == nil {
		return nil
	}
	return s.Memory(s.replica.Name, s.container.Name)
}

// print makes a fingerprint out of the replica's identity and parts.
func (s *subject) print(parts ...string) string {
	id := s.replica.UID
	if id == "" {
		id = s.replica.Name
	}
	return id + "/" + strings.Join(parts, "/")
}

// deathPrint names one death: by the life that ended, by its number where the platform gives lives no name.
func (s *subject) deathPrint(d *death) string {
	if d.ContainerID != "" {
		return s.print(s.container.Name, d.ContainerID)
	}
	return s.print(s.container.Name, "#"+strconv.Itoa(int(d.number)))
}

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// latest returns the latest of the times.
func latest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

// between returns b minus a, not negative.
func between(a, b time.Time) time.Duration { return max(b.Sub(a), 0) }

// pending returns since when the container has been waiting at the earliest, and whether that is longer than the policy
// allows. A waiting state carries no time, so it is the later of the replica's start and the container's last death. Nothing tells
// when an ephemeral container was asked for, so there since is zero, and what the kubelet does not call its first try is long.
func (s *subject) pending() (since time.Time, long bool) {
	if s.container.Kind == cluster.ContainerEphemeral {
		return time.Time{}, s.container.WaitingReason != firstPull
	}
	since = latest(s.replica.CreatedAt, s.replica.StartedAt)
	if d := s.container.LatestDeath(); d != nil {
		since = latest(since, d.FinishedAt)
	}
	return since, !since.IsZero() && s.Now.Sub(since) >= s.PendingAfter
}
