package app

import (
	"fmt"

	"github.com/homeostat/homeostat/internal/annotate"
	"github.com/homeostat/homeostat/internal/control"
)

// useAnnotations makes what writes annotations into Grafana where grafana.url says which.
func (a *App) useAnnotations() error {
	c := a.opts.Config.Grafana
	if c.URL == "" {
		return nil
	}
	annotations, err := annotate.New(annotate.Options{URL: c.URL, TokenFile: c.TokenFile, Tags: c.Tags, Log: a.log})
	if err != nil {
		return fmt.Errorf("configure grafana: %w", err)
	}
	a.telemetry.Queue("annotations", func() float64 { return float64(annotations.Length()) }, func() float64 { return float64(annotations.Dropped()) })
	a.annotations = annotations
	return nil
}

// annotated returns a Recorder that also annotates what is recorded.
func (a *App) annotated(r control.Recorder) control.Recorder {
	if a.annotations == nil {
		return r
	}
	return control.Tee(r, a.annotations)
}
