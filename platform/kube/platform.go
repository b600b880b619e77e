package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/metrics/kubelet"
	"github.com/homeostat/homeostat/platform/kube/keda"
	"github.com/homeostat/homeostat/platform/kube/podlog"
	"github.com/homeostat/homeostat/platform/kube/sources"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// component is the source of the events.
const component = "homeostat"

// bridge sends the log of client-go to slog. klog has one sink per process, so the first Platform sets it.
var bridge sync.Once //nolint:gochecknoglobals // klog's sink is one per process

// Platform is one cluster. Make it with New, then Start; it ends with Stop or the context of Start. Its methods are safe
// for concurrent use.
type Platform struct {
	opts    Options
	log     *slog.Logger
	clients *clients
	contact *contact
	records *view.Records
	events  *view.Events
	notes   *view.Notes
	feeds   feeds
	writer  *write.Writer
	logs    *podlog.Capturer
	changed *signal
	budget  clusterBudget
	orphans orphans
	own     *ownWrites
	rules   *rules
	scales  *scaleCache
	natives *natives
	keda    *keda.Follower
	// contests knows what became of the numbers that were written.
	contests *contests
	looks    *looks
	sources  *sources.Sources
	served   *served

	broadcaster record.EventBroadcaster
	stop        context.CancelFunc
	running     sync.WaitGroup
	mu          sync.Mutex
}

var (
	_ control.ScalingSource = (*Platform)(nil)
	_ control.ScalingWriter = (*Platform)(nil)
	_ control.HealingSource = (*Platform)(nil)
	_ control.IncidentStore = (*Platform)(nil)
	_ control.Surgeon       = (*Platform)(nil)
	_ kubelet.Nodes         = (*Platform)(nil)
)

// newLogs returns who captures logs: from the store that is configured, and from the kubelets.
func newLogs(client kubernetes.Interface, o *Options) *podlog.Capturer {
	if o.LogWindow == nil {
		return podlog.New(client)
	}
	return podlog.New(client, podlog.WithWindow(o.LogWindowName, o.LogWindow))
}

// New returns a Platform that does nothing yet. The API server is not asked. What New opened is closed by Stop, also
// where Start was never called.
func New(o Options) (*Platform, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	bridge.Do(func() { klog.SetSlogLogger(o.Log) })
	contact := newContact(time.Now())
	c, err := newClients(o.REST, contact.requests.wrap)
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	p := &Platform{
		opts: o, log: o.Log, clients: c, contact: contact, records: view.NewRecords(),
		events: view.NewEvents(), notes: view.NewNotes(), logs: newLogs(c.core, &o), changed: newSignal(), own: newOwnWrites(),
		rules: newRules(), scales: newScaleCache(), looks: newLooks(), natives: newNatives(), contests: newContests(),
	}
	p.keda = keda.New(c.any, c.core.Discovery(), p.namespaces(), keda.RediscoverEvery, o.Log)
	p.served = newServed(c.any, c.core.Discovery(), p.namespaces(), o.Log)
	if p.sources, err = newSources(&p.opts, c); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	if err := p.openFeeds(); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	if err := p.listen(); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	p.broadcaster = newBroadcaster()
	p.writer, err = write.New(write.Options{
		Core: c.core, Own: c.own, Scales: c.scales, Mapper: c.mapper,
		Events: p.broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component}),
	})
	if err != nil {
		p.broadcaster.Shutdown()
		return nil, fmt.Errorf("kube: %w", err)
	}
	return p, nil
}

// The bounds of events about one object, beyond which client-go drops them without a word: eventBurst at once, and one each eventEvery after that. Its own,
// 25 and one in 5 minutes, are too few for an autoscaler that follows a busy load.
const (
	eventBurst = 100
	eventEvery = 10 * time.Second
)

func newBroadcaster() record.EventBroadcaster {
	return record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{BurstSize: eventBurst, QPS: float32(1 / eventEvery.Seconds())}))
}

// Start starts the informers and waits for the first full view, for SyncTimeout at most. The error names what could not
// be read and why. Everything ends when ctx does, or with Stop. It must be called once.
func (p *Platform) Start(ctx context.Context) error {
	p.mu.Lock()
	if p.stop != nil {
		p.mu.Unlock()
		return errors.New("kube: started twice")
	}
	run, stop := context.WithCancel(ctx)
	p.stop = stop
	p.mu.Unlock()

	p.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: p.clients.core.CoreV1().Events("")})
	for _, f := range p.feeds.all {
		p.running.Go(func() { f.informer.RunWithContext(run) })
	}
	for _, r := range p.eventReflectors() {
		p.running.Go(func() { r.RunWithContext(run) })
	}
	p.running.Go(func() { p.followNodeEvents(run) })
	first := make(chan struct{})
	p.running.Go(func() { p.served.run(run, first) })
	p.running.Go(func() { p.keda.Run(run) })
	p.running.Go(func() { p.followBudget(run) })
	p.running.Go(func() {
		tick := time.NewTicker(noteEvery)
		defer tick.Stop()
		p.keepNotes(run, tick.C)
	})
	p.running.Go(func() { p.sources.Run(run) })
	p.running.Go(func() {
		p.contact.probe(run, p.clients.ask, func(err error) {
			if err != nil {
				p.log.WarnContext(run, "api server does not answer, so that nothing is acted on", "error", err)
				return
			}
			p.log.InfoContext(run, "api server answers again")
		})
	})

	sync, cancel := context.WithTimeout(run, p.opts.SyncTimeout)
	defer cancel()
	if err := p.WaitSynced(sync); err != nil {
		stop()
		return err
	}
	select { // who else changes resources is known before anything is changed
	case <-first:
	case <-sync.Done():
	}
	p.log.InfoContext(ctx, "cluster view is complete", "pods", len(records[*view.Pod](p.feeds.pods)),
		"nodes", len(records[*view.Node](p.feeds.nodes)))
	return nil
}

