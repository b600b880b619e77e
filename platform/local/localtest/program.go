// Package localtest is the stand-in for a replica's program in the tests of the local platform: a real process that
// serves, burns CPU, leaks memory, has children, crashes, hangs, or does not want to end. A test binary becomes that program
// where its TestMain calls Main first and the environment variable Env is set. It is for tests only.
package localtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Env is the variable that turns a test binary into the program; its value is the mode.
const Env = "LOCALTEST"

// The modes of the program.
const (
	// Serve answers HTTP on 127.0.0.1:$PORT; see routes. SIGTERM ends it gracefully, unless IGNORE_TERM is set.
	Serve = "serve"
	// Crash prints two lines and exits with CODE, 3 if that is not set.
	Crash = "crash"
	// Leak takes memory at RATE MiB a second, 200 if that is not set, for ever.
	Leak = "leak"
	// Parent starts one child in the mode CHILD and waits for ever.
	Parent = "parent"
	// Burn uses one core for ever.
	Burn = "burn"
	// BurnShort uses one core for half a second and ends.
	BurnShort = "burn-short"
	// Sleep sleeps for ever.
	Sleep = "sleep"
)

// Main runs the program and exits if the environment asks for it; otherwise it returns.
func Main() {
	mode := os.Getenv(Env)
	if mode == "" {
		return
	}
	if os.Getenv("IGNORE_TERM") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	os.Exit(run(mode))
}

// Environ returns this process's environment with the mode, and further NAME=value, added.
func Environ(mode string, more ...string) []string {
	return append(append(os.Environ(), Env+"="+mode), more...)
}

func run(mode string) int {
	switch mode {
	case Serve:
		return serve()
	case Crash:
		say("starting")
		say("panic: cannot open the database")
		return number("CODE", 3)
	case Leak:
		leak(number("RATE", 200), 1<<20)
	case Parent:
		child := startChild(os.Getenv("CHILD"))
		say(fmt.Sprintf("child %d", child.Process.Pid))
		err := child.Wait()
		say(fmt.Sprintf("child ended: %v", err))
		select {} // it lives until it is killed
	case Burn:
		burn(time.Hour)
	case BurnShort:
		burn(500 * time.Millisecond)
	case Sleep:
		say("sleeping")
		time.Sleep(time.Hour)
	}
	return 0
}

func say(line string) { _, _ = fmt.Fprintln(os.Stdout, line) }

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func startChild(mode string) *exec.Cmd {
	child := exec.Command(os.Args[0]) //nolint:noctx // it lives as long as it likes
	child.Env = Environ(mode)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		say("start child: " + err.Error())
		os.Exit(70)
	}
	return child
}

func burn(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range 10_000 {
			_ = strconv.Itoa(12345)
		}
	}
}

// leak takes memory that no garbage collector gives back, in twenty steps a second, up to a total of MiB.
func leak(rate, total int) {
	const steps = 20
	for taken := 0; taken < total; {
		step := max(rate/steps, 1)
		block, err := syscall.Mmap(-1, 0, step<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			say("mmap: " + err.Error())
			os.Exit(71)
		}
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		taken += step
		say(fmt.Sprintf("leak: %d MiB taken", taken))
		time.Sleep(time.Second / steps)
	}
}

func serve() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getenv("IGNORE_TERM") != "" {
		ctx = context.Background()
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: routes(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	say("serving as " + os.Getenv("POD_NAME"))
	select {
	case err := <-ended:
		say(err.Error())
		return 1
	case <-ctx.Done():
	}
	say("draining")
	if err := server.Shutdown(context.Background()); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return 1
	}
	say("bye")
	return 0
}

func routes() http.Handler {
	var unready, hung atomic.Bool
	mux := http.NewServeMux()
	text := func(w http.ResponseWriter, s string) { _, _ = fmt.Fprintln(w, s) }
	param := func(r *http.Request, name string, otherwise int) int {
		if n, err := strconv.Atoi(r.FormValue(name)); err == nil {
			return n
		}
		return otherwise
	}
	probe := func(bad *atomic.Bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if bad.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
	mux.HandleFunc("/readyz", probe(&unready))
	mux.HandleFunc("/healthz", probe(&hung))
	mux.HandleFunc("/unready", func(http.ResponseWriter, *http.Request) { unready.Store(true) })
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { hung.Store(true) })
	mux.HandleFunc("/hostname", func(w http.ResponseWriter, _ *http.Request) { text(w, os.Getenv("POD_NAME")) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(param(r, "ms", 200)) * time.Millisecond)
		text(w, os.Getenv("POD_NAME"))
	})
	mux.HandleFunc("/burn", func(w http.ResponseWriter, r *http.Request) {
		go burn(time.Duration(param(r, "ms", 1000)) * time.Millisecond)
		text(w, "burning")
	})
	mux.HandleFunc("/leak", func(w http.ResponseWriter, r *http.Request) {
		go leak(param(r, "rate", 400), param(r, "total", 1<<20))
		text(w, "leaking")
	})
	mux.HandleFunc("/child-leak", func(w http.ResponseWriter, _ *http.Request) {
		child := startChild(Leak)
		go func() { _ = child.Wait() }()
		text(w, strconv.Itoa(child.Process.Pid))
	})
	mux.HandleFunc("/crash", func(_ http.ResponseWriter, r *http.Request) {
		say("fatal: crash was asked for")
		os.Exit(param(r, "code", 1))
	})
	return mux
}
