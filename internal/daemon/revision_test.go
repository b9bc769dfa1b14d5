package daemon

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

func TestRevisionTellsTemplatesApart(t *testing.T) {
	grace := int64(5)
	templates := map[string]corev1.PodTemplateSpec{
		"empty":            {},
		"image":            {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "agent:1"}}}},
		"another image":    {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "agent:2"}}}},
		"a label":          {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}},
		"an annotation":    {ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "b"}}},
		"a pointer field":  {Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace}},
		"order of args":    {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Args: []string{"a", "b"}}}}},
		"order of args, 2": {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Args: []string{"b", "a"}}}}},
	}
	seen := map[string]string{}
	for name, template := range templates {
		got, err := Revision(&template)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%s and %s share revision %s", name, other, got)
		}
		seen[got] = name
		if problems := validation.IsValidLabelValue(got); len(problems) > 0 || got == "" {
			t.Errorf("%s: revision %q is no label value: %v", name, got, problems)
		}
	}
}

// fixed are templates whose revisions no release may change: a user of a template like it would see
// every pod restarted.
var fixed = map[string]struct{ template, revision string }{
	"an empty template": {`{}`, "8g9pz8tnpd"},
	"the least that runs": {`
metadata: {labels: {app: agent}}
spec:
  containers: [{name: agent, image: "agent:1"}]`, "c29f75wf2s"},
	"an exporter of metrics": {`
metadata:
  labels: {app: exporter}
  annotations: {prometheus.io/scrape: "true"}
spec:
  hostNetwork: true
  hostPID: true
  securityContext: {runAsNonRoot: true, runAsUser: 65534}
  tolerations: [{operator: Exists}]
  containers:
  - name: exporter
    image: quay.io/prometheus/node-exporter:v1.9.1
    args: [--path.rootfs=/host, --web.listen-address=:9100]
    ports: [{name: metrics, containerPort: 9100}]
    readinessProbe: {httpGet: {path: /, port: metrics}}
    resources: {requests: {cpu: 100m, memory: 180Mi}, limits: {memory: 180Mi}}
    securityContext: {readOnlyRootFilesystem: true, capabilities: {add: [SYS_TIME], drop: [ALL]}}
    volumeMounts: [{name: root, mountPath: /host, mountPropagation: HostToContainer, readOnly: true}]
  volumes: [{name: root, hostPath: {path: /}}]`, "mp26gct3nq"},
	"a driver of storage": {`
metadata: {labels: {app: driver}}
spec:
  serviceAccountName: driver
  priorityClassName: system-node-critical
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions: [{key: type, operator: NotIn, values: [virtual, edge]}, {key: kubernetes.io/os, operator: In, values: [linux]}]
  initContainers: [{name: wait, image: driver:2, command: [wait], restartPolicy: Always}]
  containers:
  - name: driver
    image: driver:2
    env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: ENDPOINT, value: unix:///csi/$(NODE).sock}]
    livenessProbe: {httpGet: {port: 9808, path: /healthz}, initialDelaySeconds: 10, timeoutSeconds: 3}
    lifecycle: {preStop: {exec: {command: [driver, pre-stop]}}}
    securityContext: {privileged: true}
    volumeMounts: [{name: plugin, mountPath: /csi}, {name: pods, mountPath: /var/lib/kubelet/pods, mountPropagation: Bidirectional}]
  - {name: registrar, image: registrar, volumeMounts: [{name: plugin, mountPath: /csi}]}
  volumes:
  - {name: plugin, hostPath: {path: /var/lib/kubelet/plugins/driver, type: DirectoryOrCreate}}
  - {name: pods, hostPath: {path: /var/lib/kubelet/pods, type: Directory}}
  - name: token
    projected: {sources: [{serviceAccountToken: {path: token, audience: driver}}, {configMap: {name: ca, items: [{key: ca.crt, path: ca.crt}]}}]}
  - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 64Mi}}`, "gwtgevywwh"},
}

func TestRevisionsAreFixed(t *testing.T) {
	for name, test := range fixed {
		if got := mustRevision(t, parse(t, test.template)); got != test.revision {
			t.Errorf("%s: revision %s, want %s", name, got, test.revision)
		}
	}
}

func TestRevisionOfACopyIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: rapid.MapOf(drawKey, drawValue).Draw(t, "labels")},
			Spec:       drawSpec(t),
		}
		before := template.DeepCopy()
		want, err := Revision(before)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Revision(template); err != nil || got != want {
			t.Fatalf("Revision = %q, %v, want %q", got, err, want)
		}
	})
}

func BenchmarkRevision(b *testing.B) {
	for name, test := range fixed {
		b.Run(name, func(b *testing.B) {
			template := parse(b, test.template)
			for b.Loop() {
				mustRevision(b, template)
			}
		})
	}
}
