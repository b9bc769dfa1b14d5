package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The values of Options that have names.
const (
	WorkloadsEverynode      = "everynode"
	WorkloadsApps           = "apps"
	WorkloadsBoth           = "everynode,apps"
	SchedulerSecondary      = "secondary"
	SchedulerPrimary        = "primary"
	PlacementAuto           = "auto"
	PlacementWebhook        = "webhook"
	PlacementPolicy         = "policy"
	PlacementDirect         = "direct"
	CertificatesFiles       = "files"
	CertificatesSelfManaged = "self-managed"
	CertificatesCertManager = "cert-manager"
	CertificatesAuto        = "auto"
)

// Options says what a lab consists of. The zero value is a lab without nodes that has every
// component.
type Options struct {
	// Nodes is how many simulated nodes there are from the start: lab-node-0, lab-node-1, ….
	Nodes int
	// Workloads are the kinds Everynode serves; "" means everynode. When native DaemonSets are
	// among them, kube-controller-manager runs without its own controller of them.
	Workloads string
	// Scheduler says how everynode-scheduler is installed; "" means secondary, beside
	// kube-scheduler. With primary it schedules every pod, and kube-scheduler is not started.
	Scheduler string
	// Placement says who turns nodeName into node affinity; "" means auto, the webhook and the
	// controller while it is not effective. With webhook it is the webhook alone; with policy, a
	// policy of the API server, and the controller while it is not effective; with direct, the
	// controller. With the last two the webhook is not started and its configuration not installed.
	Placement string
	// Certificates says where the webhook's certificate comes from; "" means files, which the lab
	// signs. With any other value it is in a Secret, and everynode-controller has it made and
	// trusted; the lab brings no cert-manager.
	Certificates string
	// Kubernetes is the release of kube-apiserver, kube-controller-manager and kube-scheduler, as v1.36.3, which
	// hack/build-kubernetes.sh builds; "" means what EVERYNODE_LAB_KUBERNETES says, and without that
	// the release of tools/go.mod.
	Kubernetes string
	// Dir is the lab's own folder. It is made when it is missing; one that holds something
	// else is refused. "" means a new temporary folder, which the lab removes when it stops.
	Dir string
	// Without names components that are not started with the lab. Everything else about them
	// is in place, the webhook's configuration included, so that Component(name).Restart starts them later.
	Without []string
	// ExtraArgs are arguments to add, by component; they come last and so win over the lab's own.
	ExtraArgs map[string][]string
	// Release is the build of Everynode that the lab begins with; nil means Present().
	Release *Release
	// Root is the root of Everynode's source tree, which holds bin/; "" means the folder of
	// the go.mod that governs the working directory.
	Root string
}

// setting is an option with a fixed set of values.
type setting struct {
	name      string
	value     *string
	supported []string
}

func (o *Options) settings() []setting {
	return []setting{
		{"workloads", &o.Workloads, []string{WorkloadsEverynode, WorkloadsApps, WorkloadsBoth}},
		{"scheduler", &o.Scheduler, []string{SchedulerSecondary, SchedulerPrimary}},
		{"placement", &o.Placement, []string{PlacementAuto, PlacementWebhook, PlacementPolicy, PlacementDirect}},
		{"certificates", &o.Certificates, []string{CertificatesFiles, CertificatesSelfManaged, CertificatesCertManager, CertificatesAuto}},
	}
}

// complete puts the defaults where nothing is said.
func (o *Options) complete() {
	for _, s := range o.settings() {
		if *s.value == "" {
			*s.value = s.supported[0]
		}
	}
	o.chooseKubernetes()
}

// validate says everything that is wrong with completed options at once.
func (o *Options) validate() error {
	var errs []error
	if o.Nodes < 0 {
		errs = append(errs, fmt.Errorf("nodes=%d: give 0 or more", o.Nodes))
	}
	for _, s := range o.settings() {
		if !slices.Contains(s.supported, *s.value) {
			errs = append(errs, fmt.Errorf("%s=%s is unknown; supported: %s", s.name, *s.value, strings.Join(s.supported, ", ")))
		}
	}
	if err := o.validateKubernetes(); err != nil {
		errs = append(errs, err)
	}
	for _, name := range o.Without {
		switch {
		case !slices.Contains(ComponentNames, name):
			errs = append(errs, unknownComponent("without", name))
		case name == Etcd || name == APIServer:
			errs = append(errs, fmt.Errorf("without %s: no lab starts without it; stop it through its handle later", name))
		}
	}
	for name := range o.ExtraArgs {
		if !slices.Contains(ComponentNames, name) {
			errs = append(errs, unknownComponent("extra arguments for", name))
		}
	}
	return errors.Join(errs...)
}

func unknownComponent(what, name string) error {
	return fmt.Errorf("%s %s: no such component; there are %s", what, name, strings.Join(ComponentNames, ", "))
}

// servesApps says whether Everynode serves native DaemonSets.
func (o *Options) servesApps() bool { return o.Workloads != WorkloadsEverynode }

// asksWebhook says whether the API server asks everynode-webhook.
func (o *Options) asksWebhook() bool {
	return o.Placement == PlacementAuto || o.Placement == PlacementWebhook
}

// controllerPlacement is what the controller is told of placement: to it a webhook and a policy are
// the same.
func (o *Options) controllerPlacement() string {
	switch o.Placement {
	case PlacementWebhook:
		return "admission"
	case PlacementPolicy:
		return PlacementAuto
	default:
		return o.Placement
	}
}

// whoCertifies is the mode of everynode-controller's certificates.
func (o *Options) whoCertifies() string {
	if o.Certificates == CertificatesFiles {
		return "none"
	}
	return o.Certificates
}

// starts says whether a component is started with the lab.
func (o *Options) starts(name string) bool {
	if name == Webhook && !o.asksWebhook() {
		return false
	}
	if name == Scheduler && o.Scheduler == SchedulerPrimary {
		return false
	}
	return !slices.Contains(o.Without, name)
}
