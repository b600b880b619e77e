package hpa

// verdict says in a code how a proposal came about.
type verdict uint8

const (
	verdictNone      verdict = iota
	verdictAsks              // the proposal is what the ratio asks for
	verdictTolerated         // the ratio is near enough to 1
	verdictTurned            // with replicas counted that have no usage, the ratio is on the other side of 1
	verdictCrowd             // with their number, the proposal is on the other side of the current number
	verdictAside             // replicas that are set aside by a health rule would turn it to the other side
)

// failure says in a code why a metric could not be computed.
type failure uint8

const (
	failNone failure = iota
	failTarget
	failType
	failSource
	failResource
	failUnavailable
	failNoReading
	failReading
	failNoReplicas
	failNoneReady
	failRequest
	failNoRequests
	failNoRequestsAtAll
)

// note is what the words about a proposal are made from.
type note struct {
	raw     int32 // the proposal before it is cut to 0
	verdict verdict
	fail    failure
	replica int32 // what a failRequest is about
	taken   bool  // whether there is a failNoneReady because a health rule took capacity away
	asked   int32 // what the fallback asks for, before the number is kept for the replicas that are taken away
	reading *Reading
	// counted is the number that the ratio was multiplied with; doubted and fresh are among it.
	counted, doubted, fresh int64
	// missing and unready are how many were assumed to be idle, or busy.
	missing, unready int64
	// pressed is the replica with the highest CPU pressure.
	pressed int32

	readyList, unreadyList, missingList, ignoredList list
}

// list is the first MaxNames replicas of a class.
type list struct {
	n     int
	index [MaxNames]int32
	why   [MaxNames]why
}

func (l *list) add(n *Names, replica int, w why) {
	n.Count++
	l.keep(replica, w)
}

func (l *list) keep(replica int, w why) {
	if l.n < MaxNames {
		l.index[l.n], l.why[l.n] = int32(replica), w
		l.n++
	}
}

// tally is what one walk over the replicas finds for one metric. Amounts are in thousandths of the unit (a core, a byte,
// whatever the metric counts), in which Kubernetes calculates too: the rounding depends on it.
type tally struct {
	ready, doubted, unready, aside, fresh, missing int64
	// usage and request of the ready and the doubted; doubt is what the latter would use more if they were busy.
	usage, request, doubt int64
	// request of the others, and what they are taken to use where the metric asks for less.
	unreadyRequest             int64
	asideRequest, asideBusy    int64 // of those that are fresh, too
	missingRequest, missingUse int64
}

// propose says what one metric alone asks for.
func (d *Decider) propose(i int) {
	m, p, n := &d.policy.Metrics[i], &d.metrics[i], &d.notes[i]
	*p, *n = MetricProposal{Metric: *m}, note{}
	switch fault := m.fault(); {
	case fault != failNone:
		d.fail(p, n, fault)
	case m.Source.perReplica():
		d.perReplica(m, p, n)
	default:
		d.whole(m, p, n)
	}
}

// fail says that the metric cannot be computed.
func (d *Decider) fail(p *MetricProposal, n *note, f failure) {
	n.fail, p.ErrReason = f, p.Metric.Source.failedReason()
	if f == failSource || f == failType || f == failResource {
		p.ErrReason = CondInvalidMetricSourceType
	}
}

// failedReason is the reason of the condition ScalingActive where the source could not be computed.
func (s *Source) failedReason() string {
	switch s.Type {
	case FromResource:
		return CondFailedGetResourceMetric
	case FromContainerResource:
		return CondFailedGetContainerMetric
	case FromPods:
		return CondFailedGetPodsMetric
	case FromObject:
		return CondFailedGetObjectMetric
	case FromExternal, FromPrometheus:
		return CondFailedGetExternalMetric
	}
	return CondInvalidMetricSourceType
}

// fault says what is wrong with the metric itself. Validate refuses all of it; a decision is made all the same.
func (m *Metric) fault() failure {
	s := &m.Source
	resource := s.Type == FromResource || s.Type == FromContainerResource
	switch {
	case !s.perReplica() && !s.beyondReplicas():
		return failSource
	case m.Target <= 0:
		return failTarget
	case !m.allows(m.Type):
		return failType
	case resource && s.Resource != CPU && s.Resource != Memory:
		return failResource
	}
	return failNone
}

// allows reports whether the metric's source can have such a target.
func (m *Metric) allows(t TargetType) bool {
	switch m.Source.Type {
	case FromResource, FromContainerResource:
		return t == Utilization || t == AverageValue
	case FromPods:
		return t == AverageValue
	case FromObject, FromExternal, FromPrometheus:
		return t == Value || t == AverageValue
	}
	return false
}

