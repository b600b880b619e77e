//go:build linux

// Command pause is the first process of every pod in the lab: it holds the pod's
// namespaces open, reaps processes that lost their parent, and ends on SIGTERM or
// SIGINT. It is the lab's stand-in for registry.k8s.io/pause, which an offline
// machine cannot pull.
package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGCHLD)
	for s := range signals {
		if s != unix.SIGCHLD {
			return
		}
		reap()
	}
}

// reap collects every child that has ended: one SIGCHLD may stand for several.
func reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}
