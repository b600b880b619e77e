package sources

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// noPage says that nobody told of a page.
const noPage = "no metrics page is told of"

// want has the pages of the pods scraped that can say something about the metrics.
func (s *Sources) want(ask *Ask, now time.Time) {
	if s.app == nil || !readsPages(ask) {
		return
	}
	for _, pod := range ask.Pods {
		t, why := pageOf(pod, ask.Page)
		switch {
		case why != "":
		case ask.Native: // it reads nothing but CPU there, and must not take the place of the page that an Autoscaler names
			s.app.WantBeside(now, t)
		default:
			s.app.Want(now, t)
		}
	}
}

func readsPages(ask *Ask) bool {
	for i := range ask.Metrics {
		switch source := &ask.Metrics[i].Source; source.Type {
		case hpa.FromResource, hpa.FromContainerResource:
			if source.Resource == hpa.CPU {
				return true
			}
		case hpa.FromPods:
			if !ask.Native {
				return true
			}
		case hpa.FromObject, hpa.FromExternal, hpa.FromPrometheus:
		}
	}
	return false
}

// pageOf returns the metrics page of a pod, or why it has none at present.
func pageOf(pod *view.Pod, spec *policy.AppPage) (app.Target, string) {
	var page app.Page
	container := ""
	switch {
	case spec != nil:
		number, why := portOf(pod, spec)
		if why != "" {
			return app.Target{}, why
		}
		page, container = app.Page{Scheme: spec.Scheme, Path: spec.Path, Port: number}, spec.Container
	case pod.PageFault != "":
		return app.Target{}, pod.PageFault
	case pod.Page == nil:
		return app.Target{}, noPage
	default:
		page = *pod.Page
	}
	if page.Port == 0 {
		var why string
		if page.Port, why = onlyPort(pod); why != "" {
			return app.Target{}, why
		}
	}
	if pod.IP == "" || pod.Replica.Phase != cluster.PhaseRunning || pod.Replica.Deleting() {
		return app.Target{}, "the pod does not run"
	}
	if container == "" {
		container = serves(pod, page.Port)
	}
	return app.Target{
		Namespace: pod.Namespace, Pod: pod.Name, UID: pod.UID, Container: container, URL: page.URL(pod.IP),
	}, ""
}

// portOf returns the number of the port that the spec gives.
func portOf(pod *view.Pod, spec *policy.AppPage) (number int, why string) {
	if spec.PortName == "" {
		return int(spec.Port), ""
	}
	for i := range pod.Ports {
		if p := &pod.Ports[i]; p.Name == spec.PortName && (spec.Container == "" || spec.Container == p.Container) {
			return int(p.Number), ""
		}
	}
	return 0, "no container has a port named " + spec.PortName
}

// onlyPort returns the one port that the pod declares.
func onlyPort(pod *view.Pod) (number int, why string) {
	for i := range pod.Ports {
		n := int(pod.Ports[i].Number)
		if number != 0 && n != number {
			return 0, fmt.Sprintf("annotation %s is missing, and the pod declares several ports", app.AnnotationPort)
		}
		number = n
	}
	if number == 0 {
		return 0, fmt.Sprintf("annotation %s is missing, and the pod declares no port", app.AnnotationPort)
	}
	return number, ""
}

// serves returns the container that declares the port, or the only main one; empty where neither tells. Then the page's
// metrics are read, but its CPU is nobody's.
func serves(pod *view.Pod, port int) string {
	for i := range pod.Ports {
		if int(pod.Ports[i].Number) == port {
			return pod.Ports[i].Container
		}
	}
	only := ""
	for i := range pod.Replica.Containers {
		if c := &pod.Replica.Containers[i]; c.Kind == cluster.ContainerMain {
			if only != "" {
				return ""
			}
			only = c.Name
		}
	}
	return only
}
