package detect

import "github.com/homeostat/homeostat/internal/incident"

// deathCheck explains a death, or returns false.
type deathCheck struct {
	kind  incident.Kind
	check func(s *subject, d *death) (explanation, bool)
}

// stateCheck finds a state that lasts in a container or a whole replica, or returns false.
type stateCheck struct {
	kind  incident.Kind
	check func(s *subject) (incident.Finding, bool)
}

// workloadCheck finds a state that lasts in the workload itself, or returns false. It is given what was found before it, and
// sets Fingerprint, and no replica.
type workloadCheck struct {
	kind  incident.Kind
	check func(l *Look, found []incident.Finding) (incident.Finding, bool)
}

// The chain, in the order in which it runs. A replica on a node that is not ready gives that finding only, so its check
// is in no list; neither are those of a crash loop, which want to know what the checks of deaths have explained.

// deathChecks are asked about each death of a container, until one knows it.
func deathChecks() [8]deathCheck {
	return [8]deathCheck{
		{incident.OOMKilled, oomKilled},
		{incident.NodeOOM, nodeOOM},
		{incident.ProbableOOM, probableOOM},
		{incident.StatusUnknown, statusUnknown},
		{incident.LivenessKill, livenessKill},
		{incident.StartupKill, startupKill},
		{incident.BadCommand, badCommand},
		{incident.CleanExit, cleanExit},
	}
}

// toolChecks are asked about the death of an ephemeral container, until one knows it.
func toolChecks() [5]deathCheck {
	return [5]deathCheck{
		{incident.OOMKilled, oomKilled},
		{incident.NodeOOM, nodeOOM},
		{incident.ProbableOOM, probableOOM},
		{incident.BadCommand, toolCommand},
		{incident.JobFailed, toolFailed},
	}
}

// containerChecks are asked about each container of a replica that has not ended and is not being deleted.
func containerChecks() [4]stateCheck {
	return [4]stateCheck{
		{incident.ChildOOM, childOOM},
		{incident.BadCommand, cannotRun},
		{incident.ImagePull, imagePull},
		{incident.ConfigMissing, configMissing},
	}
}

// forecastChecks are asked about each container of such a replica in which no other check has found what lasts.
func forecastChecks() [3]stateCheck {
	return [3]stateCheck{
		{incident.MemoryLeak, memoryLeak},
		{incident.CPUThrottled, cpuThrottled},
		{incident.RestartRate, restartRate},
	}
}

// endedChecks are asked about every replica, also one that has ended or is being deleted.
func endedChecks() [3]stateCheck {
	return [3]stateCheck{
		{incident.Evicted, evicted},
		{incident.Disrupted, disrupted},
		{incident.StuckTerminating, stuckTerminating},
	}
}

// replicaChecks are asked about each replica that is not being deleted.
func replicaChecks() [6]stateCheck {
	return [6]stateCheck{
		{incident.VolumeStuck, volumeStuck},
		{incident.SandboxFailed, sandboxFailed},
		{incident.Unschedulable, unschedulable},
		{incident.ReadinessGate, readinessGate},
		{incident.NotReady, notReady},
		{incident.ResizeStuck, resizeStuck},
	}
}

// workloadChecks are asked once, about the workload.
func workloadChecks() [4]workloadCheck {
	return [4]workloadCheck{
		{incident.RolloutStuck, rolloutStuck},
		{incident.CreateRefused, createRefused},
		{incident.JobFailed, jobFailed},
		{incident.AutoscalerBlind, autoscalerBlind},
	}
}