// Stop ends everything that New and Start began and waits for it. It may be called again.
func (p *Platform) Stop() {
	p.mu.Lock()
	if p.stop != nil {
		p.stop()
	}
	p.mu.Unlock()
	p.running.Wait()
	p.changed.end()
	p.broadcaster.Shutdown()
	p.clients.http.CloseIdleConnections()
}

// Synced reports whether every list has been read once.
func (p *Platform) Synced() bool {
	for _, f := range p.feeds.all {
		if !f.synced() {
			return false
		}
	}
	return true
}

// WaitSynced returns when every list has been read once. If ctx ends before, the error names what is missing and why.
func (p *Platform) WaitSynced(ctx context.Context) error {
	for _, f := range p.feeds.all {
		select {
		case <-f.informer.HasSyncedChecker().Done():
		case <-f.refused:
		case <-ctx.Done():
			return p.missing(ctx.Err())
		}
	}
	return nil
}

// missing names what has not been read and why.
func (p *Platform) missing(cause error) error {
	var missing []string
	var why []error
	for _, f := range p.feeds.all {
		if f.synced() {
			continue
		}
		missing = append(missing, f.link.name)
		if err := f.link.failure(); err != nil {
			why = append(why, err)
		}
	}
	why = append(why, cause)
	return fmt.Errorf("read %s: %w", strings.Join(missing, ", "), errors.Join(why...))
}

// Changed delivers when something in the view has changed, a few times a second at most.
func (p *Platform) Changed() <-chan struct{} { return p.changed.out }

// Nodes lists the kubelets.
func (p *Platform) Nodes() []kubelet.Node {
	list := records[*view.Node](p.feeds.nodes)
	out := make([]kubelet.Node, 0, len(list))
	for _, n := range list {
		out = append(out, kubelet.Node{Name: n.Name, Address: n.Address, Port: int(n.Port)})
	}
	return out
}

// listen notes what only the moment of a change tells, and passes on that there was one.
func (p *Platform) listen() error {
	view := cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(any, bool) { p.changed.send() },
		UpdateFunc: p.updated,
		DeleteFunc: p.deleted,
	}
	for _, list := range [][]*feed{p.feeds.pods, p.feeds.owners, p.feeds.history, p.feeds.nodes} {
		if err := addHandler(list, view); err != nil {
			return err
		}
	}
	err := addHandler(p.feeds.autoscalers, cache.ResourceEventHandlerDetailedFuncs{DeleteFunc: func(obj any) {
		if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
			p.writer.Forget(name.Namespace, name.Name)
		}
	}})
	if err != nil {
		return err
	}
	if err := addHandler(p.feeds.natives, cache.ResourceEventHandlerDetailedFuncs{DeleteFunc: p.nativeGone}); err != nil {
		return err
	}
	if err := addHandler(p.feeds.services, cache.ResourceEventHandlerDetailedFuncs{UpdateFunc: p.updated, DeleteFunc: p.deleted}); err != nil {
		return err
	}
	err = addHandler(p.feeds.slices, cache.ResourceEventHandlerDetailedFuncs{
		UpdateFunc: p.sliceUpdated, DeleteFunc: func(any) { p.changed.send() },
	})
	if err != nil {
		return err
	}
	return addHandler(p.feeds.incidents, cache.ResourceEventHandlerDetailedFuncs{DeleteFunc: p.own.deleted})
}

func addHandler(list []*feed, h cache.ResourceEventHandler) error {
	for _, f := range list {
		if _, err := f.informer.AddEventHandler(h); err != nil {
			return fmt.Errorf("watch %s: %w", f.kind, err)
		}
	}
	return nil
}

func (p *Platform) updated(old, now any) {
	at := time.Now().UTC()
	if uidOf(old) != uidOf(now) {
		p.forget(old) // it was deleted and made again while its watch was away
	}
	p.notes.Changed(old, now, at)
	p.changed.send()
}

// sliceUpdated passes on that the last ready endpoint went or the first one came; the rest of what changes in endpoints is
// told by the pods.
func (p *Platform) sliceUpdated(old, now any) {
	before, ok := old.(*view.Slice)
	after, is := now.(*view.Slice)
	if ok && is && (before.Ready == 0) != (after.Ready == 0) {
		p.changed.send()
	}
}

func (p *Platform) deleted(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	p.forget(obj)
	p.changed.send()
}

// uidOf returns the UID of a record of which something is remembered.
func uidOf(obj any) string {
	switch o := obj.(type) {
	case *view.Owner:
		return o.UID
	case *view.History:
		return o.UID
	case *view.Service:
		return o.UID
	case *view.Pod:
		return o.UID
	}
	return ""
}

// forget drops what is remembered of an object that is gone.
func (p *Platform) forget(obj any) {
	switch o := obj.(type) {
	case *view.Owner:
		p.notes.Deleted(o.UID)
	case *view.History:
		p.notes.Deleted(o.UID)
	case *view.Service:
		p.notes.Deleted(o.UID)
	case *view.Pod:
		p.opts.Store.Forget(o.Namespace, o.Name)
	}
}
