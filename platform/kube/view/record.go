package view

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics/app"
)

// Meta is what every record keeps of its object's metadata.
type Meta struct {
	Namespace, Name string
	UID             string
	// Version is the resourceVersion, for comparing for equality only.
	Version string
}

// GetObjectMeta makes a record something that an informer can store and find by its name.
func (m *Meta) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: types.UID(m.UID), ResourceVersion: m.Version}
}

// Controller is the controlling owner of an object; the zero value means that it has none.
type Controller struct {
	Kind, Name, UID string
}

// Pod is the record of a pod.
type Pod struct {
	Meta
	Labels     map[string]string
	Controller Controller
	// Critical is true for a pod of a system-critical priority class or one that the kubelet runs by itself.
	Critical bool
	// Hash is the pod-template-hash or controller-revision-hash label.
	Hash string
	// ReadyKnown is true where the pod has a Ready condition at all.
	ReadyKnown bool
	// ReadyUnknown is true where that condition's status is Unknown.
	ReadyUnknown bool
	// NeverReady is true where the status shows that the pod has never been ready.
	NeverReady bool
	// Looping is true where a container has failed and the pod has not been ready since: in the back-off of a crash loop, or
	// between two of its crashes.
	Looping bool
	// OOMKilledAt is the last OOM kill of a container that the status shows, RestartedAt the last start of a container after
	// its first; zero: none.
	OOMKilledAt, RestartedAt time.Time
	// CPU and Memory are the pod's requests.
	CPU, Memory Request
	// Requests are those of the main containers and the sidecars, each for itself.
	Requests []ContainerRequest
	// Replica is complete but for its events and its OOM counts.
	Replica cluster.Replica
	// IP is the pod's address, empty before it has one, and Ports are those that its containers declare.
	IP    string
	Ports []Port
	// Page is the metrics page that the pod's annotations tell of; nil where they tell of none. PageFault says what is wrong
	// with them.
	Page      *app.Page
	PageFault string
	// Profile is where the pod offers pprof, nil where it does not say so.
	Profile *Profile
	// Measured names the containers that must have a usage sample for the pod's usage to be whole.
	Measured []string
}

// Request is what a pod requests of one resource: the sum over its containers and its restartable init containers, or
// the pod-level request where there is one, as the HPA of Kubernetes counts it (calculateRequests of
// pkg/controller/podautoscaler/replica_calculator.go).
type Request struct {
	// Value in thousandths of a core or bytes; 0 with Missing set.
	Value int64
	// Missing names the first container that requests nothing.
	Missing string
}

// Port is a port that a main container or a sidecar declares.
type Port struct {
	Container, Name string
	Number          int32
}

// ContainerRequest is what one container requests by its spec, in thousandths of a core and bytes; NotRequested for nothing.
type ContainerRequest struct {
	Name        string
	CPU, Memory int64
}

// NotRequested stands in a ContainerRequest for a resource that is not requested.
const NotRequested = -1

// Owner is the record of a Deployment, ReplicaSet, StatefulSet, DaemonSet or Job.
type Owner struct {
	Meta
	Kind       string
	Controller Controller
	CreatedAt  time.Time
	// Desired is the number of replicas that it asks for, Existing the number that its status counts.
	Desired, Existing int32
	// Labels of its pod template; Selector is nil where it has none.
	Labels   map[string]string
	Selector labels.Selector
	// Revision names the newest pod template where the object itself says it: a ReplicaSet or a StatefulSet.
	Revision string
	// Number is a ReplicaSet's deployment.kubernetes.io/revision, 0 where there is none.
	Number int64
	// ScaledAt is when a controlled ReplicaSet's number of replicas was last written, as its managed fields have it; zero: not
	// known.
	ScaledAt time.Time
	// RollingOut is true where the object itself says so: a StatefulSet or a DaemonSet. For a Deployment see its ReplicaSets.
	RollingOut bool
	// ProgressedAt is when a Deployment's rollout last got ahead. Unfinished is true while the newest revision of a
	// Deployment, or of a StatefulSet without a partition, is not available in full for the first time; Late is true once
	// a Deployment's has not got ahead within its progress deadline.
	ProgressedAt     time.Time
	Unfinished, Late bool
	// Refused is the API server's answer while a ReplicaSet's pods, or those of a Deployment's ReplicaSet, are refused.
	Refused string
	// Finished is true for a Job that has come to its end.
	Finished bool
	// Template is kept for ReplicaSets: it tells what a rollout changed, and what it could go back to.
	Template *Template
	// ReplicasWriters own spec.replicas, where the object has a number of replicas of its own and no controller.
	ReplicasWriters []FieldWriter
	// Profile is where its pods offer pprof, nil where its template does not say so.
	Profile *Profile
	// Head is what only an owner that can be the top of a chain has; nil for a ReplicaSet that something controls.
	Head *Head
}

// Head is what is kept of a Deployment, a StatefulSet, a DaemonSet, a Job or a ReplicaSet that nothing controls.
type Head struct {
	Conditions []cluster.Condition
	// Paused is true while a Deployment's rollout is paused; SurgesFirst where it takes no replica away before another is there.
	Paused, SurgesFirst bool
	// RolloutTakes is how many replicas a rollout takes away at once, at most.
	RolloutTakes int32
	// Writers are those that, by the marks that they leave, write its spec too.
	Writers []cluster.Owner
	// CanaryOf names the Deployment that this one is the canary of.
	CanaryOf string
	// Current is the revision of a StatefulSet that was last rolled out in full, Kept its partition: how many replicas stay
	// with that one.
	Current string
	Kept    int32
	// Guarded is true where a rolling update takes the last replicas of an older revision away only when enough of the newer
	// one are available. AvailableSince is since when enough are available of all together; zero: they are not.
	Guarded        bool
	AvailableSince time.Time
	// CompleteAt is when a Deployment's newest revision was available in full for the first time; zero: it is not yet.
	CompleteAt time.Time
}

// Profile is where a pod offers pprof.
type Profile struct {
	Port int32
	// Path has a slash at its beginning and none at its end.
	Path string
}

// History is the record of a ControllerRevision: a pod template that a StatefulSet or a DaemonSet keeps.
type History struct {
	Meta
	Controller Controller
	CreatedAt  time.Time
	// Hash is what its pods have in the label controller-revision-hash.
	Hash string
	// Number counts up with each rollout; going back to a revision gives it the newest number.
	Number   int64
	Template *Template
}

// Node is the record of a node.
type Node struct {
	Meta
	Node cluster.Node
	// Address is the node's InternalIP (its first address where it has none) and Port its kubelet's port.
	Address string
	Port    int32
}
