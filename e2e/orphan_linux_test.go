//go:build e2e

package e2e

import "syscall"

// endsWithUs makes a child process end when the tests do, however they end.
func endsWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