// scale is the factor from the metric's unit to thousandths of it.
func (m *Metric) scale() int64 {
	if m.Source.Resource == Memory {
		return 1000
	}
	return 1
}

// perReplica decides a metric that has one value for each replica.
func (d *Decider) perReplica(m *Metric, p *MetricProposal, n *note) {
	var t tally
	if f := d.count(m, p, n, &t); f != failNone {
		d.fail(p, n, f)
		return
	}
	counted := t.ready + t.doubted
	n.counted, n.doubted = counted, t.doubted
	ratio, ok := m.ratio(t.usage, t.request, counted, p)
	if !ok {
		d.fail(p, n, failNoRequests)
		return
	}
	p.Ratio = ratio
	idle := ratio > 1 && t.unready+t.aside+t.fresh > 0
	busy := ratio < 1 && t.doubted+t.aside+t.fresh > 0
	switch tolerated := d.tolerates(ratio); {
	case tolerated && !idle && t.missing == 0:
		d.hold(p, n, verdictTolerated)
	case !idle && !busy && t.missing == 0:
		d.ask(p, n, ceil32(ratio*float64(counted)))
	default:
		d.secondLook(m, p, n, &t, idle)
	}
}

// secondLook counts replicas whose usage says nothing in the way that moves the number least, and keeps the number where
// they could turn the decision around.
func (d *Decider) secondLook(m *Metric, p *MetricProposal, n *note, t *tally, idle bool) {
	usage, request, counted := t.usage, t.request, n.counted
	if p.Ratio != 1 {
		request, counted, n.missing = add(request, t.missingRequest), counted+t.missing, t.missing
	}
	switch {
	case p.Ratio < 1:
		usage = add(add(usage, t.missingUse), add(t.doubt, t.asideBusy))
		request, counted = add(request, t.asideRequest), counted+t.aside+t.fresh
		settling := int64(p.Missing.Count) - t.missing
		n.missing, n.unready, n.fresh = t.missing+settling, t.aside+t.doubted-settling, t.fresh
		n.counted, n.doubted = n.counted-t.doubted, 0
	case idle:
		request, counted = add(request, add(t.unreadyRequest, t.asideRequest)), counted+t.unready+t.aside+t.fresh
		n.unready = t.unready + t.aside + t.fresh
	}
	ratio, ok := m.ratio(usage, request, counted, nil)
	if !ok {
		d.fail(p, n, failNoRequestsAtAll)
		return
	}
	p.AdjustedRatio = ratio
	replicas := ceil32(ratio * float64(counted))
	switch {
	case d.tolerates(ratio):
		d.hold(p, n, verdictTolerated)
	case p.Ratio < 1 && ratio > 1, p.Ratio > 1 && ratio < 1:
		d.hold(p, n, verdictTurned)
	case ratio < 1 && replicas > d.obs.Current, ratio > 1 && replicas < d.obs.Current:
		d.hold(p, n, verdictCrowd)
	default:
		d.ask(p, n, replicas)
	}
}

// count counts the replicas. It returns what keeps the metric from being computed, if anything.
func (d *Decider) count(m *Metric, p *MetricProposal, n *note, t *tally) failure {
	readings, fault := d.readings(m, p, n)
	if fault != failNone {
		return fault
	}
	if len(d.obs.Replicas) == 0 {
		return failNoReplicas
	}
	requestless := d.walk(m, p, n, t, readings)
	p.Ready = clamp32(t.ready)
	switch {
	case t.ready+t.doubted == 0:
		n.taken = t.aside+t.fresh > 0
		return failNoneReady
	case m.Type == Utilization && requestless >= 0:
		// One replica is enough, even one that is ignored: a utilization of all of them does not exist then.
		n.replica = requestless
		return failRequest
	}
	return failNone
}

