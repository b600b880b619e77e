package policy

import (
	"reflect"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// Every rule of spec.health can be switched off by its name, alone, and with all of them the decision is that of Kubernetes.
func TestEveryHealthRuleCanBeSwitchedOffByName(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[v1alpha1.AutoscalerHealth]()
	var all []string
	for f := range fields.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "oomWindow" { // how long, not whether
			continue
		}
		all = append(all, name)
		health, err := HealthOff(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		given := 0
		for _, v := range reflect.ValueOf(health).Fields() {
			if !v.IsNil() {
				given++
			}
		}
		if given != 1 || reflect.ValueOf(health).FieldByIndex(f.Index).IsNil() {
			t.Errorf("%s switches off %d rules: %+v", name, given, health)
		}
	}
	spec := &parse(t, autoscaler("  maxReplicas: 4")).Autoscalers[0].Spec
	var err error
	if spec.Health, err = HealthOff(strings.Join(all, " , ") + ","); err != nil {
		t.Fatal(err)
	}
	p, err := Autoscaling(spec)
	if err != nil {
		t.Fatal(err)
	}
	if want := (hpa.HealthPolicy{OOMWindow: p.Health.OOMWindow}); p.Health != want {
		t.Errorf("with every rule off there is %+v", p.Health)
	}
	if _, err := HealthOff("partialIsMissing,crashLoops"); err == nil || !strings.Contains(err.Error(), `homeostat.dev/health-off]: "crashLoops" is not allowed`) {
		t.Errorf("error %v, want the word and the annotation", err)
	}
}
