package healing

import (
	"slices"

	"github.com/homeostat/homeostat/internal/incident"
)

// DefaultLadder returns the rungs that are tried for a kind that a policy does not name, in this order; nil is None. A rung that
// does not fit what is known is skipped: Rollback wants failures that began with the newest revision and an older one that was
// healthy, AbortCanary a canary whose stable track is healthy, ScaleOut memory or throttling that follows load.
func DefaultLadder(k incident.Kind) []incident.Remedy {
	switch {
	case oneOf(k, incident.OOMKilled, incident.ProbableOOM):
		return []incident.Remedy{incident.RemedyAbortCanary, incident.RemedyRollback, incident.RemedyScaleOut, incident.RemedyResizeMemory}
	case oneOf(k, incident.CrashLoop, incident.BadCommand, incident.StartupKill, incident.ImagePull, incident.ConfigMissing):
		return []incident.Remedy{incident.RemedyAbortCanary, incident.RemedyRollback}
	case oneOf(k, incident.NodeCrashLoop, incident.ChildOOM):
		return []incident.Remedy{incident.RemedyRestart}
	case k == incident.LivenessKill:
		return []incident.Remedy{incident.RemedyAbortCanary, incident.RemedyScaleOut}
	case k == incident.NotReady:
		return []incident.Remedy{incident.RemedyCapture, incident.RemedyRestart}
	case k == incident.MemoryLeak:
		return []incident.Remedy{incident.RemedyCapture, incident.RemedyRestartWorkload}
	default:
		return nil
	}
}

// Allowed returns the remedies that a policy may choose for a kind, None first. What cannot mend the kind, or would destroy its
// evidence, is not among them: a crash loop is never restarted, because that resets the back-off and loses the log.
func Allowed(k incident.Kind) []incident.Remedy {
	more := func(r ...incident.Remedy) []incident.Remedy {
		return append([]incident.Remedy{incident.RemedyNone}, r...)
	}
	switch {
	case oneOf(k, incident.OOMKilled, incident.ProbableOOM):
		return more(incident.RemedyRestart, incident.RemedyQuarantine, incident.RemedyResizeMemory, incident.RemedyRestartWorkload,
			incident.RemedyScaleOut, incident.RemedyRollback, incident.RemedyAbortCanary)
	case k == incident.ChildOOM:
		return more(incident.RemedyCapture, incident.RemedyRestart, incident.RemedyQuarantine, incident.RemedyResizeMemory)
	case oneOf(k, incident.CrashLoop, incident.BadCommand, incident.StartupKill):
		return more(incident.RemedyQuarantine, incident.RemedyRollback, incident.RemedyAbortCanary)
	case oneOf(k, incident.ImagePull, incident.ConfigMissing, incident.RolloutStuck):
		return more(incident.RemedyRollback, incident.RemedyAbortCanary)
	case k == incident.NodeCrashLoop:
		return more(incident.RemedyRestart, incident.RemedyQuarantine)
	case k == incident.LivenessKill:
		return more(incident.RemedyRestart, incident.RemedyQuarantine, incident.RemedyScaleOut, incident.RemedyRollback,
			incident.RemedyAbortCanary)
	case k == incident.NotReady:
		return more(incident.RemedyCapture, incident.RemedyRestart, incident.RemedyQuarantine, incident.RemedyRollback,
			incident.RemedyAbortCanary)
	case k == incident.MemoryLeak:
		return more(incident.RemedyCapture, incident.RemedyRestart, incident.RemedyResizeMemory, incident.RemedyRestartWorkload)
	case k == incident.CPUThrottled:
		return more(incident.RemedyScaleOut)
	case oneOf(k, incident.VolumeStuck, incident.ResizeStuck):
		return more(incident.RemedyRestart)
	default:
		return []incident.Remedy{incident.RemedyNone}
	}
}

// Allows reports whether the remedy may be chosen for that kind at all.
func Allows(k incident.Kind, r incident.Remedy) bool { return slices.Contains(Allowed(k), r) }

// LadderFor returns the rungs for a kind, without None, and whether the policy itself names them. A remedy that may not be chosen
// for the kind is left out, whatever the policy says: Validate refuses it, and a policy that was not validated does no harm.
func (p *Policy) LadderFor(k incident.Kind) (rungs []incident.Remedy, named bool) {
	rungs, named = p.Remedies[k]
	if !named {
		rungs = DefaultLadder(k)
	}
	return slices.DeleteFunc(slices.Clone(rungs), func(r incident.Remedy) bool {
		return r == incident.RemedyNone || !Allows(k, r)
	}), named
}

// oneOf reports whether v is one of those.
func oneOf[T comparable](v T, of ...T) bool { return slices.Contains(of, v) }
