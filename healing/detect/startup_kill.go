package detect

// startupKill knows a death that the kubelet brought about because a startup probe failed, so that the container was never
// started in that life. A replica that was ready in that life had passed its startup probes.
func startupKill(s *subject, d *death) (explanation, bool) {
	e, found := probeKill(s, d, startup, ReasonStartupProbe, s.container.StartupProbe)
	if !found || e.confidence >= 90 {
		return e, found
	}
	if r := s.replica; d.newest && lived(d.Termination) && !r.Ready && r.ReadySince.After(d.StartedAt) {
		return explanation{}, false
	}
	if d.newest && !s.container.Started {
		e.pro = append(e.pro, "it is not started")
	}
	return e, true
}
