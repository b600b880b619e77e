package dashboards

import "testing"

// What returns nothing after the demo's story, and why. TestAfterTheDemo fails for anything else that returns nothing, and for what is here and
// returns something.

const (
	noStateMetrics = "the lab has no kube-state-metrics"
	noForecast     = "the demo's leak reaches its limit in half a minute, before a forecast is made"
	notFailing     = "nothing of the kind fails in the story"
)

// silentPanels are queries to Prometheus, of panels and annotations.
func silentPanels() map[string]string {
	return map[string]string{
		"homeostat-autoscaling/CPU/B":                "requests: " + noStateMetrics,
		"homeostat-autoscaling/Memory/B":             "requests: " + noStateMetrics,
		"homeostat-autoscaling/Replicas over time/E": "ready pods: " + noStateMetrics,
		"homeostat-healing/Active incidents/B":       "members: no incident of the story causes others",
		"homeostat-healing/Error of the forecasts/A": noForecast,
		"homeostat-healing/Error of the forecasts/B": noForecast,
		"homeostat-healing/Next OOM/A":               noForecast,
		"homeostat-healing/Time to OOM/A":            noForecast,
		"homeostat-overview/Next OOM/A":              noForecast,
	}
}

// silentRules are expressions of recording rules and alerts, most of them about what must not be in a story that ends well. promtool's unit tests
// have each of them fire.
func silentRules() map[string]string {
	return map[string]string{
		"HomeostatBlockedByPDB":           "no PodDisruptionBudget is in the way",
		"HomeostatBreakerOpen":            "one workload fails, which is too little for the breaker",
		"HomeostatBudgetExhausted":        "one action is taken, and the policy's budget has more",
		"HomeostatCPUThrottled":           notFailing,
		"HomeostatChildOOM":               "the kernel kills the container's first process, and no child",
		"HomeostatClusterBudgetExhausted": "one action is taken, and the cluster's budget has more",
		"HomeostatLagging":                "every loop turns",
		"HomeostatMetricsOld":             "the kubelet answers",
		"HomeostatNodeNotReady":           notFailing,
		"HomeostatNotificationsFailing":   "Alertmanager takes every notification",
		"HomeostatOutOfMemorySoon":        noForecast,
		"HomeostatQueueDropping":          "no queue is ever full",
		"HomeostatRemedyIneffective":      "the restart helps",
		"HomeostatRestartRate":            "a replica is killed once or twice, which is no rate",
	}
}

// silentMetrics are metrics in those expressions.
func silentMetrics() map[string]string {
	return map[string]string{"homeostat_healing_seconds_to_oom": noForecast}
}

// perhaps are queries, rules and logs that return something or nothing, by the moment at which a scrape falls, or where the demo was played before.
func perhaps() map[string]string {
	return map[string]string{
		"homeostat-controller/annotation/New leader":   "the first leader leads before its first scrape; a second run of the demo has another one",
		"homeostat-controller/Log of the controller/A": "only warnings and errors are shown, and there need not be any",
		"HomeostatAutoscalerBlind":                     "for the seconds until the first samples are there",
		"HomeostatDown":                                "where the demo runs anew, between the old pods and the new ones",
		"HomeostatNotLeading":                          "where the demo runs anew, between the old leader and the new one",
		"HomeostatTargetDown":                          "where the demo runs anew, until Prometheus has the new list of pods",
	}
}

// The tables name queries and rules that exist, each in one table.
func TestWhatIsSilentExists(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	for _, source := range []string{"prometheus", "loki"} {
		for where := range queries(t, source) {
			exists[where] = true
		}
	}
	for name, r := range readRules(t) {
		exists[name] = true
		for _, metric := range r.metrics(t) {
			exists[metric] = true
		}
	}
	seen := map[string]bool{}
	for _, table := range []map[string]string{silentPanels(), silentRules(), silentMetrics(), perhaps()} {
		for name, why := range table {
			if !exists[name] || seen[name] || why == "" {
				t.Errorf("%q: it exists is %t, it is in another table is %t, the reason is %q", name, exists[name], seen[name], why)
			}
			seen[name] = true
		}
	}
}
