// Package schedtest has helpers for tests of the scheduler's plugins.
package schedtest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The API versions of DaemonSets.
const (
	Ours   = "everynode.dev/v1alpha1"
	Native = "apps/v1"
)

// OwnerRef returns a controller reference of the kind DaemonSet.
func OwnerRef(apiVersion string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: "DaemonSet", Name: "d", UID: uid, Controller: new(true)}
}

// Pinned returns a term that matchFields restricts to one of nodes.
func Pinned(nodes ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{
		{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: nodes},
	}}
}

func Required(terms ...corev1.NodeSelectorTerm) *corev1.NodeAffinity {
	return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}
}

// MakePod returns a pod of the daemon uid-d that waits for node n1, of priority 100.
func MakePod(name string) *Pod {
	p := &Pod{st.MakePod().Namespace("ns").Name(name).UID("uid-" + name).Priority(100).NodeAffinity(Required(Pinned("n1"))).Obj()}
	return p.Owner(OwnerRef(Ours, "uid-d"))
}

// Twin returns a pod of the same daemon that is bound to n1.
func Twin(name string) *Pod { return MakePod(name).On("n1") }

// Pod builds a pod.
type Pod struct{ *corev1.Pod }

func (p *Pod) Obj() *corev1.Pod { return p.Pod }

func (p *Pod) Owner(owners ...metav1.OwnerReference) *Pod {
	p.OwnerReferences = owners
	return p
}

func (p *Pod) On(node string) *Pod {
	p.Spec.NodeName = node
	return p
}

func (p *Pod) Priority(priority int32) *Pod {
	p.Spec.Priority = &priority
	return p
}

func (p *Pod) NoPriority() *Pod {
	p.Spec.Priority = nil
	return p
}

func (p *Pod) WithUID(uid types.UID) *Pod {
	p.UID = uid
	return p
}

func (p *Pod) In(namespace string) *Pod {
	p.Namespace = namespace
	return p
}

func (p *Pod) Affinity(affinity *corev1.NodeAffinity) *Pod {
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: affinity}
	return p
}

func (p *Pod) Revision(revision string) *Pod {
	metav1.SetMetaDataLabel(&p.ObjectMeta, "controller-revision-hash", revision)
	return p
}

func (p *Pod) Surge() *Pod {
	metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.SurgeAnnotation, "true")
	return p
}

func (p *Pod) Terminating() *Pod {
	p.DeletionTimestamp = new(metav1.Now())
	return p
}

func (p *Pod) Phase(phase corev1.PodPhase) *Pod {
	p.Status.Phase = phase
	return p
}

func (p *Pod) CPU(request string) *Pod {
	p.Pod = (&st.PodWrapper{Pod: *p.Pod}).Req(map[corev1.ResourceName]string{corev1.ResourceCPU: request}).Obj()
	return p
}

func (p *Pod) Never() *Pod {
	p.Spec.PreemptionPolicy = new(corev1.PreemptNever)
	return p
}

// StartedAt sets the pod's start time.
func (p *Pod) StartedAt(start metav1.Time) *Pod {
	p.Status.StartTime = &start
	return p
}