// walk walks over the replicas. It returns the first that has a container without a request, -1 where there is none.
func (d *Decider) walk(m *Metric, p *MetricProposal, n *note, t *tally, readings []Usage) (requestless int32) {
	scale := m.scale()
	requestless = -1
	var none Usage
	for i := range d.obs.Replicas {
		r, u := &d.obs.Replicas[i], &none
		switch {
		case m.Source.Type == FromResource:
			u = r.usage(m.Source.Resource)
		case i < len(readings):
			u = &readings[i]
		}
		if u.RequestMissing != "" && requestless < 0 {
			requestless = int32(i)
		}
		kind, w := d.lens.sort(r, u, m.Source.Resource)
		request := mul(u.Request, scale)
		switch kind {
		case capacityIgnored:
			n.ignoredList.add(&p.Ignored, i, w)
		case capacityUnready:
			t.unready, t.unreadyRequest = t.unready+1, add(t.unreadyRequest, request)
			n.unreadyList.add(&p.Unready, i, w)
		case capacityMissing:
			t.missing, t.missingRequest = t.missing+1, add(t.missingRequest, request)
			t.missingUse = add(t.missingUse, m.busy(request, scale))
			n.missingList.add(&p.Missing, i, w)
		case capacityAside:
			t.aside, t.asideRequest = t.aside+1, add(t.asideRequest, request)
			t.asideBusy = add(t.asideBusy, max(m.busy(request, scale), u.used(scale)))
			n.unreadyList.add(&p.Unready, i, w)
		case capacityFresh:
			t.fresh, t.asideRequest = t.fresh+1, add(t.asideRequest, request)
			t.asideBusy = add(t.asideBusy, u.used(scale))
			n.unreadyList.add(&p.Unready, i, w)
		case capacityDoubted:
			t.doubted, t.usage, t.request = t.doubted+1, add(t.usage, u.used(scale)), add(t.request, request)
			t.doubt = add(t.doubt, max(0, add(m.busy(request, scale), -u.used(scale))))
			list, names := &n.missingList, &p.Missing
			if w == whyOOMKilled {
				list, names = &n.unreadyList, &p.Unready
			}
			list.add(names, i, w)
			p.see(n, r, u, i)
		case capacityReady:
			t.ready, t.usage, t.request = t.ready+1, add(t.usage, mul(u.Value, scale)), add(t.request, request)
			n.readyList.keep(i, whyNone)
			p.see(n, r, u, i)
		}
	}
	return requestless
}

// readings returns the values of the replicas where they are not in the replicas themselves.
func (d *Decider) readings(m *Metric, p *MetricProposal, n *note) ([]Usage, failure) {
	if d.obs.Unavailable != "" && m.Source.Type != FromPods {
		return nil, failUnavailable
	}
	if m.Source.Type == FromResource {
		return nil, failNone
	}
	n.reading = d.obs.reading(&m.Source)
	switch {
	case n.reading == nil:
		return nil, failNoReading
	case !n.reading.Known:
		return nil, failReading
	}
	p.From = n.reading.From
	return n.reading.Replicas, failNone
}

// reading returns what was read of a source; nil: nothing.
func (o *Observation) reading(s *Source) *Reading {
	for i := range o.Readings {
		if o.Readings[i].Source == *s {
			return &o.Readings[i]
		}
	}
	return nil
}

// used is the usage in thousandths, 0 where it is not known.
func (u *Usage) used(scale int64) int64 {
	if !u.Known {
		return 0
	}
	return mul(u.Value, scale)
}

// see notes what else there is to say of a replica that is counted.
func (p *MetricProposal) see(n *note, r *Replica, u *Usage, i int) {
	if p.Oldest.IsZero() || u.At.Before(p.Oldest) {
		p.Oldest = u.At
	}
	if p.From == "" {
		p.From = u.From
	}
	if r.CPUPressure > p.CPUPressure && p.Metric.Source.Resource == CPU {
		p.CPUPressure, n.pressed = r.CPUPressure, int32(i)
	}
}

// busy is what a replica is taken to use where it does not say and the others ask for less: all of its request, or the
// target where that is more.
func (m *Metric) busy(request, scale int64) int64 {
	if m.Type == AverageValue {
		return mul(m.Target, scale)
	}
	return quotient(request, max(100, m.Target), 100)
}

// ratio returns usage over target for n replicas, and false where they request nothing. It notes the average and the
// utilization in the proposal, if there is one.
func (m *Metric) ratio(usage, request, n int64, p *MetricProposal) (float64, bool) {
	average, scale := usage/n, m.scale()
	if p != nil {
		p.Value = average / scale
	}
	if m.Type == AverageValue {
		return float64(average) / float64(mul(m.Target, scale)), true
	}
	if request <= 0 {
		return 0, false
	}
	percent := quotient(usage, 100, request)
	if p != nil {
		p.Utilization = percent
	}
	return float64(percent) / float64(m.Target), true
}

// hold proposes the current number.
func (d *Decider) hold(p *MetricProposal, n *note, v verdict) {
	d.ask(p, n, d.obs.Current)
	n.verdict, p.WithinTolerance = v, v == verdictTolerated
}

// ask proposes what the metric asks for.
func (d *Decider) ask(p *MetricProposal, n *note, replicas int32) {
	n.verdict, n.raw, p.Replicas = verdictAsks, replicas, max(replicas, 0)
}

// tolerates reports whether a ratio is near enough to 1 to change nothing.
func (d *Decider) tolerates(ratio float64) bool { return d.lowest <= ratio && ratio <= d.highest }
