package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// few and many are the bounds of the Autoscaler, in web.yaml and in the manifests.
const few, many = 2, 4

const ordinary = "/hostname"

// Script is the pace of a story.
type Script struct {
	// Rate of the ordinary requests, per second.
	Rate float64
	// LeakRate in MiB a second: slow enough for a few samples before the limit is reached.
	LeakRate int
	// LoadRate of the requests that are the load, per second, and how much CPU time each costs.
	LoadRate   float64
	LoadMillis int
	// Patience is how long one chapter may take.
	Patience time.Duration
}

// LocalScript is the pace on processes of this machine: a leak is sampled twice a second.
func LocalScript() Script {
	return Script{Rate: 20, LeakRate: 24, LoadRate: 20, LoadMillis: 20, Patience: 90 * time.Second}
}

// KubeScript is the pace on Kubernetes: a kubelet reads the usage of a container every ten seconds or so, and evidence
// of a leak needs some of them.
func KubeScript() Script {
	return Script{Rate: 20, LeakRate: 4, LoadRate: 20, LoadMillis: 20, Patience: 5 * time.Minute}
}

// chapter is one part of the story.
type chapter struct {
	title, about string
	// what is measured, as the table says it.
	what string
	play func(ctx context.Context, p *play) error
}

func chapters(s Script) []chapter {
	return []chapter{
		{
			title: "Two replicas, and traffic over both",
			about: fmt.Sprintf("%v requests a second for %s.", s.Rate, ordinary),
			what:  "two replicas ready", play: beginning,
		},
		{
			title: "A replica is killed",
			about: "The platform starts it again. One death is no incident.",
			what:  "a replica killed and back", play: killed,
		},
		{
			title: "A replica leaks memory",
			about: "It is killed at its memory limit, and the platform starts it again. Homeostat says why it died, with evidence. The policy's " +
				"remedy for OOMKilled is None, so it leaves the replica alone.",
			what: "a leak killed, explained and resolved", play: leaked,
		},
		{
			title: "A replica hangs",
			about: "It runs and is not ready, and no platform restarts that. The policy's remedy for NotReady is Restart.",
			what:  "a hung replica found, restarted and resolved", play: hung,
		},
		{
			title: "Load comes: 2 → 4",
			about: fmt.Sprintf("%v requests a second that cost %d ms of CPU time each. The Autoscaler's target is 40 %% of the CPU request.", s.LoadRate, s.LoadMillis),
			what:  "load comes: 2 → 4 ready", play: busy,
		},
		{
			title: "The load ends: 4 → 2",
			about: "Replicas leave when the load has been low for the stabilization window, and drain first.",
			what:  "the load ends: 4 → 2", play: idle,
		},
	}
}

func beginning(ctx context.Context, p *play) error {
	if err := p.until(ctx, "two replicas that are ready", func(v *View) bool { return v.settled(few) }); err != nil {
		return err
	}
	p.to()
	if err := p.send(ctx, ordinary, p.script.Rate); err != nil {
		return err
	}
	return p.linger(ctx, 3*time.Second)
}

func killed(ctx context.Context, p *play) error {
	if err := p.send(ctx, ordinary, p.script.Rate); err != nil {
		return err
	}
	if err := p.linger(ctx, time.Second); err != nil {
		return err
	}
	victim, err := p.victim()
	if err != nil {
		return err
	}
	p.from()
	how, err := p.stage.Kill(ctx, victim.Name)
	if err != nil {
		return fmt.Errorf("kill %s: %w", victim.Name, err)
	}
	p.say(line{subject: "demo", text: victim.Name + " " + how, tone: acted})
	err = p.until(ctx, victim.Name+" to be started again and ready", func(v *View) bool {
		return backAgain(v, &victim) && v.ready() == few
	})
	p.to()
	if err != nil {
		return err
	}
	return p.linger(ctx, 2*time.Second)
}

// backAgain reports whether the replica, as it was, was restarted since and is ready.
func backAgain(v *View, was *cluster.Replica) bool {
	r := v.find(was.Name)
	return r != nil && r.Ready && container(r).Restarts > container(was).Restarts
}

