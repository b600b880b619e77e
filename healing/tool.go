package healing

import "github.com/homeostat/homeostat/healing/detect"

// aboutTool reports whether the incident is about an ephemeral container: it is told, and neither lasts nor has a root or a remedy.
func (p *pass) aboutTool(t *tracked) bool { return detect.AboutTool(p.in.Workload, &t.inc) }
