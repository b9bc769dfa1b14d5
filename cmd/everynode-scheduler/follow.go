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

// follow puts the flags about versions and features into effect. kube-scheduler may not be newer than its
// API server: it would wait, and never be ready, for APIs that came later. This one follows an older
// API server: it has the features of that one's release, unless --emulated-version says another.
func follow(ctx context.Context, flags *pflag.FlagSet, opts *options.Options) (cluster.Server, error) {
	if opts.WriteConfigTo != "" { // no API server is talked to
		return cluster.Server{}, opts.ComponentGlobalsRegistry.Set()
	}
	config, err := apiServer(opts)
	if err != nil {
		return cluster.Server{}, fmt.Errorf("finding the API server (--kubeconfig, clientConnection in the file of --config, or run in a cluster): %w", err)
	}
	server, err := cluster.Await(ctx, config)
	if err != nil {
		return cluster.Server{}, err
	}
	if behaviour := server.Behaviour(); behaviour != "" && !flags.Changed(emulatedVersion) {
		if err := flags.Set(emulatedVersion, behaviour); err != nil {
			return cluster.Server{}, fmt.Errorf("having the features of Kubernetes %s: %w", behaviour, err)
		}
	}
	return server, opts.ComponentGlobalsRegistry.Set()
}

// apiServer is what kube-scheduler will take for its API server once it has read its configuration. That
// cannot be read before it is known which features there are: the defaults in it depend on them.
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