func leaked(ctx context.Context, p *play) error {
	if err := p.send(ctx, ordinary, p.script.Rate); err != nil {
		return err
	}
	victim, err := p.victim()
	if err != nil {
		return err
	}
	before := p.view
	p.from()
	if err := p.ask(ctx, &victim, fmt.Sprintf("/memory-leak?rate=%d&size=1024", p.script.LeakRate)); err != nil {
		return err
	}
	err = p.until(ctx, victim.Name+" to be killed at its memory limit", func(v *View) bool {
		r := v.find(victim.Name)
		if r == nil {
			return false
		}
		death, old := container(r).LatestDeath(), container(&victim).LatestDeath()
		return death != nil && death.Reason == cluster.ReasonOOMKilled && (old == nil || old.ContainerID != death.ContainerID)
	})
	if err != nil {
		return err
	}
	of := func(v *View) *incident.Incident { return fresh(&before, v, incident.OOMKilled) }
	err = p.until(ctx, "an incident of kind OOMKilled that the policy leaves alone", func(v *View) bool {
		in := of(v)
		return in != nil && in.Noted(string(healing.ReasonNoRemedy))
	})
	if err != nil {
		return err
	}
	if err := p.until(ctx, victim.Name+" to be started again and ready", func(v *View) bool { return backAgain(v, &victim) }); err != nil {
		return err
	}
	err = p.until(ctx, "the incident to be resolved", func(v *View) bool {
		in := of(v)
		return in != nil && !in.State.Active()
	})
	p.to()
	if in := of(&p.view); err == nil && len(in.Remediations) > 0 {
		return fmt.Errorf("incident %s was acted on, though the policy's remedy is None", in.Name)
	}
	return err
}

func hung(ctx context.Context, p *play) error {
	if err := p.send(ctx, ordinary, p.script.Rate); err != nil {
		return err
	}
	victim, err := p.victim()
	if err != nil {
		return err
	}
	before := p.view
	p.from()
	if err := p.ask(ctx, &victim, "/hang?probe=readiness&seconds=3600"); err != nil {
		return err
	}
	steps := []struct {
		what string
		done func(in *incident.Incident) bool
	}{
		{"an incident of kind NotReady", func(*incident.Incident) bool { return true }},
		{"Homeostat to restart " + victim.Name, func(in *incident.Incident) bool { return remedied(in, incident.Done, incident.Succeeded) }},
		{"the restart to be verified", func(in *incident.Incident) bool { return remedied(in, incident.Succeeded) }},
		{"the incident to be resolved", func(in *incident.Incident) bool { return !in.State.Active() }},
	}
	for _, s := range steps {
		err := p.until(ctx, s.what, func(v *View) bool {
			in := fresh(&before, v, incident.NotReady)
			return in != nil && s.done(in)
		})
		if err != nil {
			return err
		}
	}
	err = p.until(ctx, "two replicas that are ready", func(v *View) bool { return v.settled(few) })
	p.to()
	return err
}

// remedied reports whether the last remediation of the incident came to one of the outcomes.
func remedied(in *incident.Incident, outcomes ...incident.Outcome) bool {
	if len(in.Remediations) == 0 {
		return false
	}
	last := in.Remediations[len(in.Remediations)-1].Outcome
	return slices.Contains(outcomes, last)
}

func busy(ctx context.Context, p *play) error {
	path := fmt.Sprintf("/cpu-load?ms=%d", p.script.LoadMillis)
	p.from()
	if err := p.send(ctx, path, p.script.LoadRate); err != nil {
		return err
	}
	p.say(line{subject: "demo", text: fmt.Sprintf("sends %v requests a second for %s", p.script.LoadRate, path), tone: acted})
	if err := p.until(ctx, "the Autoscaler to ask for 4 replicas", func(v *View) bool { return v.Desired == many }); err != nil {
		return err
	}
	err := p.until(ctx, "4 replicas that are ready", func(v *View) bool { return v.settled(many) })
	p.to()
	if err != nil {
		return err
	}
	return p.linger(ctx, 5*time.Second)
}

func idle(ctx context.Context, p *play) error {
	p.from()
	if err := p.send(ctx, ordinary, p.script.Rate); err != nil {
		return err
	}
	p.say(line{subject: "demo", text: "the load is over, ordinary requests go on", tone: acted})
	err := p.until(ctx, "2 replicas again", func(v *View) bool { return v.settled(few) })
	p.to()
	return err
}
