package hpa_test

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// Two replicas use 166 of the 200 thousandths of a core that each requests.
func ExampleDecide() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	policy := hpa.DefaultPolicy()
	policy.Min, policy.Max = 2, 4
	policy.Metrics = []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 40}}

	observation := hpa.Observation{Current: 2}
	for _, name := range []string{"web-1", "web-2"} {
		observation.Replicas = append(observation.Replicas, hpa.Replica{
			Name: name, Phase: cluster.PhaseRunning, StartedAt: now.Add(-time.Hour),
			Ready: true, ReadyKnown: true, ReadySince: now.Add(-59 * time.Minute),
			CPU: hpa.Usage{Known: true, Value: 166, Request: 200, At: now, Window: 15 * time.Second},
		})
	}

	var history hpa.History
	recommendation, history := hpa.Decide(policy, observation, history, now)
	fmt.Println(recommendation.Message)
	for _, step := range recommendation.Steps {
		fmt.Println(step.Name, step.Before, "->", step.After, step.Reason)
	}
	if recommendation.Change() { // and the write was successful
		history = history.Applied(recommendation, now)
	}
	fmt.Println(len(history.Recommendations), "recommendations remembered")
	// Output:
	// cpu is at 83 % of requests, target 40 %: 2 ready replicas need 5; limited to 4 by maxReplicas
	// Metrics 2 -> 5 DesiredWithinRange
	// Stabilization 5 -> 5 DesiredWithinRange
	// RateLimit 5 -> 5 DesiredWithinRange
	// Bounds 5 -> 4 TooManyReplicas
	// Health 4 -> 4 DesiredWithinRange
	// Pause 4 -> 4 DesiredWithinRange
	// 2 recommendations remembered
}

// A loop keeps a Decider, gives it the history of each target in turn, and asks for words only where something changes.
func ExampleDecider() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	queue := hpa.Source{Type: hpa.FromExternal, Name: "queue_length"}
	policy := hpa.DefaultPolicy()
	policy.Min, policy.Max = 1, 10
	policy.Metrics = []hpa.Metric{{
		Source: queue, Type: hpa.AverageValue, Target: 30_000, // 30 for each replica
		Fallback: &hpa.Fallback{Type: hpa.FallbackLastGood, For: 10 * time.Minute},
	}}
	observation := hpa.Observation{
		Current: 4, StatusReplicas: 4,
		Readings: []hpa.Reading{{Source: queue, Known: true, Value: 200_000, At: now}},
	}

	var decider hpa.Decider
	var history hpa.History
	recommendation, history := decider.Decide(&policy, &observation, history, now)
	if recommendation.Change() {
		fmt.Println(decider.Explain().Message)
	}

	observation.Current, observation.Readings[0] = recommendation.Desired, hpa.Reading{Source: queue, Why: "the broker does not answer"}
	recommendation, _ = decider.Decide(&policy, &observation, history, now.Add(15*time.Second))
	fmt.Println(recommendation.Desired, recommendation.Reason)
	fmt.Println(decider.Explain().Message)
	// Output:
	// queue_length is at 50 per replica, target 30: 4 replicas need 7
	// 7 Fallback
	// queue_length could not be computed: the broker does not answer; its last good proposal, 15s old, asks for 7
}
