package healing

import (
	"github.com/homeostat/homeostat/internal/incident"
)

// Attach returns the incident with one more piece of evidence, within the bounds of package incident: a log is cut to
// its newest lines, and where there is no room the first and the newest pieces stay.
func Attach(in incident.Incident, e incident.Evidence) incident.Incident {
	out := in.Clone()
	out.Attach(e)
	return out
}
