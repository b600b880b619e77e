package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// summary is what is read of /stats/summary: a part of stats.Summary, so that the rest is skipped and not built.
type summary struct {
	Pods []podSummary `json:"pods"`
}

type podSummary struct {
	Ref        stats.PodReference `json:"podRef"`
	CPU        *cpuSummary        `json:"cpu"`
	Containers []struct {
		CPU *cpuSummary `json:"cpu"`
	} `json:"containers"`
}

type cpuSummary struct {
	Time metav1.Time     `json:"time"`
	PSI  *stats.PSIStats `json:"psi"`
}

// podPressure is the reading of one pod.
type podPressure struct {
	namespace, pod string
	at             time.Time
	percent        float64
}

// readPressures returns the readings of a page, those without a time as of received. There is none where the kubelet
// serves no PSI: on a node with cgroup v1 all its numbers are zero, the totals since the pods started too.
func readPressures(body []byte, received time.Time) ([]podPressure, error) {
	var page summary
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("parse page: %s", clip(err.Error()))
	}
	var readings []podPressure
	served := false
	for i := range page.Pods {
		p := &page.Pods[i]
		cpu := p.pressing()
		if cpu == nil || p.Ref.Name == "" {
			continue
		}
		served = served || cpu.PSI.Some.Total > 0 || cpu.PSI.Some.Avg10 > 0
		r := podPressure{p.Ref.Namespace, p.Ref.Name, cpu.Time.UTC(), cpu.PSI.Some.Avg10}
		if cpu.Time.IsZero() {
			r.at = received
		}
		readings = append(readings, r)
	}
	if !served {
		return nil, nil
	}
	return readings, nil
}

// pressing returns the reading of the pod's own cgroup, or else that of the container that waits most; nil: none.
func (p *podSummary) pressing() *cpuSummary {
	if p.CPU != nil && p.CPU.PSI != nil {
		return p.CPU
	}
	var most *cpuSummary
	for i := range p.Containers {
		c := p.Containers[i].CPU
		if c != nil && c.PSI != nil && (most == nil || c.PSI.Some.Avg10 > most.PSI.Some.Avg10) {
			most = c
		}
	}
	return most
}

// pressureDue reports whether it is time to read the node's pressures.
func (s *Scraper) pressureDue(t *target) bool {
	every := s.pressureEvery
	if t.noPressure {
		every = s.pressureRetry
	}
	return every > 0 && (t.pressureScrape == 0 || t.scrapes-t.pressureScrape >= every)
}

// readPressure reads the node's pressures into the sink. A failure is no failure of the node: its usage is there.
func (s *Scraper) readPressure(ctx context.Context, t *target, b *buffers) {
	found := 0
	err := s.fetch(ctx, t, pageSummary, func(resp *http.Response, from io.Reader) error {
		body, err := readInto(b.body, from, resp.ContentLength)
		b.body = body
		if err != nil {
			return err
		}
		readings, err := readPressures(body, time.Now())
		for _, r := range readings {
			s.sink.AddPressure(r.namespace, r.pod, r.at, r.percent)
		}
		found = len(readings)
		return err
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil && !t.pressureFailed {
		s.config.Logger.WarnContext(ctx, "cpu pressure unreadable", "node", t.node.Name, "class", string(ClassOf(err)), "error", err)
	}
	t.pressureFailed = err != nil
	t.noPressure = err == nil && found == 0 || refused(err)
}

// refused reports whether the kubelet has the answer and does not give it: asking again soon changes nothing.
func refused(err error) bool {
	switch ClassOf(err) {
	case ClassForbidden, ClassUnauthorized, ClassStatus, ClassBadPage, ClassTooLarge:
		return true
	case ClassTimeout, ClassRefused, ClassNetwork, ClassTLS, ClassCredentials:
	}
	return false
}
