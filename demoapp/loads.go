package demoapp

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/burn"
	"github.com/homeostat/homeostat/demoapp/internal/leak"
	"github.com/homeostat/homeostat/demoapp/internal/param"
)

// The limits of what one replica can be asked for. They keep a typing error from taking a node down for
// good; below them the memory limit and the CPU quota of the container decide.
const (
	maxLeakMiB  = 65536
	maxLeaks    = 8
	maxChildren = 4
	maxWorkers  = 64
)

// Kinds of jobs.
const (
	kindLeak  = "memory-leak"
	kindCPU   = "cpu-load"
	kindChild = "child-leak"
)

func (a *app) loadRoutes() []route {
	leaking := param.Set{
		{Name: "rate", Kind: param.Number, Default: "8", Min: 0.1, Max: 1024, Unit: "MiB/s", Doc: "how fast memory leaks"},
		{Name: "size", Kind: param.Integer, Default: "512", Min: 1, Max: maxLeakMiB, Unit: "MiB", Doc: "how much leaks; it is kept until stop=1"},
		{Name: "seconds", Kind: param.Number, Min: 0.1, Max: 86400, Unit: "s", Doc: "stop leaking earlier, and keep the memory"},
		{Name: "stop", Kind: param.Flag, Doc: "end the leaks and free their memory"},
	}
	return []route{
		{path: "/memory-leak", doc: "leak resident memory; answers 202 at once", params: leaking, effect: true, serve: a.serveMemoryLeak},
		{path: "/cpu-load", doc: "burn CPU: for a time in the background (202), or ms= within the request (200)", effect: true, serve: a.serveCPULoad, params: param.Set{
			{Name: "workers", Kind: param.Integer, Min: 1, Max: maxWorkers, Doc: "threads that burn side by side; without it as many as millicores needs, else 1"},
			{Name: "percent", Kind: param.Number, Default: "100", Min: 1, Max: 100, Unit: "% of one core", Doc: "how much each worker burns"},
			{Name: "millicores", Kind: param.Integer, Min: 1, Max: maxWorkers * 1000, Unit: "thousandths of a core", Doc: "how much all workers burn together, instead of percent"},
			{Name: "seconds", Kind: param.Number, Default: "60", Min: 0.1, Max: 3600, Unit: "s", Doc: "how long"},
			{Name: "wait", Kind: param.Flag, Doc: "answer 200 when the load is over instead of 202 at once"},
			{Name: "ms", Kind: param.Integer, Min: 1, Max: 10000, Unit: "ms of CPU time", Doc: "burn this much within the request, so that load = requests x cost; stands alone"},
			{Name: "stop", Kind: param.Flag, Doc: "end all loads of this replica"},
		}},
		{path: "/memory-load", doc: "hold memory within the request and answer 200, so that memory = concurrent requests x size", effect: true, serve: a.serveMemoryLoad, params: param.Set{
			{Name: "mb", Kind: param.Integer, Default: "8", Min: 1, Max: 1024, Unit: "MiB", Doc: "how much"},
			{Name: "seconds", Kind: param.Number, Default: "1", Min: 0, Max: 600, Unit: "s", Doc: "how long"},
		}},
		{path: "/child-leak", doc: "leak in a child process, so that it and not this one is killed; answers 202 at once", params: leaking, effect: true, serve: a.serveChildLeak},
	}
}

// leakStarted is the answer of an endpoint that started a leak.
type leakStarted struct {
	Hostname string  `json:"hostname"`
	Started  string  `json:"started"`
	PID      int     `json:"pid"`
	Rate     float64 `json:"rate_mib_per_second"`
	Size     int     `json:"size_mib"`
	Seconds  float64 `json:"seconds,omitempty"`
}

// stopped is the answer to stop=1.
type stopped struct {
	Hostname string  `json:"hostname"`
	Stopped  string  `json:"stopped"`
	Count    int     `json:"count"`
	Freed    float64 `json:"freed_mib,omitempty"`
}

func leakPlan(v param.Values) leak.Plan {
	return leak.Plan{Rate: v.Float("rate"), Size: v.Int("size"), Duration: seconds(v)}
}

