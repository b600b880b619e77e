// Command kubeall is every program of a small Kubernetes cluster in one static
// binary: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
// kube-proxy, kubectl, metrics-server and kwok.
//
// It runs the component it is called as (a symlink named kubelet runs the
// kubelet), or the one named by its first argument. One binary shares its text
// pages between the components, is linked once and is one file to cache. It has
// no logic of its own: flags, logs and exit codes are those of the component.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	kubeapiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kubecontrollermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubescheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	metricsserver "sigs.k8s.io/metrics-server/cmd/metrics-server/app"
)

// components lists the names kubeall answers to.
func components() []string {
	return []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"kubelet", "kube-proxy", "kubectl", "metrics-server", "kwok",
	}
}

func main() {
	name, args, err := component(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Args = args // the components read their flags from os.Args
	os.Exit(run(name, os.Stderr))
}

// component finds out which program is asked for: the base name of args[0], or
// args[1] with the rest shifted.
func component(args []string) (name string, rest []string, err error) {
	if name = filepath.Base(args[0]); slices.Contains(components(), name) {
		return name, args, nil
	}
	if len(args) > 1 && slices.Contains(components(), args[1]) {
		return args[1], args[1:], nil
	}
	return "", nil, errors.New("usage: kubeall COMPONENT [FLAG...], COMPONENT being one of " + strings.Join(components(), ", "))
}

// run runs one component until it ends and returns its exit code.
func run(name string, stderr io.Writer) int {
	var command *cobra.Command
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
		return 0
	case "kwok":
		return exitCode(runKwok(), stderr)
	case "kubectl":
		runKubectl()
		return 0
	case "kube-apiserver":
		command = kubeapiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		command = kubecontrollermanager.NewControllerManagerCommand()
	case "kube-scheduler":
		command = kubescheduler.NewSchedulerCommand()
	case "kubelet":
		command = kubelet.NewKubeletCommand(context.Background())
	case "kube-proxy":
		command = kubeproxy.NewProxyCommand()
	case "metrics-server":
		command = metricsserver.NewMetricsServerCommand(genericapiserver.SetupSignalHandler())
	}
	return cli.Run(command)
}

// runKubectl ends the process with kubectl's own messages and exit codes on error.
func runKubectl() {
	// -v must be known before the command is built: plugins and .kuberc are read then.
	if _, err := logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
}

// runKwok wires kwok's own flag groups, which it reads before its command exists.
func runKwok() error {
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(genericapiserver.SetupSignalContext(), flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err != nil {
		return fmt.Errorf("read kwok flags: %w", err)
	}
	command := kwok.NewCommand(ctx)
	// The components share one --version flag that is not a bool; cobra refuses to
	// start a command that has a version of its own beside it.
	command.Version = ""
	command.PersistentFlags().AddFlagSet(flags)
	return command.ExecuteContext(ctx)
}

func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, err)
	return 1
}
