package hpa

import "strings"

// SourceType says what kind of metric it is, in the words of autoscaling/v2.
type SourceType string

// The types of source. Prometheus is none of autoscaling/v2; it is decided as External is.
const (
	FromResource          SourceType = "Resource"          // usage of cpu or memory, over all containers of a replica
	FromContainerResource SourceType = "ContainerResource" // usage of cpu or memory by one container of each replica
	FromPods              SourceType = "Pods"              // one value for each replica
	FromObject            SourceType = "Object"            // one value that describes another object
	FromExternal          SourceType = "External"          // one value from outside of the cluster
	FromPrometheus        SourceType = "Prometheus"        // one value: the result of a query
)

// Source names what a metric is read from. It is comparable and no more than a name: the adapters know how to read it.
type Source struct {
	Type SourceType `json:"type"`
	// Resource is cpu or memory; only of Resource and ContainerResource.
	Resource Resource `json:"resource,omitempty"`
	// Container whose usage counts; only of ContainerResource.
	Container string `json:"container,omitempty"`
	// Name of the metric (Pods, Object, External), or the query (Prometheus).
	Name string `json:"name,omitempty"`
	// Selector narrows the metric down, as the text of a label selector (Pods, Object, External); empty: it does not.
	Selector string `json:"selector,omitempty"`
	// Object that the metric describes, as "apiVersion/kind/name"; only of Object.
	Object string `json:"object,omitempty"`
}

// OfResource returns the source of a Resource metric.
func OfResource(r Resource) Source { return Source{Type: FromResource, Resource: r} }

// String returns the name of the metric for people, such as "cpu", "cpu of container app" or "http_requests"; a query on
// one line, however it was written.
func (s Source) String() string {
	switch s.Type {
	case FromResource:
		return string(s.Resource)
	case FromContainerResource:
		return string(s.Resource) + " of container " + s.Container
	case FromPrometheus:
		return strings.Join(strings.Fields(s.Name), " ")
	case FromPods, FromObject, FromExternal:
		return s.Name
	}
	return s.Name
}

// perReplica reports whether the source has one value for each replica.
func (s *Source) perReplica() bool {
	return s.Type == FromResource || s.Type == FromContainerResource || s.Type == FromPods
}

// beyondReplicas reports whether the source has a value where there is no replica, so that it can scale from zero.
func (s *Source) beyondReplicas() bool {
	return s.Type == FromObject || s.Type == FromExternal || s.Type == FromPrometheus
}

// DescribedObject reads what Source.Object holds, "apiVersion/kind/name". An apiVersion has a slash of its own where it has
// a group. What is not there is empty.
func DescribedObject(text string) (apiVersion, kind, name string) {
	rest, name := cutLast(text)
	apiVersion, kind = cutLast(rest)
	return apiVersion, kind, name
}

func cutLast(text string) (before, after string) {
	i := strings.LastIndexByte(text, '/')
	if i < 0 {
		return "", text
	}
	return text[:i], text[i+1:]
}
