package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/schedule"
)

// Schedules returns the schedules of the spec, in its order. An error is an aggregate of field.Errors.
func Schedules(spec *v1alpha1.AutoscalerSpec) (schedule.Set, error) {
	set, errs := readSchedules(spec, field.NewPath("spec", "schedules"))
	if err := errs.ToAggregate(); err != nil {
		return nil, err
	}
	return set, nil
}

func readSchedules(spec *v1alpha1.AutoscalerSpec, at *field.Path) (schedule.Set, field.ErrorList) {
	if n := len(spec.Schedules); n > MaxSchedules {
		return nil, field.ErrorList{field.TooMany(at, n, MaxSchedules)}
	}
	var errs field.ErrorList
	var set schedule.Set
	names := map[string]bool{}
	for i := range spec.Schedules {
		s, item := &spec.Schedules[i], at.Index(i)
		parsed, faults := readSchedule(s, item)
		set, errs = append(set, parsed), append(errs, faults...)
		if names[s.Name] {
			errs = append(errs, field.Duplicate(item.Child("name"), s.Name))
		}
		names[s.Name] = true
		if s.MinReplicas > spec.MaxReplicas {
			errs = append(errs, field.Invalid(item.Child("minReplicas"), s.MinReplicas, fmt.Sprintf("must be at most maxReplicas, which is %d", spec.MaxReplicas)))
		}
	}
	return set, errs
}

func readSchedule(s *v1alpha1.Schedule, at *field.Path) (schedule.Schedule, field.ErrorList) {
	var errs field.ErrorList
	parsed, err := schedule.Parse(schedule.Spec{Name: s.Name, Start: s.Start, End: s.End, TimeZone: s.TimeZone, MinReplicas: s.MinReplicas})
	if faults, ok := errors.AsType[schedule.SpecErrors](err); ok {
		for _, f := range faults {
			errs = append(errs, field.Invalid(at.Child(f.Field), f.Value, "must be "+f.Must))
		}
	}
	if problems := validation.IsDNS1123Label(s.Name); s.Name != "" && len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("name"), s.Name, problems[0]))
	}
	return parsed, errs
}

// AppPage says where the replicas of a target serve their own metrics page.
type AppPage struct {
	// Port is the number of the port, 0 where PortName names it among the ports of the containers.
	Port     int32
	PortName string
	// Path begins with a slash; Scheme is http or https.
	Path, Scheme string
	// Container whose process serves the page; empty: the one that has the port, or the only one.
	Container string
}

// The defaults of AppPage.
const (
	DefaultAppPath   = "/metrics"
	DefaultAppScheme = "http"
)

// App returns where the app's metrics page is, with the defaults for what is left out; given is false where the spec has no
// appMetrics. An error is an aggregate of field.Errors.
func App(spec *v1alpha1.AutoscalerSpec) (page AppPage, given bool, err error) {
	if spec.AppMetrics == nil {
		return AppPage{}, false, nil
	}
	page, errs := readApp(spec.AppMetrics, field.NewPath("spec", "appMetrics"))
	if err := errs.ToAggregate(); err != nil {
		return AppPage{}, true, err
	}
	return page, true, nil
}

func readApp(a *v1alpha1.AppMetrics, at *field.Path) (AppPage, field.ErrorList) {
	var errs field.ErrorList
	page := AppPage{Path: DefaultAppPath, Scheme: DefaultAppScheme, Container: a.Container}
	var problems []string
	if a.Port.Type == intstr.Int {
		page.Port = a.Port.IntVal
		problems = validation.IsValidPortNum(a.Port.IntValue())
	} else {
		page.PortName = a.Port.StrVal
		problems = validation.IsValidPortName(a.Port.StrVal)
	}
	if len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("port"), a.Port.String(), problems[0]))
	}
	if a.Path != "" {
		page.Path = a.Path
	}
	if !strings.HasPrefix(page.Path, "/") {
		errs = append(errs, field.Invalid(at.Child("path"), page.Path, "must begin with /, such as /metrics"))
	}
	switch a.Scheme {
	case "":
	case "http", "https":
		page.Scheme = a.Scheme
	default:
		errs = append(errs, field.NotSupported(at.Child("scheme"), a.Scheme, []string{"http", "https"}))
	}
	if a.Container != "" {
		for _, problem := range validation.IsDNS1123Label(a.Container) {
			errs = append(errs, field.Invalid(at.Child("container"), a.Container, problem))
		}
	}
	return page, errs
}

// Period returns the time between two decisions, MinPeriod to MaxPeriod. Default: that of the loop.
func Period(spec *v1alpha1.AutoscalerSpec) time.Duration {
	if spec.Timing.SyncPeriod == nil {
		return control.DefaultPeriod
	}
	return min(max(spec.Timing.SyncPeriod.Duration, MinPeriod), MaxPeriod)
}
