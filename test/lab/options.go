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

// Options configure a lab. The zero value is a lab without nodes that has every component.
type Options struct {
	// Nodes is the number of initial simulated nodes: lab-node-0, lab-node-1, ….
	Nodes int
	// Workloads are the kinds Everynode serves; "" means everynode. When native DaemonSets are
	// among them, kube-controller-manager runs without its own controller of them.
	Workloads string
	// Scheduler is how everynode-scheduler is installed; "" means secondary, beside kube-scheduler. With
	// primary it schedules every pod, and kube-scheduler is not started.
	Scheduler string
	// Placement is what turns nodeName into node affinity; "" means auto, the webhook and the controller while
	// that is not effective. webhook means only the webhook; policy means a policy of the API server, and the
	// controller while that is not effective; direct means the controller. With the last two the webhook is not
	// started and its configuration not installed.
	Placement string
	// Certificates is the source of the webhook's certificate; "" means files, which the lab signs. With any
	// other value it is in a Secret, and everynode-controller manages it; the lab includes no cert-manager.
	Certificates string
	// Kubernetes is the release of kube-apiserver, kube-controller-manager and kube-scheduler, for example
	// v1.36.3, which hack/build-kubernetes.sh builds; "" means that of EVERYNODE_LAB_KUBERNETES or else that of
	// tools/go.mod.
	Kubernetes string
	// Dir is the lab's own folder. It is created if it does not exist; one with other files is refused. ""
	// means a new temporary folder, which the lab removes when it stops.
	Dir string
	// Without names components that are not started with the lab. Everything else for them is set up, including
	// the webhook's configuration, so that Component(name).Restart starts them later.
	Without []string
	// ExtraArgs are additional arguments, by component; they come last and override the lab's own.
	ExtraArgs map[string][]string
	// AuditPolicy makes the API server write an audit log, AuditPath, by this policy (of audit.k8s.io/v1). It costs the API
	// server time for each request.
	AuditPolicy []byte
	// Release is the build of Everynode that the lab starts with; nil means Present().
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

// complete sets the defaults of empty options.
func (o *Options) complete() {
	for _, s := range o.settings() {
		if *s.value == "" {
			*s.value = s.supported[0]
		}
	}
	o.chooseKubernetes()
}

// validate returns all errors of completed options.
func (o *Options) validate() error {
	var errs []error
	if o.Nodes < 0 {
		errs = append(errs, fmt.Errorf("nodes=%d: set 0 or more", o.Nodes))
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

// servesApps reports whether Everynode serves native DaemonSets.
func (o *Options) servesApps() bool { return o.Workloads != WorkloadsEverynode }

// asksWebhook reports whether the API server calls everynode-webhook.
func (o *Options) asksWebhook() bool {
	return o.Placement == PlacementAuto || o.Placement == PlacementWebhook
}

// controllerPlacement is the controller's --placement: it does not distinguish a webhook and a policy.
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

// whoCertifies is everynode-controller's --webhook-certificates.
func (o *Options) whoCertifies() string {
	if o.Certificates == CertificatesFiles {
		return "none"
	}
	return o.Certificates
}

// starts reports whether a component is started with the lab.
func (o *Options) starts(name string) bool {
	if name == Webhook && !o.asksWebhook() {
		return false
	}
	if name == Scheduler && o.Scheduler == SchedulerPrimary {
		return false
	}
	return !slices.Contains(o.Without, name)
}
