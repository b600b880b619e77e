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
	// Template is kept for ReplicaSets: it tells what a rollout changed.
	Template *Template
	// ReplicasWriters own spec.replicas, where the object has a number of replicas of its own and no controller.
	ReplicasWriters []FieldWriter
}

// Node is the record of a node.
type Node struct {
	Meta
	Node cluster.Node
	// Address is the node's InternalIP (its first address where it has none) and Port its kubelet's port.
	Address string
	Port    int32
}
