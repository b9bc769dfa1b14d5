package lab

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
)

// kubernetesVariable is the environment variable for the Kubernetes release of labs whose options name none, so
// that the same tests run on any release.
const kubernetesVariable = "EVERYNODE_LAB_KUBERNETES"

// chooseKubernetes sets options from the environment if they are empty.
func (o *Options) chooseKubernetes() {
	if o.Kubernetes == "" {
		o.Kubernetes = os.Getenv(kubernetesVariable)
	}
}

func (o *Options) validateKubernetes() error {
	if o.Kubernetes == "" {
		return nil
	}
	if parsed, err := version.ParseSemantic(o.Kubernetes); err != nil || "v"+parsed.String() != o.Kubernetes {
		return fmt.Errorf("kubernetes=%s (%s): set a release, such as v1.36.3", o.Kubernetes, kubernetesVariable)
	}
	return nil
}

// kubernetesDir is where hack/build-kubernetes.sh puts the control plane of another release.
func kubernetesDir(root, release string) string {
	return filepath.Join(root, "bin", "kubernetes-"+release)
}

// ofRelease reports whether a component is that of the chosen Kubernetes release. kubectl is not, because it
// works with every API server of a similar version.
func ofRelease(name string) bool {
	return name == APIServer || name == ControllerManager || name == Scheduler
}

// before reports whether the control plane is of an earlier release than the given one.
func (o *Options) before(release string) bool {
	return o.Kubernetes != "" && version.MustParseSemantic(o.Kubernetes).LessThan(version.MustParseSemantic(release))
}

// Before reports whether the lab's control plane is of an earlier Kubernetes release than the given one, for
// example v1.36.0.
func (l *Lab) Before(release string) bool { return l.options.before(release) }

// policyGroup is the API group of admission policies.
const policyGroup = "admissionregistration.k8s.io"

// policyVersion is its version with MutatingAdmissionPolicy: GA in 1.36, before that a beta that is off by
// default.
func (o *Options) policyVersion() string {
	if o.before("v1.36.0") {
		return "v1beta1"
	}
	return "v1"
}

// PolicyAPI returns the group and version of MutatingAdmissionPolicy on this lab's API server.
func (l *Lab) PolicyAPI() string { return policyGroup + "/" + l.options.policyVersion() }

// policyArgs enable the beta, as in docs/compatibility.md, where a policy places pods.
func (o *Options) policyArgs() []string {
	if o.Placement != PlacementPolicy || o.policyVersion() == "v1" {
		return nil
	}
	return []string{"--feature-gates=MutatingAdmissionPolicy=true", "--runtime-config=" + policyGroup + "/" + o.policyVersion() + "=true"}
}

// inPolicyAPI converts a policy to the version that this lab's API server serves.
func (l *Lab) inPolicyAPI(object *unstructured.Unstructured) *unstructured.Unstructured {
	object = object.DeepCopy()
	object.SetAPIVersion(l.PolicyAPI())
	return object
}
