package custom

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/rest"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/homeostat/homeostat/metrics"
)

// raw returns the body of an answer, or the error that the API server told; Result.Raw alone leaves that unread.
func raw(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
}

// decodeExternal reads a list of external metrics; an object of another kind is an error and no empty list.
func decodeExternal(body []byte, list *external.ExternalMetricValueList) error {
	if err := json.Unmarshal(body, list); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if list.Kind != "" && list.Kind != "ExternalMetricValueList" {
		return fmt.Errorf("the answer is a %q, allowed is a list of values of external metrics", list.Kind)
	}
	return nil
}

// milli returns thousandths, rounded up, and the nearest number there is where the value is too large: Quantity.MilliValue
// returns any number then, or computes for minutes where the answer says 1e999999999. The bound is a little below that
// number, as the comparison is not exact.
func milli(q *resource.Quantity) int64 {
	const most = 9.2233720368547e15
	switch f := q.AsApproximateFloat64(); {
	case f >= most:
		return math.MaxInt64
	case f <= -most:
		return math.MinInt64
	case math.IsNaN(f): // zero times ten to a large power
		return 0
	}
	return q.MilliValue()
}

// add returns the sum, and the nearest number there is where it is too large.
func add(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// maxCause is how much of a cause is kept.
const maxCause = 300

// plain says in one line what the API server said.
func plain(err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return &answerError{metrics.Cause(status.Status().Message, maxCause), err}
	}
	return err
}

// answerError is what the API server said, on one line.
type answerError struct {
	said string
	err  error
}

// Error returns it.
func (e *answerError) Error() string { return e.said }

// Unwrap returns the error with the whole status.
func (e *answerError) Unwrap() error { return e.err }
