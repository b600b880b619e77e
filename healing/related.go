package healing

import (
	"github.com/homeostat/homeostat/internal/incident"
)

// sameCause reports whether a finding of kind k about the same container belongs to an incident of kind i. Deaths of one
// container that follow each other are one cause: the crash loop is how it shows. A liveness kill is told from an OOM.
func sameCause(i, k incident.Kind) bool {
	if i == k {
		return true
	}
	loop := k == incident.CrashLoop || k == incident.NodeCrashLoop
	switch {
	case i == incident.OOMKilled:
		return loop || k == incident.ProbableOOM || k == incident.MemoryLeak
	case i == incident.ProbableOOM:
		return loop || k == incident.OOMKilled || k == incident.NodeOOM || k == incident.MemoryLeak
	case i == incident.NodeOOM:
		return loop || k == incident.ProbableOOM
	case oneOf(i, incident.LivenessKill, incident.StartupKill, incident.BadCommand, incident.CleanExit):
		return loop
	case oneOf(i, incident.CrashLoop, incident.NodeCrashLoop):
		return loop || death(k)
	case i == incident.MemoryLeak: // what was foretold has come true
		return k == incident.OOMKilled || k == incident.ProbableOOM
	case i == incident.RolloutStuck:
		return stalls(k)
	default:
		return false
	}
}

// death reports whether the kind says why a container ended.
func death(k incident.Kind) bool {
	return oneOf(k, incident.OOMKilled, incident.ProbableOOM, incident.NodeOOM, incident.LivenessKill, incident.StartupKill, incident.BadCommand,
		incident.CleanExit)
}

// stalls reports whether the kind keeps new replicas from getting ready, and so explains a rollout that is stuck.
func stalls(k incident.Kind) bool {
	switch {
	case oneOf(k, incident.ImagePull, incident.ConfigMissing, incident.VolumeStuck, incident.SandboxFailed, incident.NodeCrashLoop,
		incident.CrashLoop, incident.Unschedulable, incident.ReadinessGate, incident.NotReady, incident.CreateRefused):
		return true
	default:
		return death(k)
	}
}

// raiseKind corrects the kind when a later look or death knows better what an earlier one could only guess, or what an earlier
// one could only see the end of.
func (p *pass) raiseKind(t *tracked) bool {
	if len(t.findings) == 0 {
		return false
	}
	for i := range t.findings {
		k := t.findings[i].Kind
		if !p.knowsBetter(t, k) {
			continue
		}
		t.inc.Kind = k
		if t.isNew() { // two deaths at once
			return true
		}
		t.step(p.now, ReasonReclassified, "the kind is "+string(k)+": "+t.findings[i].Message)
		return true
	}
	return false
}

func (p *pass) knowsBetter(t *tracked, k incident.Kind) bool {
	is := t.inc.Kind
	return is == incident.ProbableOOM && oneOf(k, incident.OOMKilled, incident.NodeOOM) ||
		is == incident.ProbableOOM && k == incident.LivenessKill && t.inc.Occurrences == 1 ||
		is == incident.MemoryLeak && oneOf(k, incident.OOMKilled, incident.ProbableOOM) ||
		is == incident.RolloutStuck && stalls(k) ||
		// It fails on other nodes by now, or its siblings got healthy.
		is == incident.NodeCrashLoop && k == incident.CrashLoop && !t.has(incident.NodeCrashLoop) ||
		is == incident.CrashLoop && k == incident.NodeCrashLoop && !t.has(incident.CrashLoop)
}

// has reports whether the incident shows a finding of that kind now.
func (t *tracked) has(k incident.Kind) bool {
	for i := range t.findings {
		if t.findings[i].Kind == k {
			return true
		}
	}
	return false
}
