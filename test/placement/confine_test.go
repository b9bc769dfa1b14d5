package placement

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Messages of the policies that confine the controller (templates/controller/confine.yaml of the chart).
const (
	refusalNodeName  = "spec.nodeName bypasses the scheduler"
	refusalScheduler = "spec.schedulerName must be everynode-scheduler"
	refusalPin       = "every required node affinity term must begin with matchFields metadata.name In one node"
	refusalOwner     = "metadata.ownerReferences must be one controller reference to a DaemonSet"
	refusalParts     = "with the labels of Everynode's own components"
	refusalGate      = "the scheduling gate everynode.dev/placement requires spec.nodeName"
	refusalForeign   = "no DaemonSet controls the pod before or after the change"
	refusalSpec      = "may only change the controller reference and the revision label of a pod"
	refusalLabel     = "may only change the label controller-revision-hash of a pod"
	refusalDelete    = "may only delete pods of daemons"
)

// placed returns a pod as the controller pins it itself.
func placed(c *labtest.Cluster, change ...func(*corev1.Pod)) *corev1.Pod {
	c.T.Helper()
	pod := labtest.Emitted()
	_, err := daemon.Rewrite(pod, v1alpha1.PlacedByController)
	c.Must(err)
	for _, change := range change {
		change(pod)
	}
	return pod
}

func term(fields ...corev1.NodeSelectorRequirement) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: fields}
}

func name(operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: operator, Values: values}
}

// withTerms sets a pod's required terms.
func withTerms(terms ...corev1.NodeSelectorTerm) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms = terms
	}
}

// ownedBy sets the kind of a pod's owner.
func ownedBy(apiVersion, kind string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.OwnerReferences[0].APIVersion, pod.OwnerReferences[0].Kind = apiVersion, kind
	}
}

// filled sets values in every field that is compared when a pod is changed.
func filled(pod *corev1.Pod) {
	limit := resource.MustParse("0.5Gi")
	pod.Finalizers = []string{"example.com/kept"}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}}}}
	container := &pod.Spec.Containers[0]
	container.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0.1"), corev1.ResourceMemory: limit}
	container.Env = []corev1.EnvVar{{Name: "A", Value: "b"}, {Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}}
	container.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}}
	container.SecurityContext = &corev1.SecurityContext{Privileged: new(true), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}}
}

// orphaned removes a pod's owners.
func orphaned(pod *corev1.Pod) { pod.OwnerReferences = nil }

// With the controller's token pods of daemons can be created, changed and deleted, and no others.
func TestControllerIsConfined(t *testing.T) {
	c := labtest.Start(t, lab.Options{Placement: lab.PlacementDirect, Without: []string{lab.Scheduler, lab.Kwok, lab.Controller, lab.EverynodeScheduler},
		// The owners of the pods do not exist; the garbage collector must not delete the pods.
		ExtraArgs: map[string][]string{lab.ControllerManager: {"--controllers=*,-garbage-collector-controller"}}})
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.Dir, "kubeconfigs", lab.Controller))
	c.Must(err)
	thief, err := client.New(config, client.Options{Scheme: c.Scheme()})
	c.Must(err)
	c.WaitForConfinement(thief)
	t.Run("creates", func(t *testing.T) { confinedCreates(c.With(t), thief) })
	t.Run("changes", func(t *testing.T) { confinedChanges(c.With(t), thief) })
	t.Run("deletes", func(t *testing.T) { confinedDeletes(c.With(t), thief) })
}

