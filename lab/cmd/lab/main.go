// Command lab runs a real Kubernetes on one Linux machine: see `lab help` and the
// README beside this module. It also builds container images, which works on any
// system.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/homeostat/homeostat/lab/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
