package write

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/record"

	"github.com/homeostat/homeostat/api/client"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/platform/kube/write/remedy"
)

// Options are the clients that a Writer writes with; all are required.
type Options struct {
	Core kubernetes.Interface
	Own  *client.Client
	// Scales and Mapper reach the scale subresource of any kind.
	Scales scale.ScalesGetter
	Mapper meta.RESTMapper
	// Events takes the events; it must not block.
	Events record.EventRecorder
}

// Writer is the one writer. Make it with New.
type Writer struct {
	core   kubernetes.Interface
	own    *client.Client
	scales scale.ScalesGetter
	mapper meta.RESTMapper
	events record.EventRecorder
	remedy *remedy.Surgeon

	mu       sync.Mutex
	reported map[string]reported       // by namespace/name of the Autoscaler
	natives  map[string]reportedNative // by namespace/name of the HorizontalPodAutoscaler
}

// New returns a Writer.
func New(o Options) (*Writer, error) {
	for name, missing := range map[string]bool{
		"Core": o.Core == nil, "Own": o.Own == nil, "Scales": o.Scales == nil, "Mapper": o.Mapper == nil, "Events": o.Events == nil,
	} {
		if missing {
			return nil, fmt.Errorf("write: %s is missing", name)
		}
	}
	return &Writer{
		core: o.Core, own: o.Own, scales: o.Scales, mapper: o.Mapper, events: o.Events, remedy: remedy.New(o.Core, o.Own),
		reported: map[string]reported{}, natives: map[string]reportedNative{},
	}, nil
}

// Carry carries out the action, or with DryRun asks the API server whether it would. It is safe to call again. See package remedy.
func (w *Writer) Carry(ctx context.Context, a healing.Action) healing.Result {
	return w.remedy.Carry(ctx, a)
}
