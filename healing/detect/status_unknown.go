package detect

import "github.com/homeostat/homeostat/internal/cluster"

// statusUnknown knows a death that the kubelet itself knows nothing of: the container was gone when it looked. It reports exit
// code 137 and no times for it, which means nothing, so this is a notice and never an OOM.
func statusUnknown(s *subject, d *death) (explanation, bool) {
	if d.Reason != cluster.ReasonStatusUnknown {
		return explanation{}, false
	}
	e := explanation{
		confidence: 95, message: "how " + s.who() + " ended is not known: the kubelet lost sight of it",
		pro: []string{"the kubelet gives the reason " + d.Reason, "it gives no time for it"},
	}
	if lived(d.Termination) {
		e.confidence = 90
		e.pro = e.pro[:1]
		e.against = []string{"it gives times for it"}
	}
	return e, true
}