func confinedCreates(c *labtest.Cluster, thief client.Client) {
	here := lab.NodeName(0)
	ssd := corev1.NodeSelectorRequirement{Key: "disk", Operator: corev1.NodeSelectorOpExists}
	tests := map[string]struct {
		change func(*corev1.Pod)
		want   string // "" if it is permitted
	}{
		"as the controller creates it": {change: func(*corev1.Pod) {}},
		"a native DaemonSet's":         {change: ownedBy("apps/v1", "DaemonSet")},
		"with a template's gate": {change: func(pod *corev1.Pod) {
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
		}},
		"with terms of a template": {change: withTerms(
			corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{ssd}, MatchFields: []corev1.NodeSelectorRequirement{name("In", here)}},
			corev1.NodeSelectorTerm{}, term(name("In", here), name("NotIn", "other")))},

		"nodeName":                             {change: func(pod *corev1.Pod) { pod.Spec.NodeName = here }, want: refusalNodeName},
		"nodeName and no affinity":             {change: func(pod *corev1.Pod) { pod.Spec.NodeName, pod.Spec.Affinity = here, nil }, want: refusalNodeName},
		"the default scheduler":                {change: func(pod *corev1.Pod) { pod.Spec.SchedulerName = "" }, want: refusalScheduler},
		"another scheduler":                    {change: func(pod *corev1.Pod) { pod.Spec.SchedulerName = "example" }, want: refusalScheduler},
		"no affinity":                          {change: func(pod *corev1.Pod) { pod.Spec.Affinity = nil }, want: refusalPin},
		"no required affinity":                 {change: func(pod *corev1.Pod) { pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}} }, want: refusalPin},
		"no pin":                               {change: withTerms(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{ssd}}), want: refusalPin},
		"a term without requirements":          {change: withTerms(corev1.NodeSelectorTerm{}), want: refusalPin},
		"a pin that excludes":                  {change: withTerms(term(name("NotIn", here))), want: refusalPin},
		"a second term without pin":            {change: withTerms(term(name("In", here)), corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{ssd}}), want: refusalPin},
		"a second term of another node":        {change: withTerms(term(name("In", here)), term(name("In", "other"))), want: refusalPin},
		"a pin behind another field":           {change: withTerms(term(name("NotIn", "other"), name("In", here))), want: refusalPin},
		"without an owner":                     {change: orphaned, want: refusalOwner},
		"a ReplicaSet's":                       {change: ownedBy("apps/v1", "ReplicaSet"), want: refusalOwner},
		"another group's DaemonSet's":          {change: ownedBy("apps.example.com/v1", "DaemonSet"), want: refusalOwner},
		"a DaemonSet that does not control it": {change: func(pod *corev1.Pod) { pod.OwnerReferences[0].Controller = new(false) }, want: refusalOwner},
		"an additional owner": {change: func(pod *corev1.Pod) {
			pod.OwnerReferences = append(pod.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "c", UID: "1"})
		}, want: refusalOwner},
		"a pod behind the webhook's Service": {change: func(pod *corev1.Pod) {
			pod.Namespace, pod.Labels["app.kubernetes.io/name"] = v1alpha1.SystemNamespace, "everynode-webhook"
		}, want: refusalParts},
		"such a label in another namespace": {change: func(pod *corev1.Pod) { pod.Labels["app.kubernetes.io/name"] = "everynode-webhook" }},
		"another pod of that namespace":     {change: func(pod *corev1.Pod) { pod.Namespace = v1alpha1.SystemNamespace }},
		"our gate indefinitely": {change: func(pod *corev1.Pod) {
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.PlacementGate}}
		}, want: refusalGate},
	}
	for test, want := range tests {
		err := thief.Create(c.T.Context(), placed(c, want.change), client.DryRunAll)
		if err := denied(err, want.want); err != nil {
			c.T.Errorf("%s: %v", test, err)
		}
	}
	// Two values are impossible: the API server's own validation refuses them.
	if err := thief.Create(c.T.Context(), placed(c, withTerms(term(name("In", here, "other")))), client.DryRunAll); !apierrors.IsInvalid(err) {
		c.T.Errorf("a pin to two nodes: %v, want an invalid object", err)
	}
	c.Must(c.Create(c.T.Context(), placed(c, orphaned, func(pod *corev1.Pod) { pod.Spec.NodeName = here }), client.DryRunAll)) // other users may
}

// change is a change of a stored pod.
type change struct {
	of   func(*corev1.Pod) // the pod before; nil for a daemon's pod
	kind types.PatchType
	data func(*corev1.Pod) any
	want string
}

// merge returns the merge patch that sets a field.
func merge(value any, path ...string) func(*corev1.Pod) any {
	for _, key := range slices.Backward(path) {
		value = map[string]any{key: value}
	}
	return func(*corev1.Pod) any { return value }
}

