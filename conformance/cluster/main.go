// Command cluster is a Kubernetes cluster of one machine without containers: etcd, API server, controller manager
// and a stand-in for a node in one program.
//
//	cluster up --state DIR --images FILE --podinit FILE [--manifests DIR]... -- COMMAND [ARGUMENT]...
//
// starts it in namespaces of its own, runs the command there with KUBECONFIG set, and ends everything.
//
//	cluster part [--state DIR] stop|kill|start etcd|apiserver|controllers|node|dns
//
// stops or starts one part of a running cluster, for tests of faults; inside, CLUSTER_STATE names the folder. The other
// subcommands are the parts, which `up` starts by itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"sekisho.dev/conformance/cluster/layout"
	"sekisho.dev/conformance/cluster/node"
	"sekisho.dev/conformance/cluster/servers"
	"sekisho.dev/conformance/cluster/supervisor"
)

const usage = "usage: cluster up --state DIR --images FILE --podinit FILE [--dns FILE] [--manifests DIR]... -- COMMAND [ARGUMENT]..."

type folders []string

func (f *folders) String() string { return strings.Join(*f, ",") }

func (f *folders) Set(value string) error {
	absolute, err := filepath.Abs(value)
	*f = append(*f, absolute)
	return err
}

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	if err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

func run(arguments []string) (int, error) {
	if len(arguments) == 0 {
		return 2, fmt.Errorf("%s", usage)
	}
	part := arguments[0]
	options, err := parse(arguments[1:])
	if err != nil {
		return 2, err
	}
	switch part {
	case "apiserver":
		return servers.APIServer(options.Files), nil
	case "controllers":
		return servers.ControllerManager(options.Files), nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	switch part {
	case "up":
		if len(options.Command) == 0 {
			return 2, fmt.Errorf("%s", usage)
		}
		stop()
		return supervisor.Enter(append([]string{"inside"}, arguments[1:]...))
	case "inside":
		return supervisor.Run(ctx, options)
	case "part":
		return 0, supervisor.Order(options.Files, options.Command)
	case "etcd":
		return 0, servers.Etcd(ctx, options.Files)
	case "node":
		return 0, runNode(ctx, options)
	}
	return 2, fmt.Errorf("there is no part %q; %s", part, usage)
}

func parse(arguments []string) (supervisor.Options, error) {
	var options supervisor.Options
	var state string
	var manifests folders
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.StringVar(&options.DNS, "dns", "", "path of the CoreDNS program; without it no names are resolved")
	flags.StringVar(&state, "state", os.Getenv("CLUSTER_STATE"), "folder of this run; it must be empty or absent")
	flags.StringVar(&options.Images, "images", "", "JSON file: container image to local program")
	flags.StringVar(&options.Podinit, "podinit", "", "path of the podinit program")
	flags.Var(&manifests, "manifests", "folder of YAML files to apply before the node starts; may be repeated")
	if err := flags.Parse(arguments); err != nil {
		return options, err
	}
	if state == "" {
		return options, fmt.Errorf("--state is missing; %s", usage)
	}
	absolute, err := filepath.Abs(state)
	if err != nil {
		return options, err
	}
	options.Files, options.Manifests, options.Command = layout.Files(absolute), manifests, flags.Args()
	return options, nil
}

func runNode(ctx context.Context, options supervisor.Options) error {
	images, err := node.ReadImages(options.Images)
	if err != nil {
		return err
	}
	podinit, err := filepath.Abs(options.Podinit)
	if err != nil {
		return err
	}
	stand, err := node.New(options.Files, images, podinit)
	if err != nil {
		return err
	}
	return stand.Run(ctx)
}
