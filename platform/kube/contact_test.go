package kube

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

func TestStaleIsTheWorstOfAnswersAndWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContact(time.Now())
		check := func(what string, want time.Duration) {
			t.Helper()
			synctest.Wait()
			if got := c.stale(time.Now()); got != want {
				t.Errorf("%s: the view is %v old, want %v", what, got, want)
			}
		}
		pods, nodes := c.link("pods", time.Now()), c.link("nodes", time.Now())
		time.Sleep(time.Second)
		check("nothing heard yet", time.Second)

		first, other := watch.NewFake(), watch.NewFake()
		podWatch := pods.follow(first, metav1.ListOptions{})
		nodeWatch := nodes.follow(other, metav1.ListOptions{SendInitialEvents: new(true)})
		c.heard(time.Now())
		check("a watch that still lists is not open", time.Second)
		go other.Action(watch.Bookmark, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{initialEventsEnd: "true"}}})
		<-nodeWatch.ResultChan()
		check("all open", 0)

		time.Sleep(3 * time.Second)
		check("silence", 3*time.Second)
		go first.Add(&corev1.Pod{})
		<-podWatch.ResultChan()
		check("an event", 0)

		podWatch.Stop()
		time.Sleep(2 * time.Second)
		c.heard(time.Now())
		check("the server answers, but a watch is closed", 2*time.Second)
		pods.failed(errors.New("refused"))
		if err := pods.failure(); err == nil || err.Error() != "watch pods: refused" {
			t.Errorf("failure is %v", err)
		}

		again := pods.follow(watch.NewFake(), metav1.ListOptions{})
		check("open again", 0)
		if pods.failure() != nil {
			t.Error("an open watch has a failure")
		}
		again.Stop()
		nodeWatch.Stop()
	})
}

// TestTheEndOfAnOldWatchSaysNothing ends the watch before the present one late.
func TestTheEndOfAnOldWatchSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContact(time.Now())
		l := c.link("pods", time.Now())
		old := l.follow(watch.NewFake(), metav1.ListOptions{})
		present := l.follow(watch.NewFake(), metav1.ListOptions{})
		old.Stop()
		synctest.Wait()
		if !l.isOpen() {
			t.Error("the present watch counts as closed")
		}
		present.Stop()
		synctest.Wait()
		if l.isOpen() {
			t.Error("a stopped watch counts as open")
		}
	})
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContact(time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		var mute atomic.Bool
		done := make(chan struct{})
		var turns []bool // true: away
		go func() {
			defer close(done)
			c.probe(ctx, func(ctx context.Context) error {
				if !mute.Load() {
					return nil
				}
				<-ctx.Done() // a server that hangs
				return ctx.Err()
			}, func(err error) { turns = append(turns, err != nil) })
		}()
		time.Sleep(10*probePeriod + time.Second)
		synctest.Wait()
		if got := c.stale(time.Now()); got > probePeriod {
			t.Errorf("with a server that answers the view is %v old", got)
		}
		mute.Store(true)
		time.Sleep(time.Minute)
		if got := c.stale(time.Now()); got < time.Minute-probePeriod {
			t.Errorf("after a minute without an answer the view is %v old", got)
		}
		mute.Store(false)
		time.Sleep(2 * probePeriod)
		cancel()
		<-done
		if len(turns) != 2 || !turns[0] || turns[1] {
			t.Errorf("turned %v, want away and back, once each", turns)
		}
	})
}

func TestSignalIsPassedOnAFewTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignal()
		woken := 0
		for range 100 { // a change every 10 ms for a second
			s.send()
			time.Sleep(10 * time.Millisecond)
			select {
			case <-s.out:
				woken++
			default:
			}
		}
		if woken < 4 || woken > 6 {
			t.Errorf("woken %d times in a second", woken)
		}
		s.send()
		time.Sleep(time.Second)
		if len(s.out) != 1 {
			t.Error("the last change was lost")
		}
		s.end()
		<-s.out
		s.send()
		if time.Sleep(time.Second); len(s.out) != 0 {
			t.Error("a signal after the end")
		}
	})
}
