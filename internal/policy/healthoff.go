package policy

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// HealthOffAnnotation on a HorizontalPodAutoscaler names the health rules that do not hold for it, with commas between: the
// names of spec.health of an Autoscaler, which an HPA has no field for.
const HealthOffAnnotation = "homeostat.dev/health-off"

// HealthOff returns the health rules with those of the list switched off. The list is that of HealthOffAnnotation; the
// empty one switches nothing off. An error names the word that is no rule, and what is allowed.
func HealthOff(list string) (v1alpha1.AutoscalerHealth, error) {
	var out v1alpha1.AutoscalerHealth
	for word := range strings.SplitSeq(list, ",") {
		off := new(false)
		switch name := strings.TrimSpace(word); name {
		case "":
		case "holdScaleDownOnIncident":
			out.HoldScaleDownOnIncident = off
		case "crashLoopIsNotCapacity":
			out.CrashLoopIsNotCapacity = off
		case "oomKilledIsNotCapacity":
			out.OOMKilledIsNotCapacity = off
		case "failingIsNotCapacity":
			out.FailingIsNotCapacity = off
		case "neverReadyIsNotCapacity":
			out.NeverReadyIsNotCapacity = off
		case "partialIsMissing":
			out.PartialIsMissing = off
		case "memorySettle":
			out.MemorySettle = &metav1.Duration{Duration: 0 * time.Second}
		case "holdOnFailingRollout":
			out.HoldOnFailingRollout = off
		case "holdScaleUpOnShortage":
			out.HoldScaleUpOnShortage = off
		default:
			return v1alpha1.AutoscalerHealth{}, fmt.Errorf("metadata.annotations[%s]: %q is not allowed, it must be names of spec.health of an Autoscaler "+
				"with commas between, such as holdOnFailingRollout,partialIsMissing", HealthOffAnnotation, name)
		}
	}
	return out, nil
}
