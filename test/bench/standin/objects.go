package standin

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

var (
	//go:embed objects/daemonset.yaml
	daemonSetYAML []byte
	//go:embed objects/node.yaml
	nodeYAML []byte
	//go:embed objects/pod.yaml
	podYAML []byte
)

// firstVersion is the resourceVersion of every initial object.
const firstVersion = "1000000000"

// objects creates the initial objects of a cluster.
type objects struct {
	node    corev1.Node // the common part of all nodes
	added   corev1.Pod  // the fields that others add to the controller's pods
	daemons []*daemonSet
}

// daemonSet is one of the daemons with the template of its pods.
type daemonSet struct {
	object   *v1alpha1.DaemonSet
	template *daemon.Template
}

func newObjects(daemons int) (*objects, error) {
	o := &objects{}
	if err := yaml.UnmarshalStrict(nodeYAML, &o.node); err != nil {
		return nil, fmt.Errorf("node.yaml: %w", err)
	}
	if err := yaml.UnmarshalStrict(podYAML, &o.added); err != nil {
		return nil, fmt.Errorf("pod.yaml: %w", err)
	}
	for d := range daemons {
		made, err := newDaemonSet(d)
		if err != nil {
			return nil, fmt.Errorf("daemonset.yaml: %w", err)
		}
		o.daemons = append(o.daemons, made)
	}
	return o, nil
}

func newDaemonSet(index int) (*daemonSet, error) {
	set := &v1alpha1.DaemonSet{}
	if err := yaml.UnmarshalStrict(daemonSetYAML, set); err != nil {
		return nil, err
	}
	set.Name, set.UID, set.ResourceVersion = fmt.Sprintf("exporter-%02d", index), uid("da", index), firstVersion
	for _, labels := range []map[string]string{set.Labels, set.Spec.Selector.MatchLabels, set.Spec.Template.Labels} {
		labels["app.kubernetes.io/name"] = set.Name
	}
	revision, err := daemon.Revision(&set.Spec.Template)
	if err != nil {
		return nil, err
	}
	return &daemonSet{object: set, template: daemon.NewTemplate(daemon.FromEverynode(set), revision)}, nil
}

// revision returns the history of a daemon: its current template.
func (d *daemonSet) revision(index int) (*appsv1.ControllerRevision, error) {
	revision, err := daemon.NewRevision(d.template, daemon.RevisionName(d.template.Name, d.template.Revision), 1, d.object.Annotations)
	if err != nil {
		return nil, err
	}
	revision.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ControllerRevision"}
	revision.UID, revision.ResourceVersion = uid("cc", index), firstVersion
	return revision, nil
}

func (o *objects) nodeAt(index int) *corev1.Node {
	node := o.node // fields that differ are replaced, the rest is shared and read only
	address := fmt.Sprintf("10.0.%d.%d", index/250, index%250+1)
	node.Name = fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", index/250, index%250+1)
	node.UID, node.ResourceVersion = uid("0d", index), firstVersion
	node.Labels = maps.Clone(node.Labels)
	node.Labels[corev1.LabelHostname] = node.Name
	node.Labels[corev1.LabelTopologyZone] = fmt.Sprintf("eu-central-1%c", 'a'+index%3)
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: address},
		{Type: corev1.NodeInternalDNS, Address: node.Name},
		{Type: corev1.NodeHostName, Address: node.Name},
	}
	return &node
}

// podAt returns the pod of a daemon on a node: emitted and pinned by the controller's own rules, then bound,
// started and ready.
func (o *objects) podAt(set *daemonSet, node *corev1.Node, id types.UID) (*corev1.Pod, error) {
	pod := daemon.NewPod(set.template, node, set.template.PodName(node.Name, "", false))
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		return nil, err
	}
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	pod.UID, pod.ResourceVersion, pod.Generation = id, firstVersion, 1
	pod.CreationTimestamp, pod.ManagedFields = o.added.CreationTimestamp, o.added.ManagedFields
	pod.Spec.NodeName = node.Name
	pod.Spec.Volumes = append(pod.Spec.Volumes, o.added.Spec.Volumes...)
	token := o.added.Status.ContainerStatuses[0].VolumeMounts[0]
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].VolumeMounts = append(pod.Spec.Containers[i].VolumeMounts,
			corev1.VolumeMount{Name: token.Name, MountPath: token.MountPath, ReadOnly: token.ReadOnly})
	}
	pod.Status = o.added.Status
	address := node.Status.Addresses[0].Address
	pod.Status.HostIP, pod.Status.HostIPs = address, []corev1.HostIP{{IP: address}}
	pod.Status.PodIP, pod.Status.PodIPs = address, []corev1.PodIP{{IP: address}}
	return pod, nil
}

// setReady changes a pod as a kubelet does when a probe of its first container fails, or succeeds again.
func setReady(pod *corev1.Pod, ready bool, now time.Time) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Conditions = slices.Clone(pod.Status.Conditions)
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Status, c.LastTransitionTime = status, metav1.NewTime(now)
			if !ready {
				c.Reason, c.Message = "ContainersNotReady", "containers with unready status: [kube-rbac-proxy]"
			}
		}
	}
	pod.Status.ContainerStatuses = slices.Clone(pod.Status.ContainerStatuses)
	pod.Status.ContainerStatuses[0].Ready = ready
}

func priorityClass() *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{
		TypeMeta:   metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"},
		ObjectMeta: metav1.ObjectMeta{Name: "system-cluster-critical", UID: uid("9c", 0), ResourceVersion: firstVersion},
		Value:      2000000000,
	}
}

// uid returns that of the index-th object of a kind, which has its own two hexadecimal digits.
func uid(kind string, index int) types.UID {
	return types.UID(fmt.Sprintf("%s%06x-0000-4000-8000-000000000000", kind, index))
}
