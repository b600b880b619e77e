package detect

// livenessKill knows a death that the kubelet brought about because a liveness probe failed. A liveness probe begins only after
// the startup probe has passed, so where only Unhealthy events tell, the probe that failed last is the one.
func livenessKill(s *subject, d *death) (explanation, bool) {
	e, found := probeKill(s, d, liveness, ReasonLivenessProbe, s.container.LivenessProbe)
	if !found || e.confidence >= 90 {
		return e, found
	}
	live, start := probeFailures(s, d, liveness), probeFailures(s, d, startup)
	if start.killing != nil || start.unhealthy != nil && start.unhealthy.Last.After(live.unhealthy.Last) {
		return explanation{}, false
	}
	return e, true
}
