// Command demoapp runs the demo workload, or sends load to one. Package command has its flags.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/homeostat/homeostat/demoapp/command"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal starts a drain; a second one finds the default again and ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(command.Main(ctx, command.Self(version)))
}
