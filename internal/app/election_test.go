package app

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/telemetry"
)

func newTelemetry(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	return telemetry.New(prometheus.NewRegistry(), nil, 1, "v1")
}

// candidate campaigns for a Lease of the given clients; began and ended deliver at the edges of its acting.
type candidate struct {
	app          *App
	lock         resourcelock.Interface
	began, ended chan time.Time
	// lingers is how long acting takes to end.
	lingers time.Duration
}

func newCandidate(clients *fake.Clientset, id string) *candidate {
	return &candidate{
		app: &App{opts: Options{Config: config.Default()}, log: slog.New(slog.DiscardHandler), identity: id, leading: &lease{}},
		lock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "ns", Name: "homeostat"}, Client: clients.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: id},
		},
		began: make(chan time.Time, 10), ended: make(chan time.Time, 10),
	}
}

func (c *candidate) run(ctx context.Context, t *testing.T) {
	t.Helper()
	for ctx.Err() == nil {
		if err := c.app.campaign(ctx, c.lock, func(ctx context.Context) {
			c.began <- time.Now()
			<-ctx.Done()
			time.Sleep(c.lingers)
			c.ended <- time.Now()
		}); err != nil {
			t.Error(err)
			return
		}
	}
}

func TestTheLeaseIsHandedOverOnlyWhenActingHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clients := fake.NewClientset()
		one, two := newCandidate(clients, "one"), newCandidate(clients, "two")
		one.lingers = 3 * time.Second
		ctxOne, endOne := context.WithCancel(t.Context())
		ctxTwo, endTwo := context.WithCancel(t.Context())
		go one.run(ctxOne, t)
		<-one.began
		go two.run(ctxTwo, t)
		time.Sleep(time.Minute)
		if len(two.began) != 0 {
			t.Fatal("two act at once")
		}
		asked := time.Now()
		endOne()
		began, ended := <-two.began, <-one.ended
		if began.Before(ended) {
			t.Errorf("the next leader began %s before the last one had ended", ended.Sub(began))
		}
		if took := began.Sub(asked); took >= 15*time.Second {
			t.Errorf("the handover took %s: the Lease was not given back", took)
		}
		endTwo()
		<-two.ended
		synctest.Wait()
	})
}

func TestAStandbyEndsWithoutHavingActed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clients := fake.NewClientset()
		one, two := newCandidate(clients, "one"), newCandidate(clients, "two")
		ctxOne, endOne := context.WithCancel(t.Context())
		go one.run(ctxOne, t)
		<-one.began
		ctxTwo, endTwo := context.WithTimeout(t.Context(), time.Minute)
		defer endTwo()
		two.run(ctxTwo, t)
		if len(two.began) != 0 {
			t.Error("the standby acted")
		}
		endOne()
		<-one.ended
		synctest.Wait()
	})
}
