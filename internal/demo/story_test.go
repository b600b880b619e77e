package demo

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/transcript"
)

// odd is a rate whose requests never fall on the time of a look, so that the counts are always the same.
const odd = 7.31

func script() Script {
	s := LocalScript()
	s.Rate, s.LoadRate, s.Patience = odd, odd, 40*time.Second
	return s
}

func TestTheStoryIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		err := Run(t.Context(), Options{
			Stage: newTheatre(""), Script: script(), Out: &out,
			Intro: []string{"An introduction."}, Look: []string{"homeostat incidents --state DIR"},
		})
		if err != nil {
			t.Errorf("the story failed: %v", err)
		}
		transcript.Compare(t, "testdata/story.txt", out.String())
	})
}

// Whatever does not happen is named, with what was seen last, and the table is printed all the same.
func TestWhatDoesNotHappenIsNamed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		missing string
		want    []string
	}{
		{noReady, []string{"chapter 1", "two replicas that are ready", "0 of 2 replicas ready", "readiness probe has not passed"}},
		{noRestart, []string{"chapter 2", "web-1 to be started again", "1 of 2 replicas ready", "web-1 terminated, not ready"}},
		{noOOM, []string{"chapter 3", "web-2 to be killed at its memory limit", "2 of 2 replicas ready"}},
		{noIncident, []string{"chapter 3", "an incident of kind OOMKilled"}},
		{noLeftAlone, []string{"chapter 3", "that the policy leaves alone"}},
		{noResolution, []string{"chapter 3", "the incident to be resolved", "incident web-oomkilled-1a2b Open"}},
		{noAction, []string{"chapter 4", "Homeostat to restart web-1", "incident web-notready-3c4d Open", "readiness probe failed"}},
		{noScaleUp, []string{"chapter 5", "the Autoscaler to ask for 4 replicas"}},
		{noScaleDown, []string{"chapter 6", "2 replicas again", "autoscaler: cpu is at 84 %"}},
	}
	for _, tt := range tests {
		t.Run(tt.missing, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				err := Run(t.Context(), Options{Stage: newTheatre(tt.missing), Script: script(), Out: &out})
				if err == nil {
					t.Fatal("the story says that all of it happened")
				}
				for _, w := range append(tt.want, "did not happen within 40s") {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("error %q does not say %q", err, w)
					}
				}
				for _, w := range []string{"✗", "requests failed", "did not happen", "in all"} {
					if !strings.Contains(out.String(), w) {
						t.Errorf("the output has no %q:\n%s", w, out.String())
					}
				}
			})
		})
	}
}

func TestAnActionAgainstThePolicyFailsTheStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stage := newTheatre("")
		stage.acts = true
		err := Run(t.Context(), Options{Stage: stage, Script: script(), Out: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), "web-oomkilled-1a2b was acted on") {
			t.Errorf("error %v", err)
		}
	})
}

func TestAStageThatCannotBeSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stage := newTheatre("")
		stage.lookErr = errors.New("the API server is away")
		err := Run(t.Context(), Options{Stage: stage, Script: script(), Out: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), "the last look failed: the API server is away") {
			t.Errorf("error %v", err)
		}
	})
}

func TestAnInterruptEndsTheStoryWhereItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var out bytes.Buffer
		err := Run(ctx, Options{Stage: newTheatre(""), Script: script(), Out: &out, Keep: true, Look: []string{"more"}})
		if err == nil || !strings.Contains(err.Error(), "interrupted in chapter 3 (A replica leaks memory)") {
			t.Errorf("error %v", err)
		}
		if strings.Contains(out.String(), "more") || strings.Contains(out.String(), "Left running") || !strings.Contains(out.String(), "interrupted") {
			t.Errorf("output:\n%s", out.String())
		}
	})
}

func TestKeepGoesOnUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		var out bytes.Buffer
		if err := Run(ctx, Options{Stage: newTheatre(""), Script: script(), Out: &out, Keep: true}); err != nil {
			t.Errorf("error %v", err)
		}
		if time.Since(begun) < time.Hour || !strings.Contains(out.String(), "Left running at http://web; Ctrl-C ends it.") {
			t.Errorf("it ended after %s:\n%s", time.Since(begun), out.String())
		}
	})
}
