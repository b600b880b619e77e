package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestAutoscalerBlind(t *testing.T) {
	scaler := func(kind, status, reason, message string, age time.Duration) func(*cluster.Workload) {
		return func(w *cluster.Workload) {
			w.Scaler = &cluster.Scaler{Ref: cluster.Ref{Kind: kind, Namespace: "demo", Name: "web"}, Min: 1, Max: 5}
			if status != "" {
				w.Scaler.Active = &cluster.Condition{Type: "ScalingActive", Status: status, Reason: reason, Message: message, Since: ago(age)}
			}
		}
	}
	const native = "HorizontalPodAutoscaler"
	blind := []string{"AutoscalerBlind - active"}
	five := 5 * time.Minute
	checkWorkload(t, []workloadRow{
		{
			name: "no resource metrics", workload: owner(scaler(native, "False", "FailedGetResourceMetric", "no metrics returned from resource metrics API", five)),
			want: blind, confidence: 95, says: []string{"horizontalpodautoscaler web does not scale web: the use of its pods cannot be read: no metrics returned"},
		},
		{name: "an external metric", workload: owner(scaler(native, "False", "FailedGetExternalMetric", "", five)), want: blind, says: []string{"an external metric"}},
		{name: "a selector", workload: owner(scaler(native, "False", "InvalidSelector", "", five)), want: blind, says: []string{"cannot be told"}},
		{name: "two for the same pods", workload: owner(scaler(native, "False", "AmbiguousSelector", "", five)), want: blind, says: []string{"another autoscaler too"}},
		{name: "Homeostat's own", workload: owner(scaler("Autoscaler", "False", "NoMetrics", "", five)), want: blind, says: []string{"autoscaler web does not scale web"}},
		{name: "a reason of later days", workload: owner(scaler(native, "False", "FailedGetDreams", "", five)), want: blind, says: []string{"FailedGetDreams"}},
		{name: "a StatefulSet's", workload: owner(ofKind(cluster.KindStatefulSet), scaler(native, "False", "FailedGetResourceMetric", "", five)), want: blind},
		{name: "not for long", workload: owner(scaler(native, "False", "FailedGetResourceMetric", "", 2*time.Minute))},
		{name: "switched off", workload: owner(scaler(native, "False", "ScalingDisabled", "", five))},
		{name: "paused", workload: owner(scaler("Autoscaler", "False", "Paused", "", five))},
		{name: "it sees", workload: owner(scaler(native, "True", "ValidMetricFound", "", five))},
		{name: "it has no condition yet", workload: owner(scaler(native, "", "", "", 0))},
		{name: "since when is not known", workload: owner(scaler(native, "False", "FailedGetResourceMetric", "", five), func(w *cluster.Workload) { w.Scaler.Active.Since = time.Time{} })},
		{name: "no autoscaler", workload: owner()},
		{name: "a bare pod", workload: owner(ofKind(cluster.KindPod), scaler(native, "False", "FailedGetResourceMetric", "", five))},
	})
}
