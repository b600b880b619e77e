package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

// setting is an option of `lab up` that a flag or a variable of the environment
// can give. One that neither gives stays as it is in the running lab.
type setting struct {
	flag, env, usage string
	apply            func(options *layout.Options, value string) error
}

func settings() []setting {
	return []setting{
		{"nodes", "NODES", "worker nodes, 1 or 2 (default 1)", func(o *layout.Options, v string) error {
			return setInt(&o.Nodes, v)
		}},
		{"hpa", "HPA", "stock: Kubernetes' own HPA controller runs; none: it does not (default stock)", func(o *layout.Options, v string) error {
			o.HPA = v
			return nil
		}},
		{"metrics-server", "METRICS_SERVER", "1: run metrics-server, 0: do not (default 0)", func(o *layout.Options, v string) (err error) {
			if o.MetricsServer, err = strconv.ParseBool(v); err != nil {
				return fmt.Errorf("%q is not possible, 0 and 1 are", v)
			}
			return nil
		}},
		{"port", "LAB_PORT", fmt.Sprintf("loopback port of this machine for the API server (default %d)", layout.DefaultAPIPort), func(o *layout.Options, v string) error {
			return setInt(&o.API.HostPort, v)
		}},
		{"forward", "LAB_FORWARD", "NodePorts, or HOSTPORT:NODEPORTs, to reach from this machine, separated by commas, beside 30080", addForwards},
		{"loki", "LAB_LOKI", "address of a Loki on this machine, such as http://127.0.0.1:3100, that the logs of all containers are sent to; off: to none (default off)", func(o *layout.Options, v string) error {
			o.Loki = v
			if v == "off" {
				o.Loki = ""
			}
			return nil
		}},
		{"reserved-cpu", "LAB_RESERVED_CPU", "CPU of each node that pods do not get (default 500m)", func(o *layout.Options, v string) error {
			o.ReservedCPU = v
			return nil
		}},
		{"reserved-memory", "LAB_RESERVED_MEMORY", "memory of each node that pods do not get (default: so that they share three quarters of the machine's)", func(o *layout.Options, v string) error {
			o.ReservedMemory = v
			return nil
		}},
	}
}

func setInt(to *int, value string) error {
	number, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%q is not a number", value)
	}
	*to = number
	return nil
}

// addForwards adds to the forwards, replacing one to the same NodePort.
func addForwards(options *layout.Options, value string) error {
	for part := range strings.SplitSeq(value, ",") {
		forward, err := layout.ParseForward(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		options.Forwards = slices.DeleteFunc(options.Forwards, func(f layout.Forward) bool { return f.Port == forward.Port })
		options.Forwards = append(options.Forwards, forward)
	}
	return nil
}

func up(ctx context.Context, args []string, streams Streams) error {
	flags := newFlags("up", "", streams.Err)
	which := targetFlags(flags)
	all := settings()
	for _, s := range all {
		flags.String(s.flag, "", s.usage+"; also "+s.env)
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return fmt.Errorf("%w: %q is not expected", errUsage, flags.Arg(0))
	}
	lab, err := which.lab(streams)
	if err != nil {
		return err
	}
	options := layout.Defaults()
	if saved, ok, err := lab.Load(); err != nil {
		return err
	} else if ok {
		options = saved.Options
	}
	options.Name = *which.name
	if err := apply(&options, all, flags); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := options.Validate(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return lab.Up(ctx, options)
}

// apply sets the options that are given: by the environment, or, stronger, by a flag.
func apply(options *layout.Options, all []setting, flags *flag.FlagSet) error {
	given := map[string]string{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	var errs []error
	for _, s := range all {
		name, value := "--"+s.flag, given[s.flag]
		if value == "" {
			name, value = s.env, os.Getenv(s.env)
		}
		if value == "" {
			continue
		}
		if err := s.apply(options, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
