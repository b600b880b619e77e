package view

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/metrics/app"
)

// page keeps what tells where the pod's own metrics page is.
func (r *Records) page(rec *Pod, p *corev1.Pod) {
	rec.IP = p.Status.PodIP
	for _, c := range running(p) {
		for i := range c.Ports {
			rec.Ports = append(rec.Ports, Port{Container: r.intern(c.Name), Name: r.intern(c.Ports[i].Name), Number: c.Ports[i].ContainerPort})
		}
	}
	page, ok, err := app.FromAnnotations(p.Annotations)
	switch {
	case err != nil:
		rec.PageFault = err.Error()
	case ok:
		rec.Page = &page
	}
}
