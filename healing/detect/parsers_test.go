package detect

import "testing"

// FuzzPlatformMessages verifies that the readers of messages about volumes, sandboxes, evictions, scheduling and refused
// creations survive any of them, stay short, and always have something to say.
func FuzzPlatformMessages(f *testing.F) {
	for _, seed := range []string{
		held, inUse, summed, badDisk, noNetwork, lowMemory, overQuota, "failed quota: ", `admission webhook "`, `failed calling webhook "a": x: y: z`,
		"unmounted volumes=[", `for volume "`, "already attached to node ", "The node was low on resource: ", "The node had condition: [", "Insufficient ",
		"0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "İ exceeded quota: x, requested: a", "already used by pod(s) ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		volume, why := VolumeError(message)
		refusal, _ := Refusal(message)
		for name, text := range map[string]string{"volume error": why, "sandbox error": SandboxError(message), "refusal": refusal} {
			if text == "" || len(text) > 700 {
				t.Errorf("%s of %d bytes", name, len(text))
			}
		}
		for name, text := range map[string]string{
			"volume": volume, "volume users": volumeUsers(message), "eviction": EvictionCause(message), "binding": Binding(message),
		} {
			if len(text) > 500 {
				t.Errorf("%s of %d bytes", name, len(text))
			}
		}
		for _, c := range Constraints(message) {
			if len(c) > 200 {
				t.Errorf("constraint of %d bytes", len(c))
			}
		}
	})
}
