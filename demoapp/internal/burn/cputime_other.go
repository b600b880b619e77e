//go:build !linux

package burn

import "time"

// threadTime stands in with the time of day where the CPU time of a thread cannot be read. Only
// differences of it are used.
func threadTime() time.Duration {
	return time.Duration(time.Now().UnixNano())
}
