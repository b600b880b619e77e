// Command report replays the recorded failures of the corpus through the healing engine and prints how well they are told.
//
// It is what `make healing-report` runs; with -write it writes docs/healing-report.md instead of printing. It exits with 1 where
// an action would have done harm or a control opened an incident, so that it can stand in a build.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/internal/corpus/score"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // this is a command
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "report: %v\n", err)
		stop()
		os.Exit(1) //nolint:forbidigo // this is a command
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	folder := flags.String("recordings", "internal/corpus/testdata/recordings", "folder of the recordings")
	file := flags.String("write", "", "write the report to this file instead of printing it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	recordings, err := corpus.ReadAll(*folder)
	if err != nil {
		return err
	}
	if len(recordings) == 0 {
		return fmt.Errorf("-recordings: %q holds no recording", *folder)
	}
	results := make([]*score.Result, len(recordings))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, rec := range recordings {
		group.Go(func() error {
			outcome, err := score.Replay(ctx, rec, score.Policy())
			if err != nil {
				return err
			}
			results[i] = score.Judge(outcome)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	table := score.NewTable(results)
	var text bytes.Buffer
	if err := table.Write(&text); err != nil {
		return err
	}
	if *file == "" {
		_, err = out.Write(text.Bytes())
	} else {
		err = os.WriteFile(*file, text.Bytes(), 0o644) //nolint:gosec // documentation is for everybody
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return verdict(table)
}

// verdict is an error where something is not allowed whatever the scores are.
func verdict(t *score.Table) error {
	var errs []error
	for _, r := range t.Results {
		for _, a := range r.Harms() {
			errs = append(errs, fmt.Errorf("%s: harm: %s", r.Name(), a.Harm))
		}
		if r.Row() == score.None && len(r.Final) > 0 {
			errs = append(errs, fmt.Errorf("%s: a control opened %v", r.Name(), r.Kinds()))
		}
	}
	return errors.Join(errs...)
}
