package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// parse reads a pod template as a user writes it.
func parse(t testing.TB, text string) *corev1.PodTemplateSpec {
	t.Helper()
	var template corev1.PodTemplateSpec
	if err := yaml.UnmarshalStrict([]byte(text), &template); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return &template
}

func TestTemplatesOfTheSameMeaning(t *testing.T) {
	tests := map[string]struct{ one, other string }{
		// metadata
		"no creation time": {`{metadata: {creationTimestamp: null}}`, `{}`},
		"empty labels":     {`{metadata: {labels: {}, annotations: {}, finalizers: []}}`, `{}`},
		"a name, which no pod gets": {
			`{metadata: {name: a, namespace: b, generateName: c, uid: d}}`, `{}`,
		},
		"reordered finalizers": {
			`{metadata: {finalizers: [example.com/a, example.com/b]}}`,
			`{metadata: {finalizers: [example.com/b, example.com/a]}}`,
		},

		// pods
		"defaults of a pod": {
			`{spec: {restartPolicy: Always, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, terminationGracePeriodSeconds: 30,
			  securityContext: {}, enableServiceLinks: true, shareProcessNamespace: false, setHostnameAsFQDN: false}}`,
			`{}`,
		},
		"empty parts of a pod": {
			`{spec: {affinity: {nodeAffinity: {}, podAffinity: {}, podAntiAffinity: {}}, dnsConfig: {options: []}, resources: {limits: {}},
			  nodeSelector: {}, tolerations: [], volumes: [], imagePullSecrets: []}}`,
			`{}`,
		},
		"the old name of a service account":      {`{spec: {serviceAccount: a}}`, `{spec: {serviceAccountName: a}}`},
		"both names of a service account":        {`{spec: {serviceAccount: b, serviceAccountName: a}}`, `{spec: {serviceAccountName: a}}`},
		"less than no time to end":               {`{spec: {terminationGracePeriodSeconds: -5}}`, `{spec: {terminationGracePeriodSeconds: 1}}`},
		"overhead is rounded":                    {`{spec: {overhead: {cpu: 0.0001}}}`, `{spec: {overhead: {cpu: 1m}}}`},
		"reordered pull secrets":                 {`{spec: {imagePullSecrets: [{name: a}, {name: b}]}}`, `{spec: {imagePullSecrets: [{name: b}, {name: a}]}}`},
		"reordered readiness gates":              {`{spec: {readinessGates: [{conditionType: a}, {conditionType: b}]}}`, `{spec: {readinessGates: [{conditionType: b}, {conditionType: a}]}}`},
		"reordered scheduling gates":             {`{spec: {schedulingGates: [{name: a}, {name: b}]}}`, `{spec: {schedulingGates: [{name: b}, {name: a}]}}`},
		"reordered resource claims":              {`{spec: {resourceClaims: [{name: a}, {name: b}]}}`, `{spec: {resourceClaims: [{name: b}, {name: a}]}}`},
		"reordered groups":                       {`{spec: {securityContext: {supplementalGroups: [1, 2]}}}`, `{spec: {securityContext: {supplementalGroups: [2, 1]}}}`},
		"reordered sysctls":                      {`{spec: {securityContext: {sysctls: [{name: a, value: "1"}, {name: b, value: "2"}]}}}`, `{spec: {securityContext: {sysctls: [{name: b, value: "2"}, {name: a, value: "1"}]}}}`},
		"reordered tolerations":                  {`{spec: {tolerations: [{key: a, operator: Exists}, {key: b, value: c}]}}`, `{spec: {tolerations: [{key: b, value: c}, {key: a, operator: Exists}]}}`},
		"a toleration's operator":                {`{spec: {tolerations: [{key: a, operator: Equal, value: b}]}}`, `{spec: {tolerations: [{key: a, value: b}]}}`},
		"reordered, one with an implied default": {`{spec: {tolerations: [{key: a}, {key: a, operator: Equal, value: b}]}}`, `{spec: {tolerations: [{key: a, value: b}, {key: a, operator: Equal}]}}`},

		// affinity and spreading
		"reordered terms, requirements and values": {
			affinity(`{nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			  {matchExpressions: [{key: a, operator: In, values: [x, y]}, {key: b, operator: Exists}]}, {matchFields: [{key: metadata.name, operator: NotIn, values: [n1, n2]}]}]}}}`),
			affinity(`{nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			  {matchFields: [{key: metadata.name, operator: NotIn, values: [n2, n1]}]}, {matchExpressions: [{key: b, operator: Exists, values: []}, {key: a, operator: In, values: [y, x]}]}]}}}`),
		},
		"reordered preferences": {
			affinity(`{nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
			  {weight: 1, preference: {matchExpressions: [{key: a, operator: Exists}]}}, {weight: 2, preference: {matchExpressions: [{key: b, operator: Exists}]}}]}}`),
			affinity(`{nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
			  {weight: 2, preference: {matchExpressions: [{key: b, operator: Exists}]}}, {weight: 1, preference: {matchExpressions: [{key: a, operator: Exists}]}}]}}`),
		},
		"reordered pod affinity": {
			affinity(`{podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a, namespaces: [x, y]}, {topologyKey: b, labelSelector: {matchExpressions: [{key: c, operator: In, values: [d, e]}]}}]}}`),
			affinity(`{podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: b, labelSelector: {matchExpressions: [{key: c, operator: In, values: [e, d]}]}}, {topologyKey: a, namespaces: [y, x]}]}}`),
		},
		"reordered pod anti-affinity": {
			affinity(`{podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: a}}, {weight: 2, podAffinityTerm: {topologyKey: b}}]}}`),
			affinity(`{podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 2, podAffinityTerm: {topologyKey: b}}, {weight: 1, podAffinityTerm: {topologyKey: a}}]}}`),
		},
		"what spreading implies": {
			`{spec: {topologySpreadConstraints: [{topologyKey: a, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, minDomains: 1, nodeAffinityPolicy: Honor, nodeTaintsPolicy: Ignore}]}}`,
			`{spec: {topologySpreadConstraints: [{topologyKey: a, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]}}`,
		},
		"reordered spreading": {
			`{spec: {topologySpreadConstraints: [{topologyKey: a, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, matchLabelKeys: [x, y]}, {topologyKey: b, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]}}`,
			`{spec: {topologySpreadConstraints: [{topologyKey: b, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}, {topologyKey: a, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, matchLabelKeys: [y, x]}]}}`,
		},

		// containers
		"defaults of a container": {
			container(`image: a:1, imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File`),
			container(`image: a:1`),
		},
		"an image without a tag is pulled always": {container(`image: a, imagePullPolicy: Always`), container(`image: a`)},
		"so is the latest":                        {container(`image: reg:5000/a:latest, imagePullPolicy: Always`), container(`image: reg:5000/a:latest`)},
		"a digest is not":                         {container(`image: reg:5000/a@sha256:1, imagePullPolicy: IfNotPresent`), container(`image: reg:5000/a@sha256:1`)},
		"empty parts of a container": {
			container(`command: [], args: [], env: [], resources: {limits: {}, requests: {}, claims: []}, lifecycle: {}, securityContext: {capabilities: {add: [], drop: []}}, ports: []`),
			container(``),
		},
		"an explicit protocol":    {container(`ports: [{containerPort: 80, protocol: TCP}]`), container(`ports: [{containerPort: 80}]`)},
		"reordered ports":         {container(`ports: [{containerPort: 80}, {containerPort: 81}]`), container(`ports: [{containerPort: 81}, {containerPort: 80}]`)},
		"a host port that it has": {`{spec: {hostNetwork: true, initContainers: [{name: i, ports: [{containerPort: 80, hostPort: 80}]}]}}`, `{spec: {hostNetwork: true, initContainers: [{name: i, ports: [{containerPort: 80}]}]}}`},
		"host ports, reordered": {
			`{spec: {hostNetwork: true, containers: [{name: c, ports: [{containerPort: 80, hostPort: 80}, {containerPort: 80, protocol: UDP}]}]}}`,
			`{spec: {hostNetwork: true, containers: [{name: c, ports: [{containerPort: 80, hostPort: 80, protocol: UDP}, {containerPort: 80}]}]}}`,
		},
		"quantities of the same value": {
			container(`resources: {requests: {cpu: 1000m, memory: 1073741824, ephemeral-storage: 1e3}}`),
			container(`resources: {requests: {cpu: "1", memory: 1Gi, ephemeral-storage: 1k}}`),
		},
		"half a CPU":                        {container(`resources: {limits: {cpu: 0.5}}`), container(`resources: {limits: {cpu: 500m}}`)},
		"resources are rounded":             {container(`resources: {limits: {cpu: 0.0001}}`), container(`resources: {limits: {cpu: 1m}}`)},
		"requests that follow from limits":  {container(`resources: {limits: {cpu: "1"}, requests: {cpu: 1000m, memory: 1Gi}}`), container(`resources: {limits: {cpu: "1"}, requests: {memory: 1Gi}}`)},
		"all requests follow from limits":   {container(`resources: {limits: {cpu: "1"}, requests: {cpu: "1"}}`), container(`resources: {limits: {cpu: "1"}}`)},
		"reordered claims":                  {container(`resources: {claims: [{name: a}, {name: b}]}`), container(`resources: {claims: [{name: b}, {name: a}]}`)},
		"reordered resize policy":           {container(`resizePolicy: [{resourceName: cpu, restartPolicy: a}, {resourceName: memory, restartPolicy: b}]`), container(`resizePolicy: [{resourceName: memory, restartPolicy: b}, {resourceName: cpu, restartPolicy: a}]`)},
		"reordered exit codes":              {container(`restartPolicyRules: [{exitCodes: {operator: In, values: [1, 2]}}]`), container(`restartPolicyRules: [{exitCodes: {operator: In, values: [2, 1]}}]`)},
		"reordered capabilities":            {container(`securityContext: {capabilities: {add: [A, B], drop: [C, D]}}`), container(`securityContext: {capabilities: {add: [B, A], drop: [D, C]}}`)},
		"reordered mounts":                  {container(`volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /a/b}]`), container(`volumeMounts: [{name: b, mountPath: /a/b}, {name: a, mountPath: /a}]`)},
		"what a mount implies":              {container(`volumeMounts: [{name: a, mountPath: /a, readOnly: false, mountPropagation: None, recursiveReadOnly: Disabled}]`), container(`volumeMounts: [{name: a, mountPath: /a}]`)},
		"reordered devices":                 {container(`volumeDevices: [{name: a, devicePath: /a}, {name: b, devicePath: /b}]`), container(`volumeDevices: [{name: b, devicePath: /b}, {name: a, devicePath: /a}]`)},
		"the version of a field's path":     {container(`env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: spec.nodeName}}}]`), container(`env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]`)},
		"the divisor of a resource":         {container(`env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "0"}}}]`), container(`env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]`)},
		"a file that there must be":         {container(`env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k, optional: false}}}]`), container(`env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}]`)},
		"an empty variable":                 {container(`env: [{name: A, value: ""}]`), container(`env: [{name: A}]`)},
		"defaults of a probe":               {container(`livenessProbe: {exec: {command: [a]}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}`), container(`livenessProbe: {exec: {command: [a]}}`)},
		"defaults of a probe over HTTP":     {container(`readinessProbe: {httpGet: {port: 80, path: /, scheme: HTTP, protocol: HTTP1}}`), container(`readinessProbe: {httpGet: {port: 80}}`)},
		"defaults of a probe over gRPC":     {container(`startupProbe: {grpc: {port: 80, service: ""}}`), container(`startupProbe: {grpc: {port: 80}}`)},
		"defaults of a handler":             {container(`lifecycle: {preStop: {httpGet: {port: 80, path: /, scheme: HTTP}}}`), container(`lifecycle: {preStop: {httpGet: {port: 80}}}`)},
		"defaults of an init container too": {`{spec: {initContainers: [{name: i, image: a, imagePullPolicy: Always}]}}`, `{spec: {initContainers: [{name: i, image: a}]}}`},

		// volumes
		"reordered volumes":                  {`{spec: {volumes: [{name: a, hostPath: {path: /a}}, {name: b, secret: {secretName: b}}]}}`, `{spec: {volumes: [{name: b, secret: {secretName: b}}, {name: a, hostPath: {path: /a}}]}}`},
		"a volume without a source":          {volume(`emptyDir: {}`), volume(``)},
		"a size limit of the same value":     {volume(`emptyDir: {sizeLimit: 1073741824}`), volume(`emptyDir: {sizeLimit: 1Gi}`)},
		"the type of a host path":            {volume(`hostPath: {path: /a, type: ""}`), volume(`hostPath: {path: /a}`)},
		"the mode of a secret":               {volume(`secret: {secretName: a, defaultMode: 0644}`), volume(`secret: {secretName: a}`)},
		"the mode of a config map":           {volume(`configMap: {name: a, defaultMode: 420}`), volume(`configMap: {name: a}`)},
		"the mode of the downward API":       {volume(`downwardAPI: {defaultMode: 420, items: [{path: a, fieldRef: {apiVersion: v1, fieldPath: metadata.labels}}]}`), volume(`downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.labels}}]}`)},
		"the mode of projected sources":      {volume(`projected: {defaultMode: 420, sources: [{configMap: {name: a}}]}`), volume(`projected: {sources: [{configMap: {name: a}}]}`)},
		"the lifetime of a token":            {volume(`projected: {sources: [{serviceAccountToken: {path: a, expirationSeconds: 3600}}]}`), volume(`projected: {sources: [{serviceAccountToken: {path: a}}]}`)},
		"the pull policy of an image volume": {volume(`image: {reference: a, pullPolicy: Always}`), volume(`image: {reference: a}`)},
		"a CSI volume to write to":           {volume(`csi: {driver: a, readOnly: false}`), volume(`csi: {driver: a}`)},
		"defaults of a claim template": {
			volume(`ephemeral: {volumeClaimTemplate: {metadata: {creationTimestamp: null}, spec: {volumeMode: Filesystem, accessModes: [A, B], resources: {requests: {storage: 0.0001}, limits: {storage: 0.0001}}}}}`),
			volume(`ephemeral: {volumeClaimTemplate: {spec: {accessModes: [B, A], resources: {requests: {storage: 1m}, limits: {storage: 1m}}}}}`),
		},
		"defaults of iSCSI":      {volume(`iscsi: {targetPortal: a, iqn: b, lun: 0, iscsiInterface: default}`), volume(`iscsi: {targetPortal: a, iqn: b, lun: 0}`)},
		"defaults of RBD":        {volume(`rbd: {monitors: [a], image: b, pool: rbd, user: admin, keyring: /etc/ceph/keyring}`), volume(`rbd: {monitors: [a], image: b}`)},
		"defaults of ScaleIO":    {volume(`scaleIO: {gateway: a, system: b, storageMode: ThinProvisioned, fsType: xfs}`), volume(`scaleIO: {gateway: a, system: b}`)},
		"defaults of Azure Disk": {volume(`azureDisk: {diskName: a, diskURI: b, cachingMode: ReadWrite, fsType: ext4, readOnly: false, kind: Shared}`), volume(`azureDisk: {diskName: a, diskURI: b}`)},
		"reordered files": {
			volume(`projected: {sources: [{secret: {name: s, items: [{key: a, path: a}, {key: b, path: b}]}}, {downwardAPI: {items: [{path: a}, {path: b}]}}]}`),
			volume(`projected: {sources: [{secret: {name: s, items: [{key: b, path: b}, {key: a, path: a}]}}, {downwardAPI: {items: [{path: b}, {path: a}]}}]}`),
		},
		"reordered files of a config map": {
			volume(`configMap: {name: m, items: [{key: a, path: a}, {key: a, path: b}]}`), volume(`configMap: {name: m, items: [{key: a, path: b}, {key: a, path: a}]}`),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			one, other := parse(t, test.one), parse(t, test.other)
			if diff := cmp.Diff(canonical(one), canonical(other)); diff != "" {
				t.Errorf("canonical forms (-one, +other):\n%s", diff)
			}
			if a, b := mustRevision(t, one), mustRevision(t, other); a != b {
				t.Errorf("revisions %s and %s, want the same", a, b)
			}
		})
	}
}