func seconds(v param.Values) time.Duration {
	return time.Duration(v.Float("seconds") * float64(time.Second))
}

// alone refuses parameters beside one that stands alone.
func alone(v param.Values, name string, others ...string) error {
	for _, other := range others {
		if v.Given(other) {
			return param.Refuse(other, v.Raw(other), name+" without "+other, "it has no meaning together with "+name)
		}
	}
	return nil
}

func (a *app) serveMemoryLeak(w http.ResponseWriter, r *http.Request, v param.Values) error {
	if v.Flag("stop") {
		if err := alone(v, "stop", "rate", "size", "seconds"); err != nil {
			return err
		}
		count := a.jobs.Stop(kindLeak)
		freed := a.memory.Free()
		a.log.LogAttrs(r.Context(), slog.LevelInfo, "leaked memory freed", append(leak.Attrs(), slog.Float64("freed_mib", leak.InMiB(freed)))...)
		writeJSON(w, http.StatusOK, stopped{Hostname: a.opts.Hostname, Stopped: kindLeak, Count: count, Freed: leak.InMiB(freed)})
		return nil
	}
	plan := leakPlan(v)
	if err := a.jobs.Start(r.Context(), kindLeak, 1, maxLeaks, func(ctx context.Context) {
		leak.Log(ctx, a.log, a.memory, plan)
	}); err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, leakStarted{a.opts.Hostname, kindLeak, a.identity.PID, plan.Rate, plan.Size, plan.Duration.Seconds()})
	return nil
}

// serveMemoryLoad is the cost of one request. It logs nothing: it is the ordinary traffic of the demo.
func (a *app) serveMemoryLoad(w http.ResponseWriter, r *http.Request, v param.Values) error {
	held := &leak.Memory{}
	defer held.Free()
	held.Take(r.Context(), int64(v.Int("mb"))*leak.MiB)
	if wait(r.Context(), seconds(v)) {
		writeJSON(w, http.StatusOK, map[string]any{"hostname": a.opts.Hostname, "held_mib": leak.InMiB(held.Held()), "seconds": v.Float("seconds")})
	}
	return nil
}

func (a *app) serveChildLeak(w http.ResponseWriter, r *http.Request, v param.Values) error {
	if v.Flag("stop") {
		if err := alone(v, "stop", "rate", "size", "seconds"); err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, stopped{Hostname: a.opts.Hostname, Stopped: kindChild, Count: a.jobs.Stop(kindChild)})
		return nil
	}
	plan := leakPlan(v)
	started := make(chan int, 1)
	failed := make(chan error, 1)
	if err := a.jobs.Start(r.Context(), kindChild, 1, maxChildren, func(ctx context.Context) {
		child := leak.Child{Command: a.opts.ChildCommand, Output: a.opts.Log, Reaper: a.reaper}
		death, err := child.Run(ctx, plan, func(pid int) {
			a.log.WarnContext(ctx, "child process leaks memory", "child_pid", pid, "rate_mib_per_second", plan.Rate, "target_mib", plan.Size)
			started <- pid
		})
		if err != nil {
			failed <- err
			return
		}
		a.logDeath(ctx, death)
	}); err != nil {
		return err
	}
	select {
	case pid := <-started:
		writeJSON(w, http.StatusAccepted, leakStarted{a.opts.Hostname, kindChild, pid, plan.Rate, plan.Size, plan.Duration.Seconds()})
		return nil
	case err := <-failed:
		return err
	case <-r.Context().Done():
		return nil
	}
}

// logDeath tells a child that was stopped from one that was killed by somebody else.
func (a *app) logDeath(ctx context.Context, death leak.Death) {
	attrs := []slog.Attr{
		slog.Int("child_pid", death.PID), slog.Int("exit_code", death.ExitCode), slog.String("signal", death.Signal),
		slog.Float64("lived_seconds", rounded(death.Age)),
	}
	switch {
	case ctx.Err() != nil:
		a.log.LogAttrs(ctx, slog.LevelInfo, "child process stopped", attrs...)
	case death.ExitCode == 137:
		a.telemetry.childKilled()
		a.log.LogAttrs(ctx, slog.LevelError, "child process was killed, most likely out of memory; serving on", append(attrs, leak.Attrs()...)...)
	default:
		a.log.LogAttrs(ctx, slog.LevelError, "child process ended by itself; serving on", attrs...)
	}
}

