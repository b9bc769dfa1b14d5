package webhook

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// emitted is a daemon's pod as the API server sends it here, including defaults, the service account's volume
// and managed fields.
func emitted() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "agent-n1-abc", Namespace: "kube-system", Labels: map[string]string{"app": "agent", "controller-revision-hash": "abc"},
			Annotations:     map[string]string{v1alpha1.NodeUIDAnnotation: "c6a2f1de-7e4b-4d8e-9f57-0d2f1f0b6a11", v1alpha1.DaemonPodAnnotation: "true"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet", Name: "agent", UID: "uid-d", Controller: new(true), BlockOwnerDeletion: new(true)}},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "everynode-controller", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(
				`{"f:metadata":{"f:annotations":{".":{},"f:cluster-autoscaler.kubernetes.io/daemonset-pod":{},"f:everynode.dev/node-uid":{}},"f:labels":{".":{},"f:app":{},"f:controller-revision-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"uid-d\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"agent\"}":{".":{},"f:args":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{},"f:resources":{}}},"f:nodeName":{},"f:schedulingGates":{".":{},"k:{\"name\":\"everynode.dev/placement\"}":{".":{},"f:name":{}}},"f:tolerations":{}}}`)}},
		},
		Spec: corev1.PodSpec{
			NodeName: "n1", SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.PlacementGate}}, SchedulerName: "default-scheduler",
			ServiceAccountName: "agent", DNSPolicy: corev1.DNSClusterFirst, RestartPolicy: corev1.RestartPolicyAlways, EnableServiceLinks: new(true),
			TerminationGracePeriodSeconds: new(int64(30)), PriorityClassName: "system-node-critical", Priority: new(int32(2000001000)),
			SecurityContext: &corev1.PodSecurityContext{}, PreemptionPolicy: new(corev1.PreemptLowerPriority),
			Containers: []corev1.Container{{
				Name: "agent", Image: "registry.example.com/agent:v1", Args: []string{"--verbose"}, ImagePullPolicy: corev1.PullIfNotPresent,
				Env:                    []corev1.EnvVar{{Name: "A", Value: "b"}, {Name: "NODE_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nodeName"}}}},
				VolumeMounts:           []corev1.VolumeMount{{Name: "kube-api-access-x7x2q", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			}},
			Volumes: []corev1.Volume{{Name: "kube-api-access-x7x2q", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: new(int32(420)), Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: new(int64(3607)), Path: "token"}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
			}}}}},
		},
	}
	daemon.AddTolerations(&pod.Spec)
	return pod
}

// One admission, from request body to response body.
func BenchmarkPlacement(b *testing.B) {
	benchmark(b, PlacementPath, review(b, create(encode(b, emitted()))))
}

func BenchmarkValidation(b *testing.B) {
	set := validSet()
	set.Spec.Template.Spec = emitted().Spec
	set.Spec.Template.Spec.NodeName, set.Spec.Template.Spec.SchedulingGates, set.Spec.Template.Spec.Priority = "", nil, nil
	benchmark(b, ValidationPath, review(b, createSet(encode(b, set))))
}

func benchmark(b *testing.B, path string, body []byte) {
	handler := newHandler(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if recorder := post(handler, path, body); recorder.Code != http.StatusOK {
			b.Fatalf("status %d", recorder.Code)
		}
	}
}
