package cluster

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const (
	// askTimeout bounds one question to an API server that does not answer.
	askTimeout = 5 * time.Second
	// askPeriod is the time between two of Await's.
	askPeriod = time.Second
)

// Report asks an API server what it is, once, and logs that. It returns the zero Server, and logs why,
// when there is no answer within some seconds: for a program that needs it for its messages alone.
func Report(ctx context.Context, config *rest.Config) Server {
	server, err := ask(ctx, config)
	if err != nil {
		klog.FromContext(ctx).Info("It is not known whether Everynode is tested on this API server", "reason", err.Error())
		return Server{}
	}
	server.Log(ctx)
	return server
}

// Await asks an API server what it is until it answers or ctx ends: for a program that cannot begin
// without knowing. It logs the first failure.
func Await(ctx context.Context, config *rest.Config) (Server, error) {
	var server Server
	waits := false
	err := wait.PollUntilContextCancel(ctx, askPeriod, true, func(ctx context.Context) (bool, error) {
		found, err := ask(ctx, config)
		if err != nil && !waits {
			waits = true
			klog.FromContext(ctx).Info("Waiting for the API server to say what it is", "reason", err.Error())
		}
		server = found
		return err == nil, nil
	})
	if err != nil {
		return Server{}, fmt.Errorf("waiting for the API server to say what it is: %w", err)
	}
	return server, nil
}

// Log says which API server it is, and warns when Everynode is not tested on it.
func (s Server) Log(ctx context.Context) {
	if s == (Server{}) {
		return
	}
	klog.FromContext(ctx).Info("Asked the API server what it is", "version", s.String(), "mutatingAdmissionPolicy", s.PolicyVersion)
	if untested := s.Untested(); untested != "" {
		klog.Warning(untested)
	}
}

// ask needs no permission but that of everybody who is authenticated (system:discovery).
func ask(ctx context.Context, config *rest.Config) (Server, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return Server{}, err
	}
	info, err := client.ServerVersionWithContext(ctx)
	if err != nil {
		return Server{}, fmt.Errorf("asking the API server for its version: %w", err)
	}
	server := Server{Version: info.GitVersion}
	if info.EmulationMajor != "" && info.EmulationMinor != "" {
		server.Emulated = info.EmulationMajor + "." + info.EmulationMinor
	}
	for _, version := range []string{policyGA, policyBeta} {
		served, err := servesPolicies(ctx, client, version)
		if err != nil {
			return Server{}, fmt.Errorf("asking the API server for its admission policies: %w", err)
		}
		if served {
			server.PolicyVersion = version
			break
		}
	}
	return server, nil
}

func servesPolicies(ctx context.Context, client discovery.ServerResourcesInterfaceWithContext, version string) (bool, error) {
	resources, err := client.ServerResourcesForGroupVersionWithContext(ctx, "admissionregistration.k8s.io/"+version)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, resource := range resources.APIResources {
		if resource.Name == "mutatingadmissionpolicies" {
			return true, nil
		}
	}
	return false, nil
}
