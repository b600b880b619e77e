//go:build !linux

package process

import "syscall"

func newReader() reader { return portable{} }

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit reports that it did not wait: only Linux can wait for the end of a process without reaping it through the
// libraries at hand.
func awaitExit(int) bool { return false }