func confinedChanges(c *labtest.Cluster, thief client.Client) {
	owners := func(references ...metav1.OwnerReference) func(*corev1.Pod) any {
		return func(pod *corev1.Pod) any {
			return map[string]any{"metadata": map[string]any{"uid": pod.UID, "ownerReferences": references}}
		}
	}
	reference := placed(c).OwnerReferences[0]
	foreign := reference
	foreign.Kind, foreign.APIVersion, foreign.UID = "ReplicaSet", "apps/v1", "2"
	const hash = appsv1.ControllerRevisionHashLabelKey
	tests := map[string]change{
		"adopts": {of: orphaned, kind: types.StrategicMergePatchType, data: owners(reference)},
		"releases": {kind: types.StrategicMergePatchType, data: func(pod *corev1.Pod) any {
			return map[string]any{"metadata": map[string]any{"uid": pod.UID, "ownerReferences": []any{map[string]any{"$patch": "delete", "uid": reference.UID}}}}
		}},
		"relabels": {kind: types.MergePatchType, data: merge("other", "metadata", "labels", hash)},

		"adopts for a ReplicaSet":         {of: orphaned, kind: types.StrategicMergePatchType, data: owners(foreign), want: refusalForeign},
		"adopts a ReplicaSet's":           {of: ownedBy("apps/v1", "ReplicaSet"), kind: types.MergePatchType, data: owners(reference), want: refusalForeign},
		"relabels a pod without an owner": {of: orphaned, kind: types.MergePatchType, data: merge("other", "metadata", "labels", hash), want: refusalForeign},
		"relabels a ReplicaSet's":         {of: ownedBy("apps/v1", "ReplicaSet"), kind: types.MergePatchType, data: merge("other", "metadata", "labels", hash), want: refusalForeign},
		"changes the image":               {kind: types.StrategicMergePatchType, data: merge([]any{map[string]any{"name": "main", "image": "evil"}}, "spec", "containers"), want: refusalSpec},
		"changes the deadline":            {kind: types.MergePatchType, data: merge(1, "spec", "activeDeadlineSeconds"), want: refusalSpec},
		"adds a toleration": {kind: types.JSONPatchType, data: func(*corev1.Pod) any {
			return []any{map[string]any{"op": "add", "path": "/spec/tolerations/-", "value": map[string]any{"operator": "Exists"}}}
		}, want: refusalSpec},
		"adds an annotation": {kind: types.MergePatchType, data: merge("b", "metadata", "annotations", "example.com/a"), want: refusalSpec},
		"adds another owner": {kind: types.MergePatchType, data: owners(reference, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "c", UID: "3"}), want: refusalSpec},
		"adds a finalizer":   {kind: types.MergePatchType, data: merge([]string{"example.com/f"}, "metadata", "finalizers"), want: refusalSpec},
		"adds a label":       {kind: types.MergePatchType, data: merge("x", "metadata", "labels", "evil"), want: refusalLabel},
		"changes a label":    {kind: types.MergePatchType, data: merge("x", "metadata", "labels", "app"), want: refusalLabel},
		"removes a label":    {kind: types.MergePatchType, data: merge(nil, "metadata", "labels", "app"), want: refusalLabel},
	}
	for name, test := range tests {
		pod := placed(c, filled)
		if test.of != nil {
			test.of(pod)
		}
		pod.Name, pod.GenerateName = "", "confined-"
		c.Make(pod)
		data, err := json.Marshal(test.data(pod))
		c.Must(err)
		target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
		if err := denied(thief.Patch(c.T.Context(), target, client.RawPatch(test.kind, data)), test.want); err != nil {
			c.T.Errorf("%s: %v", name, err)
		}
	}
}

func confinedDeletes(c *labtest.Cluster, thief client.Client) {
	tests := map[string]struct {
		of   func(*corev1.Pod)
		want string
	}{
		"a daemon's":             {of: func(*corev1.Pod) {}},
		"a native daemon's":      {of: ownedBy("apps/v1", "DaemonSet")},
		"without an owner":       {of: orphaned, want: refusalDelete},
		"a ReplicaSet's":         {of: ownedBy("apps/v1", "ReplicaSet"), want: refusalDelete},
		"only owned by a daemon": {of: func(pod *corev1.Pod) { pod.OwnerReferences[0].Controller = nil }, want: refusalDelete},
	}
	for name, test := range tests {
		pod := placed(c, test.of)
		pod.Name, pod.GenerateName = "", "deleted-"
		c.Make(pod)
		if err := denied(thief.Delete(c.T.Context(), pod.DeepCopy(), client.Preconditions{UID: &pod.UID}), test.want); err != nil {
			c.T.Errorf("%s: %v", name, err)
		}
	}
}

// denied returns what is wrong with an answer: with a text it has to be a policy's refusal with that text.
func denied(err error, text string) error {
	if text == "" {
		return err
	}
	if err == nil {
		return fmt.Errorf("no error, want a denial: %s", text)
	}
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'everynode-controller-") || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("got %w, want a denial: %s", err, text)
	}
	return nil
}
