// Command record makes the failures of the corpus on a lab cluster and records what a watcher of its API server sees.
//
// It works on a lab of its own only: it stops kubelets, cuts nodes off and kills containers by force. hack/corpus.sh brings
// that lab up, runs it and takes the lab down. It needs the lab's tool and kubectl; a variant's steps are shell scripts that
// use both. It deletes every namespace that it made, and nothing else.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/homeostat/homeostat/internal/corpus"
)

// options are the command's flags.
type options struct {
	kubeconfig, lab, kubectl, folder, only string
	parallel                               int
	relabel                                bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // this is a command
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "record: %v\n", err)
		stop()
		os.Exit(1) //nolint:forbidigo // this is a command
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("record", flag.ContinueOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "of the lab's cluster")
	flags.StringVar(&o.lab, "lab", "bin/lab", "the lab's tool; LAB_NAME names the lab")
	flags.StringVar(&o.kubectl, "kubectl", "kubectl", "path of kubectl")
	flags.StringVar(&o.folder, "folder", "internal/corpus/testdata", "folder with variants/, gets recordings/")
	flags.StringVar(&o.only, "only", "", "regular expression: only the variants KIND/NAME that match")
	flags.IntVar(&o.parallel, "parallel", 14, "how many variants are recorded at a time, 1 to 40")
	flags.BoolVar(&o.relabel, "relabel", false, "record nothing: give the recordings the labels that their variants have now")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.parallel < 1 || o.parallel > 40 {
		return fmt.Errorf("--parallel: %d is not allowed: must be from 1 to 40", o.parallel)
	}
	variants, err := o.variants()
	if err != nil {
		return err
	}
	if o.relabel {
		return o.label(variants)
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("read --kubeconfig: %w", err)
	}
	config.QPS = -1
	return record(ctx, config, o, variants, slog.New(slog.NewTextHandler(out, nil)))
}

func (o *options) variants() ([]*corpus.Variant, error) {
	pattern, err := regexp.Compile(o.only)
	if err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	all, err := corpus.ReadVariants(filepath.Join(o.folder, "variants"))
	if err != nil {
		return nil, err
	}
	var out []*corpus.Variant
	for _, v := range all {
		if pattern.MatchString(v.Kind + "/" + v.Name) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--only: %q matches none of the %d variants", o.only, len(all))
	}
	return out, nil
}

// label gives recordings the labels of their variants; the time when the failure was set off stays.
func (o *options) label(variants []*corpus.Variant) error {
	for _, v := range variants {
		path := filepath.Join(o.folder, "recordings", v.Kind, v.Name+".jsonl.gz")
		rec, err := corpus.Read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		label := v.Label(time.Time{})
		label.Began = rec.Label.Began
		rec.Lines[len(rec.Lines)-1].Label = &label
		if err := save(path, withoutStrays(rec.Lines)); err != nil {
			return err
		}
	}
	return nil
}

// save writes the lines of a recording to a file.
func save(path string, lines []corpus.Line) error {
	var out bytes.Buffer
	if err := corpus.Write(&out, lines); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make folder of recording: %w", err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil { //nolint:gosec // testdata is for everybody
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

// record runs all variants: those that do nothing to a node side by side, beside them the groups one after the other.
func record(ctx context.Context, config *rest.Config, o options, variants []*corpus.Variant, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := newWatcher(ctx, config)
	if err != nil {
		return err
	}
	s := &stage{options: o, watcher: w, log: log}
	plain, groups := grouped(variants)
	var wait sync.WaitGroup
	slots := make(chan struct{}, o.parallel)
	for _, v := range plain {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s.record(ctx, v)
		})
	}
	wait.Go(func() {
		for _, g := range groups {
			var together sync.WaitGroup
			for _, v := range g {
				together.Go(func() { s.record(ctx, v) })
			}
			together.Wait()
		}
	})
	wait.Wait()
	return errors.Join(append(s.failed, ctx.Err())...)
}

// grouped returns the variants without a group, and the groups in the order of their first variants.
func grouped(variants []*corpus.Variant) (plain []*corpus.Variant, groups [][]*corpus.Variant) {
	at := map[string]int{}
	for _, v := range variants {
		if v.Group == "" {
			plain = append(plain, v)
			continue
		}
		i, known := at[v.Group]
		if !known {
			i = len(groups)
			at[v.Group] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], v)
	}
	return plain, groups
}
