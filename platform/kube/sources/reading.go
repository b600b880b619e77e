package sources

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/metrics/custom"
	"github.com/homeostat/homeostat/metrics/poll"
)

// asker fetches what a key names.
type asker struct{ from Custom }

func (a asker) fetch(ctx context.Context, k key) (answer, error) {
	selector, err := labels.Parse(k.source.Selector)
	if err != nil {
		return answer{}, fmt.Errorf("the selector %q of metric %s cannot be read: %w", k.source.Selector, k.source.Name, err)
	}
	var out answer
	switch k.source.Type {
	case hpa.FromPods:
		pods, err := labels.Parse(k.pods)
		if err != nil {
			return answer{}, fmt.Errorf("the selector %q of the pods cannot be read: %w", k.pods, err)
		}
		out.pods, err = a.from.Pods(ctx, k.namespace, k.source.Name, pods, selector)
		return out, err //nolint:wrapcheck // it is one plain sentence
	case hpa.FromObject:
		out.value, err = a.from.Object(ctx, k.namespace, objectOf(k.source.Object), k.source.Name, selector)
	case hpa.FromExternal:
		out.value, err = a.from.External(ctx, k.namespace, k.source.Name, selector)
	case hpa.FromResource, hpa.FromContainerResource, hpa.FromPrometheus:
		return answer{}, fmt.Errorf("metrics of type %s are not read here", k.source.Type)
	}
	return out, err //nolint:wrapcheck // it is one plain sentence
}

func objectOf(text string) custom.Object {
	version, kind, name := hpa.DescribedObject(text)
	return custom.Object{APIVersion: version, Kind: kind, Name: name}
}

// usable says why a result cannot be used; empty: it can. A value whose source fails now is used until it is too old.
func usable[V any](r *poll.Result[V], period time.Duration, now time.Time) string {
	age := now.Sub(r.At)
	switch {
	case r.At.IsZero() && r.Err == nil:
		return "it has not been read yet"
	case r.At.IsZero():
		return r.Err.Error()
	case age <= max(staleAfter, stalePeriods*period):
		return ""
	case r.Err != nil:
		return fmt.Sprintf("the last value is %s old: %v", age.Round(time.Second), r.Err)
	}
	return fmt.Sprintf("the last value is %s old", age.Round(time.Second))
}

// single reads a metric with one value from the metrics APIs.
func (s *Sources) single(ask *Ask, source *hpa.Source, from string, now time.Time) hpa.Reading {
	out := hpa.Reading{Source: *source, From: from}
	if s.custom == nil {
		out.Why = "the controller's configuration has sources.customMetrics switched off"
		return out
	}
	got := s.custom.Get(key{namespace: ask.Namespace, source: *source}, now)
	ask.Pending = ask.Pending || !got.Tried
	if out.Why = usable(&got, s.custom.Config().Period, now); out.Why != "" {
		return out
	}
	out.Known, out.Value, out.At = true, got.Value.value.Milli, got.Value.value.At
	return out
}

// ofQuery reads the result of a query.
func (s *Sources) ofQuery(ask *Ask, source *hpa.Source, now time.Time) hpa.Reading {
	out := hpa.Reading{Source: *source, From: FromPrometheus}
	if s.prometheus == nil {
		out.Why = "the controller's configuration has no sources.prometheus.address"
		return out
	}
	got := s.prometheus.Get(source.Name, now)
	ask.Pending = ask.Pending || !got.Tried
	if out.Why = usable(&got, s.prometheus.Config().Period, now); out.Why != "" {
		return out
	}
	out.Known, out.Value, out.At = true, got.Value.Milli, got.Value.At
	return out
}

// ofPods reads a metric with one value for each pod: from their own pages where any of them has it, else from the metrics
// API of the cluster.
func (s *Sources) ofPods(ask *Ask, source *hpa.Source, now time.Time) hpa.Reading {
	page, unread := hpa.Reading{Source: *source, From: FromPage}, false
	if s.app != nil && !ask.Native {
		page, unread = s.ofPages(ask, source, now)
	}
	if page.Known || s.custom == nil {
		ask.Pending = ask.Pending || unread && !page.Known
		if page.Why == "" && !page.Known {
			page.Why = "the controller's configuration has sources.customMetrics switched off, and no pod has a metrics page that is read"
		}
		return page
	}
	out, tried := s.ofCustom(ask, source, now)
	ask.Pending = ask.Pending || !out.Known && (unread || !tried)
	if out.Known || page.Why == "" {
		return out
	}
	return page
}

// ofPages reads the metric from the pages of the pods. Without a page at all it says nothing. unread is true while one of
// the pages was never read, or not for long enough.
func (s *Sources) ofPages(ask *Ask, source *hpa.Source, now time.Time) (out hpa.Reading, unread bool) {
	out = hpa.Reading{Source: *source, From: FromPage}
	selector, err := labels.Parse(source.Selector)
	if err != nil {
		out.Why = fmt.Sprintf("the selector %q of metric %s cannot be read: %v", source.Selector, source.Name, err)
		return out, false
	}
	out.Replicas = make([]hpa.Usage, len(ask.Pods))
	for i, pod := range ask.Pods {
		u := &out.Replicas[i]
		if _, why := pageOf(pod, ask.Page); why != "" {
			u.Why = why
			if why != noPage && out.Why == "" {
				out.Why = why
			}
			continue
		}
		v := s.app.Value(app.Pod{Namespace: pod.Namespace, Name: pod.Name}, source.Name, selector, now)
		if v.Why != "" {
			u.Why, unread = v.Why, unread || v.Pending
			if out.Why == "" {
				out.Why = v.Why
			}
			continue
		}
		u.Known, u.Value, u.At, u.Window = true, v.Milli, v.At, v.Window
		cover(&out, u)
	}
	return settled(out), unread
}

// ofCustom reads the metric of the pods from the metrics API of the cluster. tried is false until that has answered once.
func (s *Sources) ofCustom(ask *Ask, source *hpa.Source, now time.Time) (out hpa.Reading, tried bool) {
	out = hpa.Reading{Source: *source, From: FromCustom}
	pods := ""
	if ask.Selector != nil {
		pods = ask.Selector.String()
	}
	got := s.custom.Get(key{ask.Namespace, *source, pods}, now)
	if out.Why = usable(&got, s.custom.Config().Period, now); out.Why != "" {
		return out, got.Tried
	}
	out.Replicas = make([]hpa.Usage, len(ask.Pods))
	for i, pod := range ask.Pods {
		u := &out.Replicas[i]
		v, ok := got.Value.pods[pod.Name]
		if !ok {
			u.Why = "no value"
			continue
		}
		u.Known, u.Value, u.At, u.Window = true, v.Milli, v.At, v.Window
		cover(&out, u)
	}
	out.Known = true // an answer without any of the pods is an answer
	return out, true
}

// cover takes the time and the window of a known value into those of the reading.
func cover(r *hpa.Reading, u *hpa.Usage) {
	r.Known = true
	if r.At.IsZero() || u.At.Before(r.At) {
		r.At = u.At
	}
	r.Window = max(r.Window, u.Window)
}

// settled leaves the reason out of a reading that is known, and the replicas out of one that is not.
func settled(r hpa.Reading) hpa.Reading {
	if r.Known {
		r.Why = ""
		return r
	}
	r.Replicas = nil
	return r
}
