package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// HealFloor is a minimum of replicas that holds until a time: what a ScaleOut writes into v1alpha1.AnnotationHealFloor.
type HealFloor struct {
	Replicas int32
	Until    time.Time
}

// ReadHealFloor reads what String writes, such as "6 until 2026-03-01T13:00:00Z". An error names the value and what is allowed; an
// empty value is one, too.
func ReadHealFloor(value string) (HealFloor, error) {
	number, until, found := strings.Cut(value, " until ")
	replicas, err := strconv.ParseInt(number, 10, 32)
	at, timeErr := time.Parse(time.RFC3339, until)
	if !found || err != nil || replicas < 1 || timeErr != nil {
		return HealFloor{}, fmt.Errorf("metadata.annotations[%s]: %q is not allowed, it must be a number of replicas and a time, "+
			"such as \"6 until 2026-03-01T13:00:00Z\"", v1alpha1.AnnotationHealFloor, value)
	}
	return HealFloor{Replicas: int32(replicas), Until: at}, nil
}

// String returns the annotation's value; the time is UTC in whole seconds.
func (f HealFloor) String() string {
	return fmt.Sprintf("%d until %s", f.Replicas, f.Until.UTC().Truncate(time.Second).Format(time.RFC3339))
}

// Floor returns the floor of a decision at the time; nil once it is over.
func (f HealFloor) Floor(now time.Time) *hpa.Floor {
	if f.Replicas < 1 || !now.Before(f.Until) {
		return nil
	}
	return &hpa.Floor{Replicas: f.Replicas, By: "healing until " + f.Until.UTC().Format(time.RFC3339)}
}

// HigherFloor returns the higher of two floors, the first of two that are equal; nil is none.
func HigherFloor(a, b *hpa.Floor) *hpa.Floor {
	if a == nil || b != nil && b.Replicas > a.Replicas {
		return b
	}
	return a
}
