// Package cli is the command line of the lab: it reads flags and the environment
// and calls the packages that do the work. It is the only one that knows exit
// codes.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"github.com/homeostat/homeostat/lab/internal/image"
)

// Exit codes.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitImpossible = 3 // a lab cannot run on this machine
)

// errUsage marks errors in how the command was called.
var errUsage = errors.New("see `lab help`")

// Streams are the standard streams of the process.
type Streams struct {
	In       *os.File
	Out, Err io.Writer
}

// command is one word after `lab`.
type command struct {
	summary string // one line for help; empty: not for users
	usage   string // arguments
	run     func(ctx context.Context, args []string, streams Streams) error
}

// endedError is the exit code of a program that the command ran in its place and
// that has said itself what went wrong.
type endedError int

func (e endedError) Error() string { return fmt.Sprintf("program ended with exit code %d", int(e)) }

// Run runs `lab ARGS...` and returns the exit code: 0, 1 for a failure, 2 for a
// wrong call, 3 if a lab is not possible on this machine, or the exit code of the
// program that was run.
func Run(ctx context.Context, args []string, streams Streams) int {
	all := commands()
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		help(streams.Out, all)
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	chosen, ok := all[args[0]]
	if !ok {
		_, _ = fmt.Fprintf(streams.Err, "lab: %q is no command\n", args[0])
		help(streams.Err, all)
		return exitUsage
	}
	err := chosen.run(ctx, args[1:], streams)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if ended, ok := errors.AsType[endedError](err); ok {
		return int(ended)
	}
	_, _ = fmt.Fprintf(streams.Err, "lab %s: %v\n", args[0], err)
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(streams.Err, "interrupted; `lab up` goes on from here, `lab down` cleans up")
	}
	return exitCode(err)
}

func help(out io.Writer, all map[string]command) {
	_, _ = fmt.Fprintln(out, "usage: lab COMMAND [FLAG...] [ARGUMENT...]; `lab COMMAND -h` shows its flags")
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if c := all[name]; c.summary != "" {
			_, _ = fmt.Fprintf(out, "  %-34s %s\n", strings.TrimSpace(name+" "+c.usage), c.summary)
		}
	}
}

// newFlags returns a flag set that reports to err and leaves ending to Run.
func newFlags(name, usage string, err io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("lab "+name, flag.ContinueOnError)
	flags.SetOutput(err)
	flags.Usage = func() {
		_, _ = fmt.Fprintf(err, "usage: lab %s [FLAG...] %s\n", name, usage)
		flags.PrintDefaults()
	}
	return flags
}

// parse parses flags; an error is about usage and was already shown.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

func imageCommand() command {
	const usage = "--name NAME:TAG --out FILE BINARY..."
	run := func(_ context.Context, args []string, streams Streams) error {
		flags := newFlags("image", usage, streams.Err)
		name := flags.String("name", "", "name and tag of the image, such as localhost/homeostat:dev")
		out := flags.String("out", "", "archive to write, such as homeostat.tar")
		entrypoint := flags.String("entrypoint", "", "program inside to run, such as /homeostat (default: the first binary)")
		certificates := flags.String("certificates", "", "PEM file of CA certificates to put inside (default: this machine's)")
		if err := parse(flags, args); err != nil {
			return err
		}
		if *name == "" || *out == "" || flags.NArg() == 0 {
			flags.Usage()
			return fmt.Errorf("%w: --name, --out and at least one binary are needed", errUsage)
		}
		if *certificates == "" {
			*certificates = hostCertificates()
		}
		if *certificates == "" {
			_, _ = fmt.Fprintln(streams.Err, "lab image: this machine has no CA certificates where they are usually found; the image has none either")
		}
		spec := image.Spec{Name: *name, Binaries: flags.Args(), Entrypoint: *entrypoint, Certificates: *certificates}
		if err := image.Write(spec, *out); err != nil {
			return err
		}
		size := int64(0)
		if status, err := os.Stat(*out); err == nil {
			size = status.Size()
		}
		_, err := fmt.Fprintf(streams.Out, "%s: image %s, %.1f MB\n", *out, *name, float64(size)/1e6)
		return err
	}
	return command{summary: "build a container image from static binaries", usage: usage, run: run}
}

// hostCertificates returns the first of the usual places that has CA certificates.
func hostCertificates() string {
	for _, path := range []string{image.CertificatesInside, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
