package healing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

func TestDefaultPolicy(t *testing.T) {
	p := DefaultPolicy()
	if err := p.Validate(); err != nil {
		t.Errorf("the default policy is refused: %v", err)
	}
	if p.Mode != Observe {
		t.Errorf("the default mode is %q", p.Mode)
	}
	for _, k := range incident.Kinds() {
		if !Allows(k, incident.RemedyNone) {
			t.Errorf("%s does not allow None", k)
		}
		for _, r := range DefaultLadder(k) {
			if !Allows(k, r) {
				t.Errorf("the default ladder for %s has %s, which is not allowed", k, r)
			}
		}
	}
	if Allows("Unheard", incident.RemedyRestart) || Allows(incident.OOMKilled, "Reboot") {
		t.Error("what is not known is allowed")
	}
}

func TestLadderForDoesNoHarm(t *testing.T) {
	p := Policy{Remedies: map[incident.Kind][]incident.Remedy{incident.CrashLoop: {incident.RemedyRestart}, incident.OOMKilled: {incident.RemedyRestart}}}
	if rungs, named := p.LadderFor(incident.CrashLoop); len(rungs) != 0 || !named {
		t.Errorf("a policy that was not validated gives CrashLoop the remedies %v", rungs)
	}
	if rungs, named := p.LadderFor(incident.OOMKilled); !slices.Equal(rungs, []incident.Remedy{incident.RemedyRestart}) || !named {
		t.Errorf("OOMKilled has %v", rungs)
	}
	if rungs, named := p.LadderFor(incident.NotReady); !slices.Equal(rungs, DefaultLadder(incident.NotReady)) || named {
		t.Errorf("NotReady has %v", rungs)
	}
}

func TestValidate(t *testing.T) {
	remedies := func(k incident.Kind, r incident.Remedy) func(*Policy) {
		return func(p *Policy) { p.Remedies = map[incident.Kind][]incident.Remedy{k: {r}} }
	}
	for _, tt := range []struct {
		name   string
		change func(*Policy)
		want   []string // parts of the error: field, value, what is allowed; empty: none
	}{
		{name: "observe by omission", change: func(p *Policy) { p.Mode = "" }},
		{name: "no budget", change: func(p *Policy) { p.BudgetActions = 0 }},
		{name: "the only replica may go", change: func(p *Policy) { p.MinHealthyPercent = 0 }},
		{name: "an allowed remedy", change: remedies(incident.OOMKilled, incident.RemedyRestart)},
		{name: "none is always allowed", change: remedies(incident.CrashLoop, incident.RemedyNone)},
		{name: "mode", change: func(p *Policy) { p.Mode = "act" }, want: []string{"mode", `"act"`, "Observe or Act"}},
		{name: "kind", change: remedies("Oops", incident.RemedyNone), want: []string{"remedies", `"Oops"`, "OOMKilled", "NotReady"}},
		{name: "remedy", change: remedies(incident.NotReady, "Reboot"), want: []string{"remedies[NotReady]", `"Reboot"`, "Restart"}},
		{name: "harm", change: remedies(incident.ImagePull, incident.RemedyRestart), want: []string{"remedies[ImagePull]", "Restart", "must be one of None"}},
		{name: "budget", change: func(p *Policy) { p.BudgetActions = -1 }, want: []string{"budgetActions", "-1", "0 to 100"}},
		{name: "period", change: func(p *Policy) { p.BudgetPeriod = 0 }, want: []string{"budgetPeriod", "0s", "1s to 168h"}},
		{name: "share", change: func(p *Policy) { p.MinHealthyPercent = 101 }, want: []string{"minHealthyPercent", "101", "0 to 100"}},
		{name: "cooldown", change: func(p *Policy) { p.Cooldown = -time.Second }, want: []string{"cooldown", "-1s"}},
		{name: "verify", change: func(p *Policy) { p.VerifyWithin = 0 }, want: []string{"verifyWithin", "0s"}},
		{name: "resolve", change: func(p *Policy) { p.ResolveAfter = 30 * 24 * time.Hour }, want: []string{"resolveAfter", "720h"}},
		{name: "not ready", change: func(p *Policy) { p.NotReadyAfter = time.Millisecond }, want: []string{"notReadyAfter", "1ms"}},
		{name: "pending", change: func(p *Policy) { p.PendingAfter = -1 }, want: []string{"pendingAfter", "-1ns"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := DefaultPolicy()
			tt.change(&p)
			err := p.Validate()
			if len(tt.want) == 0 {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("not refused")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
