package score

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Outcome is what the engine made of a recording.
type Outcome struct {
	Recording *corpus.Recording
	// Incidents that were opened, as they were then, in that order; Final are all of them at the end of the recording.
	Incidents []incident.Incident
	Final     []incident.Incident
	Acts      []Act
	// SignAt is when something of the failure first showed in an object or an event; zero where nothing ever did.
	SignAt time.Time
	// Warnings counts the events of type Warning that the failure made, each with its repetitions: what somebody gets who alerts
	// on events.
	Warnings int
}

// Policy returns the policy of the replays: the default, acting, with forecasts that fit into recordings of minutes.
func Policy() healing.Policy {
	p := healing.DefaultPolicy()
	p.Mode = healing.Act
	p.Forecast.WarmUp, p.Forecast.MinSpan = 30*time.Second, 3*time.Minute
	return p
}

// trendStep of the replays' store: in a recording of minutes, with a sample each 5 to 10 s, a trend has about as many points as in
// an installation in half an hour.
const trendStep = 10 * time.Second

// Replay feeds the recording to the healing loop: in every recorded second the objects are brought up to date, and one pass
// is made and carried out.
func Replay(ctx context.Context, rec *corpus.Recording, policy healing.Policy) (*Outcome, error) {
	config := metrics.DefaultConfig()
	config.TrendStep = trendStep
	store, err := metrics.NewStore(config)
	if err != nil {
		return nil, fmt.Errorf("replay %s/%s: %w", rec.Kind, rec.Name, err)
	}
	w := &world{
		objects: newObjects(store), policy: policy, judge: judgeBy(&rec.Label),
		incidents: map[string]incident.Incident{}, spent: map[string][]time.Time{}, charged: map[string]bool{},
	}
	for i := range rec.Lines {
		if rec.Lines[i].Log != nil {
			w.logs = append(w.logs, &rec.Lines[i])
		}
	}
	loop := control.NewHealing(w, w, w, silent{}, control.DefaultLimits(), "corpus", slog.New(slog.DiscardHandler))
	out := &Outcome{Recording: rec}
	at, end := 0, rec.Lines[len(rec.Lines)-1].At
	for now := rec.Lines[0].At.Truncate(time.Second).Add(time.Second); !now.After(end); now = now.Add(time.Second) {
		for ; at < len(rec.Lines) && !rec.Lines[at].At.After(now); at++ {
			line := &rec.Lines[at]
			if err := w.objects.take(line); err != nil {
				return nil, fmt.Errorf("replay %s/%s: line %d: %w", rec.Kind, rec.Name, at+1, err)
			}
			out.note(line)
		}
		w.now, w.view = now, w.objects.snapshot(now)
		loop.Pass(ctx, now)
		loop.Wait()
	}
	out.Incidents, out.Acts = w.opened, w.acts
	out.Final = w.stored(func(*incident.Incident) bool { return true })
	return out, nil
}

// silent is a recorder that keeps nothing.
type silent struct{}

var _ control.Recorder = silent{}

// Decided implements control.Recorder.
func (silent) Decided(control.Autoscaler, hpa.Observation, hpa.History, hpa.Recommendation, error) {}

// Incident implements control.Recorder.
func (silent) Incident(incident.Incident) {}

// Acted implements control.Recorder.
func (silent) Acted(healing.Action, healing.Result, time.Time) {}

// Healed implements control.Recorder.
func (silent) Healed(control.HealingView) {}

// Turned implements control.Recorder.
func (silent) Turned(string, time.Duration, error) {}
