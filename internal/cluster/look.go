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
	// askTimeout bounds one request to an API server that does not answer.
	askTimeout = 5 * time.Second
	// askPeriod is the time between two requests of Await.
	askPeriod = time.Second
)

// Report queries an API server's version and features, once, and logs them. It returns the zero Server, and
// logs why, if there is no answer within some seconds: for a program that only needs them for messages.
func Report(ctx context.Context, config *rest.Config) Server {
	server, err := ask(ctx, config)
	if err != nil {
		klog.FromContext(ctx).Info("Cannot determine whether Everynode is tested with this API server", "reason", err.Error())
		return Server{}
	}
	server.Log(ctx)
	return server
}

// Await queries an API server's version and features until it answers or ctx ends: for a program that cannot
// start without them. It logs the first failure.
func Await(ctx context.Context, config *rest.Config) (Server, error) {
	var server Server
	waits := false
	err := wait.PollUntilContextCancel(ctx, askPeriod, true, func(ctx context.Context) (bool, error) {
		found, err := ask(ctx, config)
		if err != nil && !waits {
			waits = true
			klog.FromContext(ctx).Info("Waiting for the API server's version", "reason", err.Error())
		}
		server = found
		return err == nil, nil
	})
	if err != nil {
		return Server{}, fmt.Errorf("waiting for the API server's version: %w", err)
	}
	return server, nil
}

// Log logs the API server's version, and warns if Everynode is not tested with it.
func (s Server) Log(ctx context.Context) {
	if s == (Server{}) {
		return
	}
	klog.FromContext(ctx).Info("Queried the API server's version", "version", s.String(), "mutatingAdmissionPolicy", s.PolicyVersion)
	if untested := s.Untested(); untested != "" {
		klog.Warning(untested)
	}
}

// ask only needs the permissions of every authenticated user (system:discovery).
func ask(ctx context.Context, config *rest.Config) (Server, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return Server{}, err
	}
	info, err := client.ServerVersionWithContext(ctx)
	if err != nil {
		return Server{}, fmt.Errorf("querying the API server's version: %w", err)
	}
	server := Server{Version: info.GitVersion}
	if info.EmulationMajor != "" && info.EmulationMinor != "" {
		server.Emulated = info.EmulationMajor + "." + info.EmulationMinor
	}
	for _, version := range []string{policyGA, policyBeta} {
		served, err := servesPolicies(ctx, client, version)
		if err != nil {
			return Server{}, fmt.Errorf("querying the API server's admission policies: %w", err)
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