func TestTemplatesOfDifferentMeaning(t *testing.T) {
	tests := map[string]struct{ one, other string }{
		"a label": {`{metadata: {labels: {a: b}}}`, `{}`},
		"an annotation, as kubectl rollout restart sets it": {`{metadata: {annotations: {kubectl.kubernetes.io/restartedAt: "1"}}}`, `{metadata: {annotations: {kubectl.kubernetes.io/restartedAt: "2"}}}`},
		"a finalizer":                        {`{metadata: {finalizers: [example.com/a]}}`, `{}`},
		"another image":                      {container(`image: a:1`), container(`image: a:2`)},
		"another pull policy":                {container(`image: a:1, imagePullPolicy: Always`), container(`image: a:1`)},
		"reordered args":                     {container(`args: [a, b]`), container(`args: [b, a]`)},
		"reordered env":                      {container(`env: [{name: A, value: a}, {name: B, value: $(A)}]`), container(`env: [{name: B, value: $(A)}, {name: A, value: a}]`)},
		"reordered envFrom":                  {container(`envFrom: [{configMapRef: {name: a}}, {configMapRef: {name: b}}]`), container(`envFrom: [{configMapRef: {name: b}}, {configMapRef: {name: a}}]`)},
		"reordered restart rules":            {container(`restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [1]}}, {action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}]`), container(`restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}]`)},
		"reordered containers":               {`{spec: {containers: [{name: a}, {name: b}]}}`, `{spec: {containers: [{name: b}, {name: a}]}}`},
		"reordered init containers":          {`{spec: {initContainers: [{name: a}, {name: b}]}}`, `{spec: {initContainers: [{name: b}, {name: a}]}}`},
		"a container that starts first":      {`{spec: {initContainers: [{name: a}]}}`, `{spec: {containers: [{name: a}]}}`},
		"reordered nameservers":              {`{spec: {dnsConfig: {nameservers: [10.0.0.1, 10.0.0.2]}}}`, `{spec: {dnsConfig: {nameservers: [10.0.0.2, 10.0.0.1]}}}`},
		"reordered projected sources":        {volume(`projected: {sources: [{configMap: {name: a}}, {secret: {name: b}}]}`), volume(`projected: {sources: [{secret: {name: b}}, {configMap: {name: a}}]}`)},
		"reordered files of one path":        {volume(`configMap: {name: m, items: [{key: a, path: p}, {key: b, path: p}]}`), volume(`configMap: {name: m, items: [{key: b, path: p}, {key: a, path: p}]}`)},
		"a selector for all and for nothing": {affinity(`{podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a, namespaceSelector: {}}]}}`), affinity(`{podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a}]}}`)},
		"a selector that matches no node":    {affinity(`{nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}`), `{}`},
		"terms ORed and requirements ANDed": {
			affinity(`{nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}, {key: b, operator: Exists}]}]}}}`),
			affinity(`{nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}, {matchExpressions: [{key: b, operator: Exists}]}]}}}`),
		},
		"more of a resource":                                              {container(`resources: {limits: {cpu: 500m}}`), container(`resources: {limits: {cpu: 501m}}`)},
		"no limit and a limit of nothing":                                 {container(`resources: {limits: {cpu: "0"}}`), container(``)},
		"a request below its limit":                                       {container(`resources: {limits: {cpu: "2"}, requests: {cpu: "1"}}`), container(`resources: {limits: {cpu: "2"}}`)},
		"a request without a limit":                                       {container(`resources: {requests: {cpu: "1"}}`), container(`resources: {limits: {cpu: "1"}}`)},
		"a request of the pod, which may follow from what admission adds": {`{spec: {resources: {limits: {cpu: "1"}, requests: {cpu: "1"}}}}`, `{spec: {resources: {limits: {cpu: "1"}}}}`},
		"very large quantities":                                           {container(`resources: {limits: {example.com/a: 1E}}`), container(`resources: {limits: {example.com/a: 1000E}}`)},
		"a host port off the node's network":                              {container(`ports: [{containerPort: 80, hostPort: 80}]`), container(`ports: [{containerPort: 80}]`)},
		"another protocol":                                                {container(`ports: [{containerPort: 80, protocol: UDP}]`), container(`ports: [{containerPort: 80}]`)},
		"a port by number and by name":                                    {container(`livenessProbe: {tcpSocket: {port: 80}}`), container(`livenessProbe: {tcpSocket: {port: "80"}}`)},
		"no time to end":                                                  {`{spec: {terminationGracePeriodSeconds: 0}}`, `{}`},
		"root, and the user of the image":                                 {container(`securityContext: {runAsUser: 0}`), container(``)},
		"what policies ask to be written out":                             {container(`securityContext: {privileged: false}`), container(``)},
		"no token, and the setting of the account":                        {`{spec: {automountServiceAccountToken: false}}`, `{}`},
		"SELinux options that override the pod's":                         {container(`securityContext: {seLinuxOptions: {}}`), container(``)},
		"another size limit":                                              {volume(`emptyDir: {sizeLimit: 1Gi}`), volume(`emptyDir: {}`)},
		"another source":                                                  {volume(`hostPath: {path: /a}`), volume(``)},
		"another mode":                                                    {volume(`secret: {secretName: a, defaultMode: 0600}`), volume(`secret: {secretName: a}`)},
		"a toleration twice":                                              {`{spec: {tolerations: [{key: a}, {key: a}]}}`, `{spec: {tolerations: [{key: a}]}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			one, other := parse(t, test.one), parse(t, test.other)
			if cmp.Equal(canonical(one), canonical(other)) {
				t.Errorf("one canonical form for two meanings:\n%s\n%s", test.one, test.other)
			}
			if revision := mustRevision(t, one); revision == mustRevision(t, other) {
				t.Errorf("one revision, %s, for two meanings:\n%s\n%s", revision, test.one, test.other)
			}
		})
	}
}

// What is not set must not be in the hash, whatever the tags of k8s.io/api are; what is set to
// nothing must.
func TestEncodeWritesWhatIsSet(t *testing.T) {
	template := parse(t, container(`env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}], securityContext: {runAsUser: 0}, resources: {limits: {cpu: 0}}, tty: false`))
	got, err := encode(canonical(template))
	want := `{"spec":{"containers":[{"env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}}],"name":"c","resources":{"limits":{"cpu":"0"}},"securityContext":{"runAsUser":0}}]}}`
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v, encoded (-want, +got):\n%s", err, diff)
	}
	template.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &resource.Quantity{}}}}}
	if got, err := encode(canonical(template).Spec.Volumes); err != nil || string(got) != `[{"emptyDir":{"sizeLimit":"0"},"name":"v"}]` {
		t.Errorf("%v, a limit of nothing is encoded as %s", err, got)
	}
}

func container(fields string) string { return `{spec: {containers: [{name: c, ` + fields + `}]}}` }
func volume(source string) string    { return `{spec: {volumes: [{name: v, ` + source + `}]}}` }
func affinity(text string) string    { return `{spec: {affinity: ` + text + `}}` }

func mustRevision(t testing.TB, template *corev1.PodTemplateSpec) string {
	t.Helper()
	revision, err := Revision(template)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}
