package chart

// Options that other cases start from.
var (
	files     = setting("certificates.source=files", "certificates.secretName=mine")
	bootstrap = setting("bootstrap.enabled=true")
)

const (
	theCA   = `"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"`
	encoded = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
)

var valueCases = map[string]valueCase{
	"policies place": {of: "placement.admission", options: setting("placement.admission=policy"),
		want: map[string]string{
			"MutatingAdmissionPolicy/everynode-placement {.spec.failurePolicy}":            "Fail",
			"MutatingAdmissionPolicy/everynode-placement-namespaces {.spec.failurePolicy}": "Fail",
			"ValidatingAdmissionPolicyBinding/everynode-placement {.spec.policyName}":      "everynode-placement",
			arg("controller", "webhook-certificates"):                                      "--webhook-certificates=none",
		},
		gone: webhookObjects},
	"only the controller places": {of: "placement.admission", options: setting("placement.admission=none"),
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
			arg("controller", "webhook-certificates"):                                                            "--webhook-certificates=none",
			arg("webhook", "metrics-bind-address"):                                                               "--metrics-bind-address=0",
			"NetworkPolicy/everynode-webhook {.spec.ingress[0].ports[*].port}":                                   "webhook",
			arg("webhook", "tls-cert-file"):                                                                      "--tls-cert-file=/etc/everynode-webhook/tls/tls.crt",
			"Deployment/everynode-webhook {.spec.template.spec.automountServiceAccountToken}":                    "false",
			"NetworkPolicy/everynode-webhook {.spec.egress}":                                                     "[]",
			`Role/everynode-controller {.rules[?(@.resources[0]=="secrets")].verbs}`:                             "",
			`ClusterRole/everynode-controller {.rules[?(@.apiGroups[0]=="admissionregistration.k8s.io")].verbs}`: "",
		},
		gone: append(confinement("everynode-controller-secrets", "everynode-controller-webhooks", "everynode-controller-issuance"),
			"ClusterRole/everynode-webhook", "ClusterRoleBinding/everynode-webhook", "Role/everynode-webhook", "RoleBinding/everynode-webhook")},
	"which Secret": {of: "certificates.secretName", options: files,
		want: map[string]string{"Deployment/everynode-webhook {.spec.template.spec.volumes[0].secret.secretName}": "mine"}},
	"which CA": {of: "certificates.caBundle", options: append(files[:len(files):len(files)], "--set-json", "certificates.caBundle="+theCA), against: files,
		want: map[string]string{
			"MutatingWebhookConfiguration/everynode-placement {.webhooks[0].clientConfig.caBundle}":    encoded,
			"ValidatingWebhookConfiguration/everynode-validation {.webhooks[0].clientConfig.caBundle}": encoded,
		}},
	"native DaemonSets": {of: "workloads", options: setting("workloads=apps"),
		want: map[string]string{
			arg("controller", "workloads"):                                                                 "--workloads=apps",
			"ClusterRoleBinding/everynode-controller-apps {.subjects[0].name}":                             "everynode-controller",
			"ValidatingAdmissionPolicyBinding/everynode-controller-status {.spec.policyName}":              "everynode-controller-status",
			`ClusterRole/everynode-controller {.rules[?(@.apiGroups[0]=="everynode.dev")].resources}`:      "",
			`ClusterRole/everynode-controller-apps {.rules[?(@.resources[0]=="daemonsets/status")].verbs}`: `["update","patch"]`,
		}},
	"both kinds of DaemonSets": {of: "workloads", options: setting(`workloads=everynode\,apps`),
		want: map[string]string{
			arg("controller", "workloads"):                                     "--workloads=everynode,apps",
			"ClusterRoleBinding/everynode-controller-apps {.subjects[0].name}": "everynode-controller",
		}},
	"in place of kube-scheduler": {of: "scheduler.install", options: setting("scheduler.install=primary"),
		want: map[string]string{
			"Role/everynode-scheduler {.metadata.namespace}":                                   "kube-system",
			"Role/everynode-scheduler {.rules[1].resourceNames}":                               `["kube-scheduler"]`,
			`ClusterRole/everynode-scheduler {.rules[?(@.resources[0]=="replicasets")].verbs}`: `["get","list","watch"]`,
			`FlowSchema/everynode-leases {.spec.rules[1].resourceRules[0].namespaces}`:         `["kube-system"]`,
		}},
	"no scheduler": {of: "scheduler.install", options: setting("scheduler.install=none"),
		want: map[string]string{"FlowSchema/everynode-leases {.spec.rules[*].subjects[*].serviceAccount.name}": "everynode-controller"},
		gone: append(confinement("everynode-scheduler-status", "everynode-scheduler-binds", "everynode-scheduler-deletes", "everynode-scheduler-events", "everynode-scheduler-leases",
			"everynode-scheduler-claims", "everynode-scheduler-volumes", "everynode-scheduler-devices", "everynode-scheduler-devices-status"),
			"Deployment/everynode-scheduler", "ConfigMap/everynode-scheduler-config", "ServiceAccount/everynode-scheduler",
			"ClusterRole/everynode-scheduler", "ClusterRoleBinding/everynode-scheduler", "Role/everynode-scheduler", "RoleBinding/everynode-scheduler",
			"RoleBinding/everynode-scheduler-authentication-reader", "NetworkPolicy/everynode-scheduler", "PodDisruptionBudget/everynode-scheduler")},
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
	"more verbose logs":    {of: "logging.verbosity", options: setting("logging.verbosity=4"), want: everyArg("v", "4")},
	"metrics for all clients": {of: "metrics.secure", options: setting("metrics.secure=false"),
		want: map[string]string{
			arg("controller", "metrics-secure"): "--metrics-secure=false",
			arg("webhook", "metrics-secure"):    "--metrics-secure=false",
			`ClusterRole/everynode-controller {.rules[?(@.resources[0]=="tokenreviews")].verbs}`:         "",
			`ClusterRole/everynode-controller {.rules[?(@.resources[0]=="subjectaccessreviews")].verbs}`: "",
			`ClusterRole/everynode-webhook {.rules[?(@.resources[0]=="tokenreviews")].verbs}`:            "",
			`ClusterRole/everynode-webhook {.rules[?(@.resources[0]=="subjectaccessreviews")].verbs}`:    "",
		}},
	"a ServiceMonitor of metrics for all clients": {of: "metrics.secure", against: setting("metrics.serviceMonitor.enabled=true"),
		options: setting("metrics.serviceMonitor.enabled=true", "metrics.secure=false"),
		want: map[string]string{
			"ServiceMonitor/everynode {.spec.endpoints[*].port}":         "http-metrics https-metrics",
			"Service/everynode-webhook-metrics {.spec.ports[0].name}":    "http-metrics",
			"Service/everynode-webhook-metrics {.spec.ports[0].port}":    "80",
			"Service/everynode-controller-metrics {.spec.ports[0].name}": "http-metrics",
		}},
	"metrics for all clients of a webhook without a token": {of: "metrics.secure", against: files, options: append(setting("metrics.secure=false"), files...),
		want: map[string]string{
			arg("webhook", "metrics-secure"):                                   "--metrics-secure=false",
			"NetworkPolicy/everynode-webhook {.spec.ingress[0].ports[*].port}": "webhook metrics",
		}},
	"a ServiceMonitor": {of: "metrics.serviceMonitor.enabled", options: setting("metrics.serviceMonitor.enabled=true"),
		want: map[string]string{
			"ServiceMonitor/everynode {.spec.endpoints[*].port}":               "https-metrics",
			"ServiceMonitor/everynode {.spec.endpoints[*].scheme}":             "https",
			"ServiceMonitor/everynode {.spec.endpoints[*].bearerTokenFile}":    "/var/run/secrets/kubernetes.io/serviceaccount/token",
			"Service/everynode-controller-metrics {.spec.ports[0].targetPort}": "metrics",
			"Service/everynode-scheduler-metrics {.spec.ports[0].targetPort}":  "https",
			"Service/everynode-webhook-metrics {.spec.ports[0].targetPort}":    "metrics",
			"Service/everynode-webhook-metrics {.spec.ports[0].name}":          "https-metrics",
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
	"the API server's ports": {of: "networkPolicies.apiServerPorts", options: setting("networkPolicies.apiServerPorts={7443}"),
		want: map[string]string{
			"NetworkPolicy/everynode-controller {.spec.egress[*].ports[*].port}": "7443",
			"NetworkPolicy/everynode-scheduler {.spec.egress[*].ports[*].port}":  "7443",
			"NetworkPolicy/everynode-webhook {.spec.egress[*].ports[*].port}":    "7443",
		}},
	"no FlowSchemas": {of: "flowSchemas.enabled", options: setting("flowSchemas.enabled=false"),
		gone: []string{"FlowSchema/everynode-leases", "FlowSchema/everynode"}},
	"no PodDisruptionBudgets": {of: "podDisruptionBudgets.enabled", options: setting("podDisruptionBudgets.enabled=false"),
		gone: []string{"PodDisruptionBudget/everynode-controller", "PodDisruptionBudget/everynode-scheduler", "PodDisruptionBudget/everynode-webhook"}},
	"a ResourceQuota": {of: "resourceQuota.enabled", options: setting("resourceQuota.enabled=true"),
		want: map[string]string{
			"ResourceQuota/everynode {.spec.hard.pods}":                                "24",
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
			"Deployment/everynode-scheduler {.spec.minReadySeconds}":                                                  "10",
			arg("scheduler", "permit-port-sharing"):                                                                   "--permit-port-sharing=true",
			"Deployment/everynode-scheduler {.spec.template.spec.containers[0].ports}":                                "",
		}},
	"the API server's address": {of: "bootstrap.apiServer.host", options: append(bootstrap[:len(bootstrap):len(bootstrap)], setting("bootstrap.apiServer.host=10.0.0.1")...), against: bootstrap,
		want: map[string]string{
			"Deployment/everynode-controller {.spec.template.spec.containers[0].env[0].value}": "10.0.0.1",
			"Deployment/everynode-scheduler {.spec.template.spec.containers[0].env[0].value}":  "10.0.0.1",
			"Deployment/everynode-scheduler {.spec.template.spec.nodeSelector}":                `{"kubernetes.io/os":"linux"}`,
		}},
	"the API server's port": {of: "bootstrap.apiServer.port", options: append(bootstrap[:len(bootstrap):len(bootstrap)], setting("bootstrap.apiServer.port=443")...), against: bootstrap,
		want: map[string]string{
			"Deployment/everynode-controller {.spec.template.spec.containers[0].env[1].value}": "443",
			"Deployment/everynode-scheduler {.spec.template.spec.containers[0].env[1].value}":  "443",
		}},
	"the Namespace": {of: "namespace.create", options: setting("namespace.create=true"),
		want: map[string]string{`Namespace/everynode-system {.metadata.labels.pod-security\.kubernetes\.io/enforce}`: "restricted"}},
}

var parts = []string{"controller", "scheduler", "webhook"}

var webhookObjects = []string{"Deployment/everynode-webhook", "Service/everynode-webhook", "ServiceAccount/everynode-webhook",
	"MutatingWebhookConfiguration/everynode-placement", "ValidatingWebhookConfiguration/everynode-validation",
	"ClusterRole/everynode-webhook", "ClusterRoleBinding/everynode-webhook", "Role/everynode-webhook", "RoleBinding/everynode-webhook",
	"NetworkPolicy/everynode-webhook", "PodDisruptionBudget/everynode-webhook"}

// confinement are ValidatingAdmissionPolicies with their bindings.
func confinement(names ...string) []string {
	var objects []string
	for _, name := range names {
		objects = append(objects, "ValidatingAdmissionPolicy/"+name, "ValidatingAdmissionPolicyBinding/"+name)
	}
	return objects
}

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
		want: map[string]string{
			"Deployment/everynode-" + part + " {.spec.template.spec.containers[0].resources.limits.memory}":            "1Gi",
			"Deployment/everynode-" + part + ` {.spec.template.spec.containers[0].env[?(@.name=="GOMEMLIMIT")].value}`: "966367641",
		}}
}

func extraArgs(part string) valueCase {
	return valueCase{of: part + ".extraArgs", options: setting(part + ".extraArgs={--a=b}"),
		want: map[string]string{"Deployment/everynode-" + part + " {.spec.template.spec.containers[0].args[-1:]}": "--a=b"}}
}
