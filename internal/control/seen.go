package control

import (
	"reflect"
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// LongestUnseen is how old the stored LastSeenAt of an incident can get while its failure lasts and nothing else about it changes:
// it is what the pauses between two such writes grow to. Whoever takes an incident for forgotten has to wait longer.
const LongestUnseen = 5 * time.Minute

// firstUnseen is the first of these pauses, after every change.
const firstUnseen = 30 * time.Second

// worthStoring returns the saves that are to be stored now: all but those that only say that the failure of a stored incident is
// still seen, and say so too soon. These are worth a write less and less often, as nothing is decided on them: 30 s, 1 min, 2 min …
// after the last change, and then every LongestUnseen. The lists that are given are not changed.
func worthStoring(list []healing.Save, stored []incident.Incident, now time.Time) []healing.Save {
	out := make([]healing.Save, 0, len(list))
	for _, save := range list {
		in := &save.Incident
		i := slices.IndexFunc(stored, func(s incident.Incident) bool { return s.Namespace == in.Namespace && s.Name == in.Name })
		if i < 0 || save.Event != "" || len(save.Capture) > 0 || now.Sub(stored[i].LastSeenAt) >= unseen(&stored[i]) || !onlySeen(&stored[i], in) {
			out = append(out, save)
		}
	}
	return out
}

// unseen is the pause after the stored sighting: as long as it was after the last change, within its bounds, so that each is twice
// the one before. It follows from what is stored, so that another leader goes on with it.
func unseen(in *incident.Incident) time.Duration {
	changed := in.OpenedAt
	if n := len(in.Timeline); n > 0 && in.Timeline[n-1].At.After(changed) {
		changed = in.Timeline[n-1].At
	}
	return min(max(in.LastSeenAt.Sub(changed), firstUnseen), LongestUnseen)
}

// onlySeen reports whether the incident differs from what is stored in nothing but LastSeenAt.
func onlySeen(stored, in *incident.Incident) bool {
	same := *in
	same.LastSeenAt = stored.LastSeenAt
	return reflect.DeepEqual(&same, stored)
}
