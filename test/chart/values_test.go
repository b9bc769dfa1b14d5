package chart

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/util/jsonpath"
)

// A value is one that values.yaml documents.
type value struct {
	path, comment, initial string
}

// documented are the values of values.yaml, in its order: what has a comment, or nothing below it.
func documented(t *testing.T) []value {
	t.Helper()
	text, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var values []value
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i < len(node.Content); i += 2 {
			key, content := node.Content[i], node.Content[i+1]
			if key.HeadComment == "" && content.Kind == yaml.MappingNode && len(content.Content) > 0 {
				walk(prefix+key.Value+".", content)
				continue
			}
			values = append(values, value{prefix + key.Value, comment(key.HeadComment), flow(t, content)})
		}
	}
	walk("", document.Content[0])
	return values
}

// comment is the last paragraph of a comment, in one line.
func comment(head string) string {
	paragraphs := strings.Split(head, "\n\n")
	var words []string
	for line := range strings.SplitSeq(paragraphs[len(paragraphs)-1], "\n") {
		words = append(words, strings.Fields(strings.TrimPrefix(line, "#"))...)
	}
	return strings.Join(words, " ")
}

// flow writes a node in one line.
func flow(t *testing.T, node *yaml.Node) string {
	t.Helper()
	var plain func(node *yaml.Node)
	plain = func(node *yaml.Node) {
		node.HeadComment, node.LineComment, node.FootComment = "", "", ""
		if node.Kind != yaml.ScalarNode {
			node.Style = yaml.FlowStyle
		}
		for _, child := range node.Content {
			plain(child)
		}
	}
	plain(node)
	text, err := yaml.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// A valueCase is what becomes of one value, or of one choice of it.
type valueCase struct {
	// of is the value's path in values.yaml.
	of string
	// options are given to helm.
	options []string
	// against are the options that it is compared with; none are the chart's defaults.
	against []string
	// want are fields of objects: "Kind/name {jsonpath}" to their text.
	want map[string]string
	// gone are objects that are not there any more.
	gone []string
}

const theCA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

func caFile(t *testing.T) string {
	t.Helper()
	file := t.TempDir() + "/ca.crt"
	if err := os.WriteFile(file, []byte(theCA), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func valueCases(t *testing.T) map[string]valueCase {
	files := setting("certificates.source=files", "certificates.secretName=mine")
	bootstrap := setting("bootstrap.enabled=true")
	quota := setting("resourceQuota.enabled=true")
	return map[string]valueCase{
		"policies place": {of: "placement.admission", options: setting("placement.admission=policy"),
			want: map[string]string{
				"MutatingAdmissionPolicy/everynode-placement {.spec.failurePolicy}":            "Fail",
				"MutatingAdmissionPolicy/everynode-placement-namespaces {.spec.failurePolicy}": "Fail",
				"ValidatingAdmissionPolicyBinding/everynode-placement {.spec.policyName}":      "everynode-placement",
				arg("controller", "webhook-certificates"):                                      "--webhook-certificates=none",
			},
			gone: webhookObjects},
		"the controller alone places": {of: "placement.admission", options: setting("placement.admission=none"),
			want: map[string]string{
				arg("controller", "placement"):            "--placement=direct",
				arg("controller", "webhook-certificates"): "--webhook-certificates=none",
			},
			gone: webhookObjects},
		"certificates by cert-manager": {of: "certificates.source", options: setting("certificates.source=cert-manager"),
			want: map[string]string{arg("controller", "webhook-certificates"): "--webhook-certificates=cert-manager"}},
		"certificates by the controller": {of: "certificates.source", options: setting("certificates.source=self-managed"),
			want: map[string]string{arg("controller", "webhook-certificates"): "--webhook-certificates=self-managed"}},
		"certificates from files": {of: "certificates.source", options: files,
			want: map[string]string{
				arg("controller", "webhook-certificates"):                                         "--webhook-certificates=none",
				arg("webhook", "tls-cert-file"):                                                   "--tls-cert-file=/etc/everynode-webhook/tls/tls.crt",
				"Deployment/everynode-webhook {.spec.template.spec.automountServiceAccountToken}": "false",
				"NetworkPolicy/everynode-webhook {.spec.egress}":                                  "[]",
			},
			gone: []string{"ClusterRole/everynode-webhook", "ClusterRoleBinding/everynode-webhook", "Role/everynode-webhook", "RoleBinding/everynode-webhook"}},
		"which Secret": {of: "certificates.secretName", options: files,
			want: map[string]string{"Deployment/everynode-webhook {.spec.template.spec.volumes[0].secret.secretName}": "mine"}},
		"which CA": {of: "certificates.caBundle", options: append(files, "--set-file", "certificates.caBundle="+caFile(t)), against: files,
			want: map[string]string{
				"MutatingWebhookConfiguration/everynode-placement {.webhooks[0].clientConfig.caBundle}":    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=",
				"ValidatingWebhookConfiguration/everynode-validation {.webhooks[0].clientConfig.caBundle}": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=",
			}},
		"native DaemonSets": {of: "workloads", options: setting("workloads=apps"),
			want: map[string]string{
				arg("controller", "workloads"):                                                                 "--workloads=apps",
				"ClusterRoleBinding/everynode-controller-apps {.subjects[0].name}":                             "everynode-controller",
				`ClusterRole/everynode-controller {.rules[?(@.apiGroups[0]=="everynode.dev")].resources}`:      "",
				`ClusterRole/everynode-controller-apps {.rules[?(@.resources[0]=="daemonsets/status")].verbs}`: `["update","patch"]`,
			}},
		"both kinds of DaemonSets": {of: "workloads", options: setting(`workloads=everynode\,apps`),
			want: map[string]string{
				arg("controller", "workloads"):                                     "--workloads=everynode,apps",
				"ClusterRoleBinding/everynode-controller-apps {.subjects[0].name}": "everynode-controller",
			}},
		"in the place of kube-scheduler": {of: "scheduler.install", options: setting("scheduler.install=primary"),
			want: map[string]string{
				"Role/everynode-scheduler {.metadata.namespace}":                                   "kube-system",
				"Role/everynode-scheduler {.rules[1].resourceNames}":                               `["kube-scheduler"]`,
				`ClusterRole/everynode-scheduler {.rules[?(@.resources[0]=="replicasets")].verbs}`: `["get","list","watch"]`,
				`FlowSchema/everynode-leases {.spec.rules[1].resourceRules[0].namespaces}`:         `["kube-system"]`,
			}},
		"no scheduler": {of: "scheduler.install", options: setting("scheduler.install=none"),
			want: map[string]string{"FlowSchema/everynode-leases {.spec.rules[*].subjects[*].serviceAccount.name}": "everynode-controller"},
			gone: []string{"Deployment/everynode-scheduler", "ConfigMap/everynode-scheduler-config", "ServiceAccount/everynode-scheduler",
				"ClusterRole/everynode-scheduler", "ClusterRoleBinding/everynode-scheduler", "Role/everynode-scheduler", "RoleBinding/everynode-scheduler",
				"RoleBinding/everynode-scheduler-authentication-reader", "NetworkPolicy/everynode-scheduler", "PodDisruptionBudget/everynode-scheduler"}},
		"scheduler replicas":   replicas("scheduler"),
		"controller replicas":  replicas("controller"),
		"webhook replicas":     replicas("webhook"),
		"scheduler resources":  resources("scheduler"),
		"controller resources": resources("controller"),
		"webhook resources":    resources("webhook"),
		"scheduler arguments":  extraArgs("scheduler"),
		"controller arguments": extraArgs("controller"),
		"webhook arguments":    extraArgs("webhook"),
		"JSON":                 {of: "logging.format", options: setting("logging.format=json"), want: everyArg("logging-format", "json")},
		"more is logged":       {of: "logging.verbosity", options: setting("logging.verbosity=4"), want: everyArg("v", "4")},
		"a ServiceMonitor": {of: "metrics.serviceMonitor.enabled", options: setting("metrics.serviceMonitor.enabled=true"),
			want: map[string]string{
				"ServiceMonitor/everynode {.spec.endpoints[*].port}":               "http-metrics https-metrics",
				"Service/everynode-controller-metrics {.spec.ports[0].targetPort}": "metrics",
				"Service/everynode-scheduler-metrics {.spec.ports[0].targetPort}":  "https",
				"Service/everynode-webhook-metrics {.spec.ports[0].targetPort}":    "health",
			}},
		"labels of the ServiceMonitor": {of: "metrics.serviceMonitor.labels", against: setting("metrics.serviceMonitor.enabled=true"),
			options: setting("metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.labels.release=kps"),
			want:    map[string]string{"ServiceMonitor/everynode {.metadata.labels.release}": "kps"}},
		"alerts": {of: "metrics.rules.enabled", options: setting("metrics.rules.enabled=true"),
			want: map[string]string{"PrometheusRule/everynode {.spec.groups[0].name}": "everynode-webhook-certificate"}},
		"labels of the alerts": {of: "metrics.rules.labels", against: setting("metrics.rules.enabled=true"),
			options: setting("metrics.rules.enabled=true", "metrics.rules.labels.release=kps"),
			want:    map[string]string{"PrometheusRule/everynode {.metadata.labels.release}": "kps"}},
		"a dashboard": {of: "metrics.dashboard.enabled", options: setting("metrics.dashboard.enabled=true"),
			want: map[string]string{"ConfigMap/everynode-dashboard {.metadata.labels.grafana_dashboard}": "1"}},
		"labels of the dashboard": {of: "metrics.dashboard.labels", against: setting("metrics.dashboard.enabled=true"),
			options: append(setting("metrics.dashboard.enabled=true"), "--set-string", "metrics.dashboard.labels.mine=1"),
			want:    map[string]string{"ConfigMap/everynode-dashboard {.metadata.labels.mine}": "1"}},
		"no NetworkPolicies": {of: "networkPolicies.enabled", options: setting("networkPolicies.enabled=false"),
			gone: []string{"NetworkPolicy/everynode-controller", "NetworkPolicy/everynode-scheduler", "NetworkPolicy/everynode-webhook"}},
		"the API server's ports": {of: "networkPolicies.apiServerPorts", options: setting("networkPolicies.apiServerPorts={16443}"),
			want: map[string]string{
				"NetworkPolicy/everynode-controller {.spec.egress[*].ports[*].port}": "16443",
				"NetworkPolicy/everynode-scheduler {.spec.egress[*].ports[*].port}":  "16443",
				"NetworkPolicy/everynode-webhook {.spec.egress[*].ports[*].port}":    "16443",
			}},
		"no FlowSchemas": {of: "flowSchemas.enabled", options: setting("flowSchemas.enabled=false"),
			gone: []string{"FlowSchema/everynode-leases", "FlowSchema/everynode"}},
		"no PodDisruptionBudgets": {of: "podDisruptionBudgets.enabled", options: setting("podDisruptionBudgets.enabled=false"),
			gone: []string{"PodDisruptionBudget/everynode-controller", "PodDisruptionBudget/everynode-scheduler", "PodDisruptionBudget/everynode-webhook"}},
		"a ResourceQuota": {of: "resourceQuota.enabled", options: quota,
			want: map[string]string{
				"ResourceQuota/everynode {.spec.hard.pods}":                                "12",
				"ResourceQuota/everynode {.spec.scopeSelector.matchExpressions[0].values}": `["system-cluster-critical"]`,
			}},
		"another priority": {of: "priorityClassName", options: setting("priorityClassName=mine"), want: everyPod("{.spec.template.spec.priorityClassName}", "mine")},
		"some nodes":       {of: "nodeSelector", options: setting("nodeSelector.pool=system"), want: everyPod("{.spec.template.spec.nodeSelector.pool}", "system")},
		"tainted nodes": {of: "tolerations", options: setting("tolerations[0].key=dedicated", "tolerations[0].operator=Exists"),
			want: everyPod("{.spec.template.spec.tolerations}", `[{"key":"dedicated","operator":"Exists"}]`)},
		"a registry": {of: "images.registry", options: setting("images.registry=registry.example.com:5000/mirror/"),
			want: everyPart(func(part string) (string, string) {
				return "Deployment/everynode-" + part + " {.spec.template.spec.containers[0].image}", "registry.example.com:5000/mirror/everynode/everynode-" + part + ":dev"
			})},
		"a tag": {of: "images.tag", options: setting("images.tag=v1.2.3"),
			want: everyPart(func(part string) (string, string) {
				return "Deployment/everynode-" + part + " {.spec.template.spec.containers[0].image}", "everynode/everynode-" + part + ":v1.2.3"
			})},
		"images are pulled": {of: "images.pullPolicy", options: setting("images.pullPolicy=Always"),
			want: everyPod("{.spec.template.spec.containers[0].imagePullPolicy}", "Always")},
		"credentials of the registry": {of: "images.pullSecrets", options: setting("images.pullSecrets={a,b}"),
			want: everyPod("{.spec.template.spec.imagePullSecrets[*].name}", "a b")},
		"before the network": {of: "bootstrap.enabled", options: bootstrap,
			want: map[string]string{
				"Deployment/everynode-controller {.spec.template.spec.hostNetwork}":                                       "true",
				"Deployment/everynode-scheduler {.spec.template.spec.hostNetwork}":                                        "true",
				"Deployment/everynode-controller {.spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath}": "status.hostIP",
				"Deployment/everynode-scheduler {.spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath}":  "status.hostIP",
				`Deployment/everynode-controller {.spec.template.spec.nodeSelector}`:                                      `{"kubernetes.io/os":"linux","node-role.kubernetes.io/control-plane":""}`,
				"Deployment/everynode-controller {.spec.template.spec.tolerations[*].key}":                                "node-role.kubernetes.io/control-plane node.kubernetes.io/not-ready node.kubernetes.io/network-unavailable node.cloudprovider.kubernetes.io/uninitialized",
				"Deployment/everynode-scheduler {.spec.template.spec.containers[0].readinessProbe.httpGet.host}":          "127.0.0.1",
				"Deployment/everynode-controller {.spec.template.spec.containers[0].livenessProbe.httpGet.host}":          "127.0.0.1",
				"Deployment/everynode-controller {.spec.strategy.rollingUpdate.maxSurge}":                                 "0",
			}},
		"where the API server is": {of: "bootstrap.apiServer.host", options: append(bootstrap, setting("bootstrap.apiServer.host=10.0.0.1")...), against: bootstrap,
			want: map[string]string{
				"Deployment/everynode-controller {.spec.template.spec.containers[0].env[0].value}": "10.0.0.1",
				"Deployment/everynode-scheduler {.spec.template.spec.containers[0].env[0].value}":  "10.0.0.1",
				"Deployment/everynode-scheduler {.spec.template.spec.nodeSelector}":                `{"kubernetes.io/os":"linux"}`,
			}},
		"at which port": {of: "bootstrap.apiServer.port", options: append(bootstrap, setting("bootstrap.apiServer.port=443")...), against: bootstrap,
			want: map[string]string{
				"Deployment/everynode-controller {.spec.template.spec.containers[0].env[1].value}": "443",
				"Deployment/everynode-scheduler {.spec.template.spec.containers[0].env[1].value}":  "443",
			}},
		"the Namespace": {of: "namespace.create", options: setting("namespace.create=true"),
			want: map[string]string{`Namespace/everynode-system {.metadata.labels.pod-security\.kubernetes\.io/enforce}`: "restricted"}},
	}
}

var parts = []string{"controller", "scheduler", "webhook"}

var webhookObjects = []string{"Deployment/everynode-webhook", "Service/everynode-webhook", "ServiceAccount/everynode-webhook",
	"MutatingWebhookConfiguration/everynode-placement", "ValidatingWebhookConfiguration/everynode-validation",
	"ClusterRole/everynode-webhook", "ClusterRoleBinding/everynode-webhook", "Role/everynode-webhook", "RoleBinding/everynode-webhook",
	"NetworkPolicy/everynode-webhook", "PodDisruptionBudget/everynode-webhook"}

// arg is the field of a program's argument.
func arg(part, flag string) string {
	return "Deployment/everynode-" + part + " --" + flag
}

func everyPart(of func(part string) (field, text string)) map[string]string {
	want := map[string]string{}
	for _, part := range parts {
		field, text := of(part)
		want[field] = text
	}
	return want
}

func everyPod(path, text string) map[string]string {
	return everyPart(func(part string) (string, string) { return "Deployment/everynode-" + part + " " + path, text })
}

func everyArg(flag, text string) map[string]string {
	return everyPart(func(part string) (string, string) { return arg(part, flag), "--" + flag + "=" + text })
}

func replicas(part string) valueCase {
	return valueCase{of: part + ".replicas", options: setting(part + ".replicas=3"),
		want: map[string]string{"Deployment/everynode-" + part + " {.spec.replicas}": "3"}}
}

func resources(part string) valueCase {
	return valueCase{of: part + ".resources", options: setting(part + ".resources.limits.memory=1Gi"),
		want: map[string]string{"Deployment/everynode-" + part + " {.spec.template.spec.containers[0].resources.limits.memory}": "1Gi"}}
}

func extraArgs(part string) valueCase {
	return valueCase{of: part + ".extraArgs", options: setting(part + ".extraArgs={--a=b}"),
		want: map[string]string{"Deployment/everynode-" + part + " {.spec.template.spec.containers[0].args[-1:]}": "--a=b"}}
}

// field is the text of a field, "Kind/name {jsonpath}", or of an argument, "Kind/name --flag"; nothing
// when there is none.
func (o objects) field(t *testing.T, key string) string {
	t.Helper()
	name, path, _ := strings.Cut(key, " ")
	object := o[name]
	if object == nil {
		return ""
	}
	if flag, is := strings.CutPrefix(path, "--"); is {
		for arg := range strings.FieldsSeq(o.field(t, name+" {.spec.template.spec.containers[0].args[*]}")) {
			if strings.HasPrefix(arg, "--"+flag+"=") {
				return arg
			}
		}
		return ""
	}
	parsed := jsonpath.New(key).AllowMissingKeys(true)
	if err := parsed.Parse(path); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, object.Object); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return text.String()
}

// Every value that is documented does what it says, and is documented, in words.
func TestValues(t *testing.T) {
	cases := valueCases(t)
	known := map[string]bool{}
	for _, value := range documented(t) {
		known[value.path] = true
		if value.comment == "" {
			t.Errorf("values.yaml: %s has no comment", value.path)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(cases)), func(c valueCase) bool { return c.of == value.path }) {
			t.Errorf("no case says what becomes of the value %s", value.path)
		}
	}
	var mu sync.Mutex
	manifests := map[string][]byte{}
	t.Run("each", func(t *testing.T) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if !known[test.of] {
					t.Errorf("values.yaml has no %s", test.of)
				}
				_, before := render(t, test.against...)
				manifest, after := render(t, test.options...)
				test.check(t, before, after)
				checkPodSecurity(t, after)
				mu.Lock()
				defer mu.Unlock()
				manifests[name] = manifest
			})
		}
	})
	checkSchemas(t, manifests)
}

// check holds what is wanted, and that it is the value's doing.
func (c valueCase) check(t *testing.T, before, after objects) {
	t.Helper()
	for key, want := range c.want {
		if got := after.field(t, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
		if before.field(t, key) == want {
			t.Errorf("%s is %q without the value too", key, want)
		}
	}
	for _, key := range c.gone {
		if before[key] == nil {
			t.Errorf("there is no %s without the value either", key)
		}
		if after[key] != nil {
			t.Errorf("%s is still there", key)
		}
	}
}