// loadStarted is the answer of /cpu-load to everything but ms and stop.
type loadStarted struct {
	Hostname   string   `json:"hostname"`
	Load       string   `json:"load"`
	Workers    int      `json:"workers"`
	Millicores float64  `json:"millicores"`
	Seconds    float64  `json:"seconds"`
	CPUSeconds *float64 `json:"cpu_seconds,omitempty"`
}

func (a *app) serveCPULoad(w http.ResponseWriter, r *http.Request, v param.Values) error {
	switch {
	case v.Flag("stop"):
		if err := alone(v, "stop", "workers", "percent", "millicores", "seconds", "wait", "ms"); err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, stopped{Hostname: a.opts.Hostname, Stopped: kindCPU, Count: a.jobs.Stop(kindCPU)})
		return nil
	case v.Given("ms"):
		if err := alone(v, "ms", "workers", "percent", "millicores", "seconds", "wait"); err != nil {
			return err
		}
		return a.burnWithin(w, r, time.Duration(v.Int("ms"))*time.Millisecond)
	}
	plan, err := burnPlan(v)
	if err != nil {
		return err
	}
	answer := loadStarted{Hostname: a.opts.Hostname, Load: "started", Workers: plan.Workers, Seconds: plan.Duration.Seconds()}
	answer.Millicores = math.Round(plan.Share * float64(plan.Workers) * 1000)
	done := make(chan float64, 1)
	if err := a.jobs.Start(r.Context(), kindCPU, plan.Workers, maxWorkers, func(ctx context.Context) {
		a.log.InfoContext(ctx, "cpu load started", "workers", plan.Workers, "millicores", answer.Millicores, "seconds", answer.Seconds)
		spent := rounded(burn.Run(ctx, plan))
		a.telemetry.burnt(spent)
		a.log.InfoContext(ctx, "cpu load ended", "workers", plan.Workers, "millicores", answer.Millicores, "cpu_seconds", spent)
		done <- spent
	}); err != nil {
		return err
	}
	if !v.Flag("wait") {
		writeJSON(w, http.StatusAccepted, answer)
		return nil
	}
	select {
	case spent := <-done:
		answer.Load, answer.CPUSeconds = "ended", &spent
		writeJSON(w, http.StatusOK, answer)
	case <-r.Context().Done():
	}
	return nil
}

func burnPlan(v param.Values) (burn.Plan, error) {
	plan := burn.Plan{Workers: max(1, v.Int("workers")), Share: v.Float("percent") / 100, Duration: seconds(v)}
	if !v.Given("millicores") {
		return plan, nil
	}
	millicores := v.Int("millicores")
	if v.Given("percent") {
		return plan, param.Refuse("percent", v.Raw("percent"), "percent or millicores", "both say how much to burn")
	}
	if !v.Given("workers") {
		plan.Workers = (millicores + 999) / 1000
	}
	if millicores > plan.Workers*1000 {
		return plan, param.Refuse("millicores", v.Raw("millicores"), "1 to 1000 for each of the "+strconv.Itoa(plan.Workers)+" workers", "more than the workers can burn")
	}
	plan.Share = float64(millicores) / float64(1000*plan.Workers)
	return plan, nil
}

// burnWithin is the cost of one request. It logs nothing: it is the ordinary traffic of the demo.
func (a *app) burnWithin(w http.ResponseWriter, r *http.Request, cpu time.Duration) error {
	begin := time.Now()
	spent := burn.Spend(r.Context(), cpu)
	a.telemetry.burnt(spent.Seconds())
	writeJSON(w, http.StatusOK, struct {
		Hostname string  `json:"hostname"`
		CPU      float64 `json:"cpu_ms"`
		Wall     float64 `json:"wall_ms"`
	}{a.opts.Hostname, milliseconds(spent), milliseconds(time.Since(begin))})
	return nil
}

// milliseconds rounds to a tenth.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}
