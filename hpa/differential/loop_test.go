package differential

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// inLoop decides as the loop does: one Decider for all targets, its memory kept, histories given away. What hpa.Decide says
// of the same must be the same.
func inLoop() decide {
	var d hpa.Decider
	return func(p hpa.Policy, o hpa.Observation, h hpa.History, now time.Time) (hpa.Recommendation, hpa.History) {
		fresh, _ := hpa.Decide(p, o, h, now)
		_, next := d.Decide(&p, &o, h, now)
		rec := *d.Explain()
		rec.Steps, rec.Metrics, rec.Conditions = slices.Clone(rec.Steps), slices.Clone(rec.Metrics), slices.Clone(rec.Conditions)
		if a, b := asJSON(fresh), asJSON(rec); a != b {
			panic("Decide and a Decider that was used before differ:\n" + a + "\n" + b)
		}
		return rec, next
	}
}

func asJSON(rec hpa.Recommendation) string {
	for i := range rec.Metrics { // JSON has no infinity
		rec.Metrics[i].Ratio, rec.Metrics[i].AdjustedRatio = finite(rec.Metrics[i].Ratio), finite(rec.Metrics[i].AdjustedRatio)
	}
	b, err := json.Marshal(rec)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func finite(f float64) float64 {
	if f-f != 0 {
		return -1
	}
	return f
}

// handedOver returns the history as the next leader finds it.
func handedOver(h hpa.History) (next hpa.History, err error) {
	b, err := json.Marshal(h)
	if err != nil {
		return next, err
	}
	return next, json.Unmarshal(b, &next)
}
