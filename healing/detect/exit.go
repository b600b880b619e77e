package detect

import (
	"fmt"
	"strconv"

	"github.com/homeostat/homeostat/internal/cluster"
)

func exitPhrase(t *cluster.Termination) string {
	return fmt.Sprintf("exit code %d (%s)", t.ExitCode, ExitMeaning(t.ExitCode, t.Signal))
}

// ExitMeaning says in a few words what an exit code (or a signal, 0 for none) usually means.
func ExitMeaning(code, signal int32) string {
	if signal == 0 && code > 128 && code < 128+65 {
		signal = code - 128
	}
	switch signal {
	case 0:
	case 4:
		return "SIGILL, an instruction that this CPU does not have"
	case 6:
		return "SIGABRT, it aborted itself"
	case 7:
		return "SIGBUS, bad memory access"
	case 8:
		return "SIGFPE, arithmetic error"
	case 9:
		return "SIGKILL"
	case 11:
		return "SIGSEGV, bad memory access"
	case 13:
		return "SIGPIPE, it wrote to a closed pipe"
	case 15:
		return "SIGTERM, it was asked to stop"
	default:
		return "signal " + strconv.Itoa(int(signal))
	}
	switch code {
	case 0:
		return "it finished without an error, so it may be a job and no service"
	case 1:
		return "the application's general error"
	case 2:
		return "a Go panic, or wrong arguments"
	case 125:
		return "the container could not be run"
	case 126:
		return "its command cannot be executed"
	case 127:
		return "its command was not found"
	case 128:
		return "the container could not be started"
	case 255:
		return "the application's error, out of range"
	default:
		return "the application's own code"
	}
}
