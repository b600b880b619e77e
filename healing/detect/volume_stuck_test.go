package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// creating is a replica that the node accepted an age ago and that has no container yet.
func creating(age time.Duration) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, c *cluster.Container) {
		waiting("ContainerCreating", "")(r, c)
		r.Phase, r.CreatedAt, r.StartedAt, r.ReadySince = cluster.PhasePending, ago(age), ago(age), ago(age)
	}
}

const (
	inUse   = `Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) db-0`
	held    = `Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can't be attached to another`
	summed  = `Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition`
	badDisk = `MountVolume.MountDevice failed for volume "pvc-1" : mount failed: exit status 32, wrong fs type, bad option, bad superblock on /dev/sdb`
)

func TestVolumeStuck(t *testing.T) {
	minute := creating(time.Minute)
	at := func(reason, message string, age time.Duration) func(*cluster.Replica, *cluster.Container) {
		return event(reason, message, ago(age))
	}
	stuck := []string{"VolumeStuck active"}
	check(t, []row{
		{
			name: "attached elsewhere", replica: pod(minute, at("FailedAttachVolume", held, time.Minute)), want: stuck,
			says: []string{"volume pvc-1: it is attached to another node", "ReadWriteOnce"}, confidence: 90,
		},
		{
			name: "the kubelet's sum says less", replica: pod(minute, at("FailedMount", summed, time.Second), at("FailedAttachVolume", held, time.Minute)),
			want: stuck, says: []string{"attached to another node"},
		},
		{name: "only the kubelet's sum", replica: pod(minute, at("FailedMount", summed, time.Second)), want: stuck, says: []string{"volume data: the storage does not answer"}},
		{
			name: "a file system, and the condition", confidence: 95, want: stuck, says: []string{"volume pvc-1: its file system cannot be mounted"},
			replica: pod(minute, at("FailedMount", badDisk, time.Second), holds(conditionSandbox, "False", "", "", time.Minute)),
		},
		{name: "a block volume", replica: pod(minute, at("FailedMapVolume", `MapVolume.SetUp failed for volume "pvc-1" : timed out`, time.Second)), want: stuck},
		{name: "no volume is named", replica: pod(minute, at("FailedMount", "something else", time.Second)), want: stuck, says: []string{"a volume: something else"}, confidence: 80},
		{
			name:    "after its node came back",
			replica: pod(holds(conditionSandbox, "False", "", "", time.Minute), terminated(dead(255, "Unknown")), at("FailedMount", badDisk, time.Second)),
			want:    stuck,
		},
		{
			name: "an init container waits", want: stuck,
			replica: pod(minute, kind(cluster.ContainerInit), func(_ *cluster.Replica, c *cluster.Container) { c.WaitingReason = "PodInitializing" }, at("FailedMount", badDisk, time.Second)),
		},
		{
			name: "a Secret is missing", want: []string{"ConfigMissing active"},
			replica: pod(minute, at("FailedMount", summed, time.Second), at("FailedMount", `MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found`, 2*time.Second)),
		},
		{name: "not for long", replica: pod(creating(20*time.Second), at("FailedAttachVolume", held, time.Second))},
		{name: "no event", replica: pod(minute)},
		{name: "it has a sandbox, so its volumes are mounted", replica: pod(minute, at("FailedMount", badDisk, time.Second), holds(conditionSandbox, "True", "", "", time.Second))},
		{name: "it was attached since", replica: pod(minute, at("FailedAttachVolume", held, 50*time.Second), at("SuccessfulAttachVolume", `AttachVolume.Attach succeeded for volume "pvc-1"`, time.Second))},
		{
			name: "another volume was attached since", want: stuck,
			replica: pod(minute, at("FailedAttachVolume", held, 50*time.Second), at("SuccessfulAttachVolume", `AttachVolume.Attach succeeded for volume "pvc-2"`, time.Second)),
		},
		{name: "its image is being pulled", replica: pod(minute, at("FailedMount", badDisk, 50*time.Second), at("Pulling", "", time.Second))},
		{name: "an init container runs", replica: pod(minute, at("FailedMount", badDisk, time.Second), func(_ *cluster.Replica, c *cluster.Container) { c.State = cluster.StateRunning })},
		{name: "an init container is done", replica: pod(minute, at("FailedMount", badDisk, time.Second), ended(cluster.PhasePending))},
		{name: "before the sandbox was lost", replica: pod(holds(conditionSandbox, "False", "", "", time.Minute), creating(time.Hour), at("FailedMount", badDisk, 50*time.Minute))},
		{name: "it has no node", replica: pod(minute, at("FailedMount", badDisk, time.Second), func(r *cluster.Replica, _ *cluster.Container) { r.Node = "" })},
		{name: "it runs", replica: pod(at("FailedMount", badDisk, time.Second))},
	})
}

// TestVolumeStuckElsewhere verifies that the message names the node of the sibling that has the volume.
func TestVolumeStuckElsewhere(t *testing.T) {
	checkWorkload(t, []workloadRow{{
		name: "db-0 on n2",
		workload: owner(ofKind(cluster.KindStatefulSet), withReplicas(
			pod(named("db-0", "n2")), pod(named("db-1", "n1"), creating(time.Minute), event("FailedAttachVolume", inUse, ago(time.Minute))))),
		want: []string{"VolumeStuck db-1 active"}, says: []string{"used by db-0 on node n2"},
	}})
}

func TestVolumeError(t *testing.T) {
	for _, tt := range []struct{ message, volume, says string }{
		{held, "pvc-1", "attached to another node"},
		{`AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = FailedPrecondition desc = volume vol-1 is already attached to node "n2"`, "pvc-1", "attached to node n2"},
		{`MountVolume.MountDevice failed for volume "pvc-1" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name ebs.csi.aws.com not found in the list of registered CSI drivers`, "pvc-1", "CSI driver does not run"},
		{`MountVolume.SetUp failed for volume "host" : hostPath type check failed: /data is not a directory`, "host", "path on the node"},
		{`MountVolume.SetUp failed for volume "nfs" : mount failed: exit status 32: mount.nfs: access denied by server while mounting 10.0.0.1:/x`, "nfs", "refuses access"},
		{`MountVolume.SetUp failed for volume "nfs" : rpc error: code = DeadlineExceeded desc = context deadline exceeded`, "nfs", "does not answer in time"},
		{`AttachVolume.Attach failed for volume "pvc-1" : volume not found`, "pvc-1", "does not exist: volume not found"},
		{`MountVolume.SetUp failed for volume "x" : exit status 1`, "x", "exit status 1"},
		{"", "", "does not say why"},
	} {
		volume, why := VolumeError(tt.message)
		if volume != tt.volume || !strings.Contains(why, tt.says) {
			t.Errorf("%q: volume %q, %q", tt.message, volume, why)
		}
	}
}
