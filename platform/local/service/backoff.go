package service

import (
	"time"

	"github.com/homeostat/homeostat/platform/local/spec"
)

// backoff is the restart delay of one replica.
type backoff struct {
	rules spec.Restart
	next  time.Duration // 0: at once
}

// delay returns how long to wait after a life of that length, and goes one step on. As with the kubelet the first restart
// comes at once, and a life that was long enough clears what was before.
func (b *backoff) delay(lived time.Duration) time.Duration {
	if lived >= b.rules.ResetAfter {
		b.next = 0
	}
	d := b.next
	b.next = min(max(2*d, b.rules.InitialBackoff), b.rules.MaxBackoff)
	return d
}
