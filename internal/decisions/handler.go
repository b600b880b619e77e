package decisions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

// List is the answer to GET /decisions.
type List struct {
	Decisions []Line `json:"decisions"`
}

// Line is one autoscaler of a List.
type Line struct {
	Ref     cluster.Ref  `json:"ref"`
	Target  cluster.Ref  `json:"target"`
	Mode    control.Mode `json:"mode"`
	Current int32        `json:"current"`
	Desired int32        `json:"desired"`
	Reason  hpa.Reason   `json:"reason"`
	At      time.Time    `json:"at"`
	// AgeSeconds is how long ago the decision was made.
	AgeSeconds float64 `json:"ageSeconds"`
}

// KindOf returns the kind that a short name in a path or an argument means: autoscaler (autoscalers, as) or hpa (hpas,
// horizontalpodautoscaler, horizontalpodautoscalers); ok is false for any other.
func KindOf(short string) (kind string, ok bool) {
	switch short {
	case "autoscaler", "autoscalers", "as":
		return KindAutoscaler, true
	case "hpa", "hpas", "horizontalpodautoscaler", "horizontalpodautoscalers":
		return KindHPA, true
	}
	return "", false
}

// Path returns where the entry of an autoscaler is served.
func Path(namespace, kind, name string) string {
	short := "autoscaler"
	if kind == KindHPA {
		short = "hpa"
	}
	return "/decisions/" + namespace + "/" + short + "/" + name
}

// Register serves the store on mux: GET /decisions and GET /decisions/NAMESPACE/KIND/NAME. A process that does not act answers 503
// with a sentence; leader names the one that does, empty where that is not known.
func (s *Store) Register(mux *http.ServeMux, now func() time.Time, leader func() string) {
	mux.HandleFunc("GET /decisions", func(w http.ResponseWriter, _ *http.Request) {
		all, ok := s.List()
		if !ok {
			standby(w, leader())
			return
		}
		list, at := List{Decisions: make([]Line, 0, len(all))}, now()
		for i := range all {
			e := &all[i]
			list.Decisions = append(list.Decisions, Line{
				Ref: e.Ref, Target: e.Target, Mode: e.Mode, Current: e.Decision.Current, Desired: e.Decision.Desired,
				Reason: e.Decision.Reason, At: e.Decision.At, AgeSeconds: max(at.Sub(e.Decision.At), 0).Seconds(),
			})
		}
		answer(w, list)
	})
	mux.HandleFunc("GET /decisions/{namespace}/{kind}/{name}", func(w http.ResponseWriter, r *http.Request) {
		kind, ok := KindOf(r.PathValue("kind"))
		if !ok {
			http.Error(w, fmt.Sprintf("kind %q is not allowed: autoscaler or hpa", r.PathValue("kind")), http.StatusBadRequest)
			return
		}
		e, found, leading := s.Get(r.PathValue("namespace"), kind, r.PathValue("name"))
		switch {
		case !leading:
			standby(w, leader())
		case !found:
			http.Error(w, fmt.Sprintf("nothing was decided about %s %q in namespace %q; GET /decisions lists what was",
				r.PathValue("kind"), r.PathValue("name"), r.PathValue("namespace")), http.StatusNotFound)
		default:
			answer(w, e)
		}
	})
}

func standby(w http.ResponseWriter, leader string) {
	sentence := "this controller stands by and decides nothing; "
	if leader == "" {
		sentence += "which one leads is not known to it"
	} else {
		sentence += "the leader is " + leader
	}
	http.Error(w, sentence, http.StatusServiceUnavailable)
}

// answer writes JSON. A value that cannot be encoded (a number that is none, say) is an error of the server.
func answer(w http.ResponseWriter, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, fmt.Sprintf("encode answer: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client is gone: nobody is left to tell
}
