package score

import (
	"cmp"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/internal/incident"
)

// None is the row of the controls, and the column of what was not found.
const None = "none"

// Result is one outcome held against its label.
type Result struct {
	*Outcome
	// Found are the kinds that are wanted and were found, Missed those that were not.
	Found, Missed []corpus.Want
	// Extra are kinds that were found and are neither wanted nor right beside it. Wrong are those of them that the label names as
	// plainly wrong.
	Extra, Wrong []string
	// Delays are the times from the first sign to each incident that was found.
	Delays []time.Duration
}

// Row of the label in the confusion matrix.
func (r *Result) Row() string {
	if len(r.Recording.Label.Want) == 0 {
		return None
	}
	return r.Recording.Label.Want[0].Kind
}

// Name of the recording.
func (r *Result) Name() string { return r.Recording.Kind + "/" + r.Recording.Name }

// Harms returns the actions that would have done harm.
func (r *Result) Harms() []Act {
	var out []Act
	for _, a := range r.Acts {
		if a.Harm != "" {
			out = append(out, a)
		}
	}
	return out
}

// Kinds of the incidents at the end of the recording, each once, sorted; an incident can have become another kind meanwhile.
func (o *Outcome) Kinds() []string {
	var out []string
	for i := range o.Final {
		out = append(out, string(o.Final[i].Kind))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Judge holds an outcome against its label.
func Judge(o *Outcome) *Result {
	r := &Result{Outcome: o}
	label := &o.Recording.Label
	right := slices.Clone(label.Also)
	for _, want := range label.Want {
		right = append(right, want.Kind)
		in := o.incident(want)
		if in == nil {
			r.Missed = append(r.Missed, want)
			continue
		}
		r.Found = append(r.Found, want)
		if !o.SignAt.IsZero() && !in.Kind.Forecast() { // a forecast comes before there is a sign
			r.Delays = append(r.Delays, max(0, in.OpenedAt.Sub(o.SignAt)))
		}
	}
	for _, k := range o.Kinds() {
		if slices.Contains(right, k) {
			continue
		}
		r.Extra = append(r.Extra, k)
		if slices.Contains(label.Not, k) {
			r.Wrong = append(r.Wrong, k)
		}
	}
	return r
}

// incident returns the first incident of the kind and workload that is wanted, nil for none.
func (o *Outcome) incident(want corpus.Want) *incident.Incident {
	for i := range o.Final {
		in := &o.Final[i]
		if string(in.Kind) == want.Kind && (want.Workload == "" || in.Workload.Kind+"/"+in.Workload.Name == want.Workload) {
			return in
		}
	}
	return nil
}

// KindScore is how well one kind is told.
type KindScore struct {
	Kind string
	// Real and Derived recordings of the kind.
	Real, Derived int
	// Wanted is how often the kind is in a label, Found how often of these it was found, Extra how often it was found where it
	// is neither wanted nor right beside what is.
	Wanted, Found, Extra int
	Delays               []time.Duration
}

// Precision is the share of what was found that is right, and whether anything was found.
func (k *KindScore) Precision() (float64, bool) { return share(k.Found, k.Found+k.Extra) }

// Recall is the share of what is wanted that was found, and whether anything is wanted.
func (k *KindScore) Recall() (float64, bool) { return share(k.Found, k.Wanted) }

func share(part, whole int) (float64, bool) {
	if whole == 0 {
		return 0, false
	}
	return float64(part) / float64(whole), true
}

// Table is the score of all recordings.
type Table struct {
	Results []*Result
	// Kinds in the order in which the checks run; Matrix counts recordings by Row and by kind found, or None.
	Kinds  []*KindScore
	Matrix map[string]map[string]int
	// Controls is how many recordings show nothing, FalseAlarms how many of them opened an incident.
	Controls, FalseAlarms int
	Failures              int
	Incidents, Warnings   int
	Actions, Blocked      int
}

// NewTable sums up results.
func NewTable(results []*Result) *Table {
	t := &Table{Results: results, Matrix: map[string]map[string]int{}}
	scores := map[string]*KindScore{}
	for _, k := range incident.Kinds() {
		s := &KindScore{Kind: string(k)}
		scores[s.Kind] = s
		t.Kinds = append(t.Kinds, s)
	}
	score := func(kind string) *KindScore {
		if scores[kind] == nil { // a label with a kind that is not known any more
			scores[kind] = &KindScore{Kind: kind}
			t.Kinds = append(t.Kinds, scores[kind])
		}
		return scores[kind]
	}
	for _, r := range results {
		t.count(r, score)
	}
	t.Kinds = slices.DeleteFunc(t.Kinds, func(k *KindScore) bool { return k.Wanted == 0 && k.Extra == 0 })
	return t
}

func (t *Table) count(r *Result, score func(string) *KindScore) {
	row := r.Row()
	if row == None {
		t.Controls++
		if len(r.Final) > 0 {
			t.FalseAlarms++
		}
	} else {
		t.Failures++
		t.Incidents += len(r.Final)
		t.Warnings += r.Warnings
		if r.Recording.Label.Derived != "" {
			score(row).Derived++
		} else {
			score(row).Real++
		}
	}
	cells := t.Matrix[row]
	if cells == nil {
		cells = map[string]int{}
		t.Matrix[row] = cells
	}
	kinds := r.Kinds()
	for _, k := range kinds {
		cells[k]++
	}
	if len(kinds) == 0 {
		cells[None]++
	}
	for _, want := range r.Recording.Label.Want {
		score(want.Kind).Wanted++
	}
	for _, want := range r.Found {
		score(want.Kind).Found++
	}
	if row != None {
		score(row).Delays = append(score(row).Delays, r.Delays...)
	}
	for _, k := range r.Extra {
		score(k).Extra++
	}
	for _, a := range r.Acts {
		t.Actions++
		if a.Blocked {
			t.Blocked++
		}
	}
}

// Micro returns precision and recall over all recordings together.
func (t *Table) Micro() (precision, recall float64) {
	var found, extra, wanted int
	for _, k := range t.Kinds {
		found, extra, wanted = found+k.Found, extra+k.Extra, wanted+k.Wanted
	}
	precision, _ = share(found, found+extra)
	recall, _ = share(found, wanted)
	return precision, recall
}

// Macro returns the mean precision and recall of the kinds that are in a label; a kind that was never found has precision 0.
func (t *Table) Macro() (precision, recall float64) {
	n := 0
	for _, k := range t.Kinds {
		if k.Wanted == 0 {
			continue
		}
		n++
		p, _ := k.Precision()
		r, _ := k.Recall()
		precision, recall = precision+p, recall+r
	}
	if n == 0 {
		return 0, 0
	}
	return precision / float64(n), recall / float64(n)
}

// Delays of all kinds, sorted.
func (t *Table) Delays() []time.Duration {
	var out []time.Duration
	for _, k := range t.Kinds {
		out = append(out, k.Delays...)
	}
	slices.SortFunc(out, cmp.Compare[time.Duration])
	return out
}

// quantile returns the smallest value that a share of the sorted values does not exceed; 0 for none.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	at := int(share*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}
