package cause

import (
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// downLate is how long after the failure began a service may have gone down and still be its cause: endpoints go away only
// once a readiness probe has failed a few times.
const downLate = time.Minute

// Down reports whether the service has no ready endpoint and had one, or should have one because it selects replicas.
func Down(s cluster.Service) bool {
	return s.Ready == 0 && (s.Selects || !s.DownSince.IsZero())
}

// dependent are the kinds that the loss of a service can end in.
func dependent(k incident.Kind) bool {
	return slices.Contains([]incident.Kind{
		incident.CrashLoop, incident.NodeCrashLoop, incident.LivenessKill, incident.StartupKill, incident.CleanExit, incident.NotReady,
		incident.ReadinessGate, incident.RolloutStuck, incident.JobFailed, incident.RestartRate,
	}, k)
}

// dependency concludes that a service that is down, and that the logs name, is to blame.
func (s *scene) dependency(b *Blame) conclusion {
	if !dependent(s.lead.Kind) {
		return conclusion{}
	}
	down := s.downNames()
	if len(down.known) == 0 {
		return conclusion{}
	}
	lines, example, order := s.namings(down)
	var c conclusion
	best := ""
	for _, key := range order {
		if since := s.in.Services[key].DownSince; !since.IsZero() && since.Sub(s.began) > downLate {
			c.against = append(c.against, "the service "+key+" went down only "+phrase.Span(since.Sub(s.began))+" later")
			continue
		}
		if best == "" || lines[key] > lines[best] {
			best = key
		}
	}
	if best == "" {
		return c
	}
	b.Dependency = best
	c.confidence = 85
	state := "has no ready endpoint"
	if since := s.in.Services[best].DownSince; !since.IsZero() {
		c.confidence = 90
		if d := s.in.Now.Sub(since); d >= time.Second {
			state += " for " + phrase.Span(d)
		}
	}
	c.pro = append(c.pro, "the log names "+best+": "+phrase.Cut(example[best], 120), "the service "+best+" "+state)
	c.clause = "it cannot reach the service " + best + ", which " + state
	return c
}

// namings counts the lines that name each service that is down, with an example, in the order in which they are first named.
func (s *scene) namings(down names) (lines map[string]int, example map[string]string, order []string) {
	lines, example = map[string]int{}, map[string]string{}
	for _, line := range s.telling(down) {
		for _, key := range s.named(line) {
			if lines[key]++; lines[key] == 1 {
				order = append(order, key)
				example[key] = line
			}
		}
		if len(order) == 1 && down.services() == 1 {
			break // no other can be named: how many lines name this one does not matter
		}
	}
	return lines, example, order
}

// telling returns the lines that have one of the names in them, of those in which an application may name what it cannot reach:
// logs, one of each template, and what it said when it ended.
func (s *scene) telling(down names) []string {
	var out []string
	see := func(line string) {
		if down.in(line) {
			out = append(out, line)
		}
	}
	for i := range s.in.Evidence {
		said(&s.in.Evidence[i], see)
	}
	if s.lead.Death != nil {
		for line := range strings.SplitSeq(s.lead.Death.Message, "\n") {
			see(line)
		}
	}
	return out
}

// said shows the lines of one piece of evidence.
func said(e *incident.Evidence, see func(line string)) {
	switch {
	case e.Kind == incident.EvidenceLog:
		for _, line := range e.Lines {
			see(line)
		}
		for i := range e.Templates {
			see(e.Templates[i].Example)
		}
	case e.Kind == incident.EvidenceTermination && e.Termination != nil:
		for line := range strings.SplitSeq(e.Termination.Message, "\n") {
			see(line)
		}
	}
}

// downNames returns the names of the services that can be to blame.
func (s *scene) downNames() names {
	var out names
	for key := range s.in.Services {
		if _, name, ok := strings.Cut(key, "/"); ok && Down(s.in.Services[key]) && !s.own(key) {
			out.add(name)
		}
	}
	return out
}

// named returns the services that are down and that the line names as what cannot be reached, each once.
func (s *scene) named(line string) []string {
	var out []string
	for _, host := range Hosts(line) {
		key, ok := ServiceOf(host, s.in.Workload.Ref.Namespace, s.in.Services)
		if ok && Down(s.in.Services[key]) && !s.own(key) && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// own reports whether the service is one of the workload's own.
func (s *scene) own(key string) bool {
	w, v := s.in.Workload, s.in.Services[key]
	return v.Namespace == w.Ref.Namespace && slices.Contains(w.Services, v.Name) ||
		slices.ContainsFunc(v.Workloads, func(r cluster.Ref) bool { return r.Same(w.Ref) })
}

// ServiceOf returns the key ("namespace/name") of the service that a host means to a workload of the namespace: name,
// name.namespace, name.namespace.svc with or without a cluster's domain, and the same after the name of a pod of a headless
// service. The names are those of https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/.
func ServiceOf(host, namespace string, services map[string]cluster.Service) (key string, ok bool) {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	known := func(ns, name string) bool {
		key = ns + "/" + name
		_, ok = services[key]
		return ok
	}
	for at := 2; at <= 3 && at < len(labels); at++ {
		if labels[at] == "svc" && (at == 2 || podOf(labels[0])) && known(labels[at-1], labels[at-2]) {
			return key, true
		}
	}
	switch len(labels) {
	case 1:
		return key, known(namespace, labels[0])
	case 2:
		if known(labels[1], labels[0]) {
			return key, true
		}
		return key, podOf(labels[0]) && known(namespace, labels[1])
	case 3:
		return key, podOf(labels[0]) && known(labels[2], labels[1])
	default:
		return "", false
	}
}

// podOf reports whether the label is that of a pod of a StatefulSet, which ends with a number.
func podOf(label string) bool {
	at := strings.LastIndexByte(label, '-')
	if at <= 0 || at == len(label)-1 {
		return false
	}
	return strings.Trim(label[at+1:], "0123456789") == ""
}
