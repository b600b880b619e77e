package alerts

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// GroupByAll among GroupBy makes each alert a group of its own.
const GroupByAll = "..."

// Route is a node of the tree that alerts are routed by. Its fields are whole: what a configuration leaves out was taken from the
// parent before.
type Route struct {
	// Receiver gets what ends here.
	Receiver string
	// Matchers are all to be met; none: everything. The root has none.
	Matchers []Matcher
	// GroupBy are the labels that alerts of one group share.
	GroupBy []string
	// GroupWait is how long a new alert waits for others, GroupInterval the least time between two notifications of one group,
	// RepeatInterval the time after which a group that still fires is told again.
	GroupWait, GroupInterval, RepeatInterval time.Duration
	// Continue asks the siblings that follow too.
	Continue bool
	// Routes are asked in order; where none takes an alert, the route itself does.
	Routes []Route

	path string
}

// The defaults of a route; those of Alertmanager, which groups by nothing.
const (
	DefaultGroupWait      = 30 * time.Second
	DefaultGroupInterval  = 5 * time.Minute
	DefaultRepeatInterval = 4 * time.Hour
)

// DefaultGroupBy returns the labels that name a workload: one notification tells all that is wrong with it.
func DefaultGroupBy() []string { return []string{LabelNamespace, LabelWorkloadKind, LabelWorkload} }

// Check returns what is wrong with the tree: field, value, what is allowed, joined. The field is what the first route is called,
// the receivers are those that exist.
func (r *Route) Check(field string, receivers []string) error {
	var errs []error
	if len(r.Matchers) > 0 {
		errs = append(errs, fmt.Errorf("%s.matchers: %v is not allowed: the first route takes everything", field, r.Matchers))
	}
	r.check(field, receivers, &errs)
	return errors.Join(errs...)
}

func (r *Route) check(at string, receivers []string, errs *[]error) {
	bad := func(field string, value any, allowed string) {
		*errs = append(*errs, fmt.Errorf("%s.%s: %v is not allowed: %s", at, field, value, allowed))
	}
	if !slices.Contains(receivers, r.Receiver) {
		bad("receiver", fmt.Sprintf("%q", r.Receiver), fmt.Sprintf("allowed is one of receivers: %q", receivers))
	}
	if r.GroupWait < 0 || r.GroupWait > time.Hour {
		bad("groupWait", r.GroupWait, "allowed is 0s to 1h")
	}
	if r.GroupInterval < time.Second || r.GroupInterval > 24*time.Hour {
		bad("groupInterval", r.GroupInterval, "allowed is 1s to 24h")
	}
	if r.RepeatInterval < r.GroupInterval || r.RepeatInterval > 720*time.Hour {
		bad("repeatInterval", r.RepeatInterval, "allowed is groupInterval to 720h")
	}
	for i, name := range r.GroupBy {
		label := name == GroupByAll && len(r.GroupBy) == 1
		for j := range len(name) {
			if !label && !labelByte(name[j], j == 0) {
				bad(fmt.Sprintf("groupBy[%d]", i), fmt.Sprintf("%q", name), "allowed is a label, or ... alone")
				break
			}
		}
		if name == "" || slices.Contains(r.GroupBy[:i], name) {
			bad(fmt.Sprintf("groupBy[%d]", i), fmt.Sprintf("%q", name), "allowed is a label, each once")
		}
	}
	for i := range r.Routes {
		r.Routes[i].check(fmt.Sprintf("%s.routes[%d]", at, i), receivers, errs)
	}
}

// named returns a copy of the tree in which every route knows its path.
func (r Route) named(parent string, index int) Route {
	r.path = pathOf(parent, index, &r)
	r.Routes = slices.Clone(r.Routes)
	for i := range r.Routes {
		r.Routes[i] = r.Routes[i].named(r.path, i)
	}
	return r
}

// Match returns the routes at which an alert with these labels ends, in order; none where the route does not take it.
func (r *Route) Match(labels map[string]string) []*Route {
	for i := range r.Matchers {
		if !r.Matchers[i].Matches(labels) {
			return nil
		}
	}
	var out []*Route
	for i := range r.Routes {
		found := r.Routes[i].Match(labels)
		out = append(out, found...)
		if len(found) > 0 && !r.Routes[i].Continue {
			break
		}
	}
	if len(out) == 0 {
		out = []*Route{r}
	}
	return out
}

// groupLabels are those of the labels that the route groups by.
func (r *Route) groupLabels(labels map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range labels {
		if slices.Contains(r.GroupBy, name) || slices.Contains(r.GroupBy, GroupByAll) {
			out[name] = value
		}
	}
	return out
}
