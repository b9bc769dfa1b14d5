package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/internal/cluster"
)

const emulatedVersion = "emulated-version"

// follow applies the flags about versions and features. kube-scheduler must not be newer than its API server:
// it would wait indefinitely for newer APIs, and never be ready. This one emulates an older API server's
// release, unless --emulated-version is set.
func follow(ctx context.Context, flags *pflag.FlagSet, opts *options.Options) (cluster.Server, error) {
	if opts.WriteConfigTo != "" { // the API server is not used
		return cluster.Server{}, opts.ComponentGlobalsRegistry.Set()
	}
	config, err := apiServer(opts)
	if err != nil {
		return cluster.Server{}, fmt.Errorf("finding the API server (set --kubeconfig, or clientConnection in the file of --config, or run in a cluster): %w", err)
	}
	server, err := cluster.Await(ctx, config)
	if err != nil {
		return cluster.Server{}, err
	}
	if behaviour := server.Behaviour(); behaviour != "" && !flags.Changed(emulatedVersion) {
		if err := flags.Set(emulatedVersion, behaviour); err != nil {
			return cluster.Server{}, fmt.Errorf("emulating Kubernetes %s: %w", behaviour, err)
		}
	}
	return server, opts.ComponentGlobalsRegistry.Set()
}

// apiServer returns the API server that kube-scheduler will use once it has read its configuration. That cannot
// be decoded before the features are known, on which its defaults depend.
func apiServer(opts *options.Options) (*rest.Config, error) {
	if opts.ConfigFile == "" {
		return clientcmd.BuildConfigFromFlags(opts.Master, opts.Deprecated.Kubeconfig)
	}
	text, err := os.ReadFile(opts.ConfigFile)
	if err != nil {
		return nil, err
	}
	var file struct {
		ClientConnection struct {
			Kubeconfig string `json:"kubeconfig"`
		} `json:"clientConnection"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", opts.ConfigFile, err)
	}
	return clientcmd.BuildConfigFromFlags(opts.Master, file.ClientConnection.Kubeconfig)
}
