package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/platform/kube/write"
)

func widget(name string) write.Target {
	return write.Target{APIVersion: "example.dev/v1", Ref: cluster.Ref{Kind: "Widget", Namespace: "shop", Name: name}}
}

// A pass asks for scales one after the other.
func TestAScaleThatHangsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		defer running.Wait()
		c := newScaleCache()
		hang := func(ctx context.Context) (scaled, error) { <-ctx.Done(); return scaled{}, ctx.Err() }
		now := time.Now()
		for i := range 100 {
			if _, err := c.get(t.Context(), widget(fmt.Sprint(i)), now, running.Go, hang); err == nil {
				t.Fatal("a scale that was never read is known")
			}
		}
		if took := time.Since(now); took > 2*time.Second {
			t.Errorf("100 scales that hang held a pass up for %s", took)
		}
	})
}

func TestAScaleIsReadInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		defer running.Wait()
		c := newScaleCache()
		var reads atomic.Int32
		fail := atomic.Bool{}
		read := func(ctx context.Context) (scaled, error) {
			if fail.Load() {
				<-ctx.Done()
				return scaled{}, errors.New("no answer")
			}
			time.Sleep(100 * time.Millisecond)
			return scaled{replicas: reads.Add(1)}, nil
		}
		get := func() (int32, error) {
			got, err := c.get(t.Context(), widget("web"), time.Now(), running.Go, read)
			return got.replicas, err
		}
		check := func(what string, want int32) {
			t.Helper()
			if got, err := get(); got != want || err != nil {
				t.Errorf("%s: %d, %v; want %d", what, got, err, want)
			}
		}
		check("the first time it is waited for", 1)
		time.Sleep(6 * time.Second)
		check("while it is read again the last one is used", 1)
		time.Sleep(time.Second)
		check("then the new one", 2)
		c.forget(widget("web"))
		check("after a write it is waited for", 3)

		fail.Store(true)
		time.Sleep(6 * time.Second)
		check("while the API server hangs the last one is used", 3)
		time.Sleep(11 * time.Second)
		if _, err := get(); err == nil || err.Error() != "no answer" {
			t.Errorf("after it has failed: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := get(); err == nil {
			t.Error("a scale of two minutes ago is used")
		}
	})
}

// Autoscalers with a timing.syncPeriod of minutes ask that seldom, and each time for what is so then.
func TestAScaleThatIsSeldomAskedForIsReadEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		defer running.Wait()
		c := newScaleCache()
		var reads atomic.Int32
		read := func(context.Context) (scaled, error) {
			time.Sleep(100 * time.Millisecond)
			return scaled{replicas: reads.Add(1)}, nil
		}
		for want := int32(1); want < 5; want++ {
			if got, err := c.get(t.Context(), widget("web"), time.Now(), running.Go, read); got.replicas != want || err != nil {
				t.Errorf("after %d minutes: %d, %v; want %d", 2*(want-1), got.replicas, err, want)
			}
			time.Sleep(2 * time.Minute)
		}
	})
}
