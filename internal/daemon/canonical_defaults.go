package daemon

import (
	"cmp"
	"maps"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// unsetDefaults unsets values that the API server sets by default, in a template or in the pod created from it:
// k8s.io/kubernetes pkg/apis/core/v1 defaults.go and zz_generated.defaults.go, with which the tests compare
// this. It does not cover ephemeral containers, which templates must not have.
func unsetDefaults(part any) {
	switch v := part.(type) {
	case *corev1.PodSpec:
		v.ServiceAccountName = cmp.Or(v.ServiceAccountName, v.DeprecatedServiceAccount)
		v.DeprecatedServiceAccount = "" // its alias
		unset(&v.DNSPolicy, corev1.DNSClusterFirst)
		unset(&v.RestartPolicy, corev1.RestartPolicyAlways)
		unset(&v.SchedulerName, corev1.DefaultSchedulerName)
		unsetPointer(&v.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
		if period := v.TerminationGracePeriodSeconds; period != nil && *period < 0 {
			*period = 1
		}
		unsetPointer(&v.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
		unsetEmpty(&v.SecurityContext)
		roundUp(v.Overhead)
	case *corev1.Container:
		unset(&v.ImagePullPolicy, defaultPullPolicy(v.Image))
		unset(&v.TerminationMessagePath, corev1.TerminationMessagePathDefault)
		unset(&v.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
		unsetRequests(&v.Resources)
	case *corev1.ContainerPort:
		unset(&v.Protocol, corev1.ProtocolTCP)
	case *corev1.ResourceRequirements:
		roundUp(v.Limits)
		roundUp(v.Requests)
	case *corev1.Probe:
		unset(&v.TimeoutSeconds, 1)
		unset(&v.PeriodSeconds, 10)
		unset(&v.SuccessThreshold, 1)
		unset(&v.FailureThreshold, 3)
	case *corev1.HTTPGetAction:
		unset(&v.Path, "/")
		unset(&v.Scheme, corev1.URISchemeHTTP)
		unsetPointer(&v.Protocol, corev1.HTTPProtocolHTTP1)
	case *corev1.GRPCAction:
		unsetPointer(&v.Service, "")
	case *corev1.ObjectFieldSelector:
		unset(&v.APIVersion, "v1")
	case *corev1.FileKeySelector:
		unsetPointer(&v.Optional, false)
	default:
		unsetVolumeDefaults(part)
	}
}

func unsetVolumeDefaults(part any) {
	switch v := part.(type) {
	case *corev1.VolumeSource:
		unsetEmpty(&v.EmptyDir)
	case *corev1.HostPathVolumeSource:
		unsetPointer(&v.Type, corev1.HostPathUnset)
	case *corev1.SecretVolumeSource:
		unsetPointer(&v.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case *corev1.ConfigMapVolumeSource:
		unsetPointer(&v.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case *corev1.DownwardAPIVolumeSource:
		unsetPointer(&v.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
	case *corev1.ProjectedVolumeSource:
		unsetPointer(&v.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	case *corev1.ServiceAccountTokenProjection:
		unsetPointer(&v.ExpirationSeconds, 60*60)
	case *corev1.ImageVolumeSource:
		unset(&v.PullPolicy, defaultPullPolicy(v.Reference))
	case *corev1.PersistentVolumeClaimSpec:
		unsetPointer(&v.VolumeMode, corev1.PersistentVolumeFilesystem)
	case *corev1.VolumeResourceRequirements:
		roundUp(v.Limits)
		roundUp(v.Requests)
	case *corev1.ISCSIVolumeSource:
		unset(&v.ISCSIInterface, "default")
	case *corev1.RBDVolumeSource:
		unset(&v.RBDPool, "rbd")
		unset(&v.RadosUser, "admin")
		unset(&v.Keyring, "/etc/ceph/keyring")
	case *corev1.ScaleIOVolumeSource:
		unset(&v.StorageMode, "ThinProvisioned")
		unset(&v.FSType, "xfs")
	case *corev1.AzureDiskVolumeSource:
		unsetPointer(&v.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		unsetPointer(&v.FSType, "ext4")
		unsetPointer(&v.ReadOnly, false)
		unsetPointer(&v.Kind, corev1.AzureSharedBlobDisk)
	}
}

// unsetImplied unsets values that mean the same as their absence, though the API server stores them: empty
// structs, metadata that no pod gets, and values that the documentation of a stable field defines for its
// absence. Such values in security contexts stay, because policies require that they are written out: adding
// one may be the whole purpose of a change.
func unsetImplied(part any) {
	switch v := part.(type) {
	case *metav1.ObjectMeta: // of the template and of claim templates
		*v = metav1.ObjectMeta{Labels: v.Labels, Annotations: v.Annotations, Finalizers: v.Finalizers}
	case *corev1.PodSpec:
		unsetPointer(&v.ShareProcessNamespace, false)
		unsetPointer(&v.SetHostnameAsFQDN, false)
		unsetEmpty(&v.Affinity)
		unsetEmpty(&v.DNSConfig)
		unsetEmpty(&v.Resources)
	case *corev1.Affinity: // not the node selector: one without terms matches no node
		unsetEmpty(&v.NodeAffinity)
		unsetEmpty(&v.PodAffinity)
		unsetEmpty(&v.PodAntiAffinity)
	case *corev1.Toleration:
		unset(&v.Operator, corev1.TolerationOpEqual)
	case *corev1.TopologySpreadConstraint:
		unsetPointer(&v.MinDomains, 1)
		unsetPointer(&v.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor)
		unsetPointer(&v.NodeTaintsPolicy, corev1.NodeInclusionPolicyIgnore)
	case *corev1.Container:
		unsetEmpty(&v.Lifecycle)
		unsetEmpty(&v.SecurityContext)
	case *corev1.SecurityContext: // not seLinuxOptions: empty ones override the pod's
		unsetEmpty(&v.Capabilities)
	case *corev1.VolumeMount:
		unsetPointer(&v.MountPropagation, corev1.MountPropagationNone)
		unsetPointer(&v.RecursiveReadOnly, corev1.RecursiveReadOnlyDisabled)
	case *corev1.CSIVolumeSource:
		unsetPointer(&v.ReadOnly, false)
	case *resource.Quantity:
		*v = sameQuantity(*v)
	}
}

// unsetHostPorts unsets the host ports that containers in the host network get anyway.
func unsetHostPorts(spec *corev1.PodSpec) {
	if !spec.HostNetwork {
		return
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			for j := range containers[i].Ports {
				port := &containers[i].Ports[j]
				unset(&port.HostPort, port.ContainerPort)
			}
		}
	}
}

// unsetRequests unsets requests that follow from limits, except those of the pod as a whole, because admission
// may change the values they follow from.
func unsetRequests(resources *corev1.ResourceRequirements) {
	maps.DeleteFunc(resources.Requests, func(name corev1.ResourceName, request resource.Quantity) bool {
		limit, limited := resources.Limits[name]
		return limited && request.Cmp(limit) == 0
	})
	if len(resources.Requests) == 0 {
		resources.Requests = nil
	}
}

// roundUp rounds to thousandths, as the API server does.
func roundUp(resources corev1.ResourceList) {
	for name, quantity := range resources {
		quantity.RoundUp(resource.Milli)
		resources[name] = sameQuantity(quantity)
	}
}

// defaultPullPolicy follows from an image's tag. Upstream returns another value for an invalid image reference,
// but no container starts from one.
func defaultPullPolicy(image string) corev1.PullPolicy {
	name, _, digested := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if tag == "latest" || !tagged && !digested {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func unset[T comparable](field *T, value T) {
	if *field == value {
		var zero T
		*field = zero
	}
}

func unsetPointer[T comparable](field **T, value T) {
	if *field != nil && **field == value {
		*field = nil
	}
}

func unsetEmpty[T any](field **T) {
	if *field != nil && reflect.ValueOf(**field).IsZero() {
		*field = nil
	}
}
