package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat/homeostat/internal/incident"
)

// Incidents are counted by namespace, and namespaces come and go: beyond maxOpened counters, those that have not risen for openedKept
// are not exposed any more, and where that is not enough those that rose the longest ago.
const (
	maxOpened  = 2048
	openedKept = 24 * time.Hour
)

// openings counts the incidents that were opened. It is not safe for concurrent use.
type openings struct {
	counters *prometheus.CounterVec
	rose     map[opening]time.Time
}

// opening names one of its counters.
type opening struct {
	namespace string
	kind      incident.Kind
}

func (o *openings) count(in *incident.Incident, id string, now time.Time) {
	one := opening{in.Namespace, in.Kind}
	if _, known := o.rose[one]; !known && len(o.rose) >= maxOpened {
		o.forget(now)
	}
	o.rose[one] = now
	count(o.counters.WithLabelValues(in.Namespace, string(in.Kind)), exemplar(id))
}

// forget makes room for one more.
func (o *openings) forget(now time.Time) {
	var oldest opening
	for one, at := range o.rose {
		if now.Sub(at) >= openedKept {
			o.drop(one)
			continue
		}
		if first, known := o.rose[oldest]; !known || at.Before(first) {
			oldest = one
		}
	}
	if len(o.rose) >= maxOpened {
		o.drop(oldest)
	}
}

func (o *openings) drop(one opening) {
	delete(o.rose, one)
	o.counters.DeleteLabelValues(one.namespace, string(one.kind))
}
