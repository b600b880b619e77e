//go:build !linux

package cli

import (
	"context"
	"errors"
)

var errImpossible = errors.New("a lab is not possible here: it needs Linux.\n" +
	"Or use any other cluster, a kind one for instance: KUBECONFIG=... make demo")

// commands has `image`, which works everywhere, and the reason why the others do not.
func commands() map[string]command {
	all := map[string]command{"image": imageCommand()}
	for _, name := range []string{"up", "down", "status", "kubeconfig", "build", "load", "enter", "kubectl", "start", "stop", "restart"} {
		all[name] = command{
			summary: "(Linux only)",
			run:     func(context.Context, []string, Streams) error { return errImpossible },
		}
	}
	return all
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errImpossible):
		return exitImpossible
	}
	return exitFailed
}
