package privileges

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Namespaces of a cluster.
const (
	own    = v1alpha1.SystemNamespace
	system = "kube-system"
	theirs = "default"
)

// deed is something that an account might do: a verb on a resource, in every namespace unless one is
// named, on every object unless one is named.
type deed struct {
	verb, group, resource, namespace, name string
}

func (d deed) attributes() *authorizationv1.ResourceAttributes {
	resource, subresource := cut(d.resource)
	return &authorizationv1.ResourceAttributes{
		Verb: d.verb, Group: d.group, Resource: resource, Subresource: subresource, Namespace: d.namespace, Name: d.name,
	}
}

const (
	rbac      = "rbac.authorization.k8s.io"
	admission = "admissionregistration.k8s.io"
	leases    = "coordination.k8s.io"
	// Reviews reach no object: whoever may make them can have a token checked, and ask who may do what.
	authentication = "authentication.k8s.io"
	authorization  = "authorization.k8s.io"
	native         = "apps"
	everynode      = v1alpha1.GroupName
)

// abuses are what no account of Everynode's may do.
var abuses = map[string]deed{
	"read all secrets":                     {"list", "", "secrets", "", ""},
	"follow all secrets":                   {"watch", "", "secrets", "", ""},
	"read secrets of kube-system":          {"list", "", "secrets", system, ""},
	"read a secret of kube-system":         {"get", "", "secrets", system, "bootstrap-token"},
	"read a secret of others":              {"get", "", "secrets", theirs, "database"},
	"read all secrets of its namespace":    {"list", "", "secrets", own, ""},
	"read another secret of its namespace": {"get", "", "secrets", own, "registry"},
	"write a secret of others":             {"update", "", "secrets", theirs, "database"},
	"make a secret elsewhere":              {"create", "", "secrets", system, ""},
	"delete secrets":                       {"delete", "", "secrets", own, "everynode-webhook-tls"},
	"read config of others":                {"list", "", "configmaps", theirs, ""},
	"change the cluster's config":          {"update", "", "configmaps", system, "kubeadm-config"},
	"change who is trusted":                {"update", "", "configmaps", system, "extension-apiserver-authentication"},
	"change the scheduler's config":        {"update", "", "configmaps", own, "everynode-scheduler-config"},
	"have a token of kube-system":          {"create", "", "serviceaccounts/token", system, "clusterrole-aggregation-controller"},
	"have a token of its neighbours":       {"create", "", "serviceaccounts/token", own, ""},
	"make a service account":               {"create", "", "serviceaccounts", theirs, ""},
	"be another user":                      {"impersonate", "", "users", "", ""},
	"be of another group":                  {"impersonate", "", "groups", "", "system:masters"},
	"be another service account":           {"impersonate", "", "serviceaccounts", "", ""},
	"grant more than it has":               {"escalate", rbac, "clusterroles", "", ""},
	"grant a role that it has not":         {"bind", rbac, "clusterroles", "", "cluster-admin"},
	"grant itself a cluster's role":        {"create", rbac, "clusterrolebindings", "", ""},
	"grant itself a namespace's role":      {"create", rbac, "rolebindings", system, ""},
	"widen its own role":                   {"patch", rbac, "clusterroles", "", "everynode-controller"},
	"widen its own role in its namespace":  {"update", rbac, "roles", own, "everynode-controller"},
	"run a command in a pod":               {"create", "", "pods/exec", "", ""},
	"attach to a pod":                      {"create", "", "pods/attach", "", ""},
	"reach into a pod":                     {"create", "", "pods/portforward", "", ""},
	"talk to a pod":                        {"get", "", "pods/proxy", "", ""},
	"add a container to a pod":             {"patch", "", "pods/ephemeralcontainers", "", ""},
	"give a pod other resources":           {"patch", "", "pods/resize", "", ""},
	"read logs":                            {"get", "", "pods/log", "", ""},
	"evict pods":                           {"create", "", "pods/eviction", "", ""},
	"replace pods":                         {"update", "", "pods", "", ""},
	"delete all pods at once":              {"deletecollection", "", "pods", "", ""},
	"talk to kubelets":                     {"get", "", "nodes/proxy", "", ""},
	"command kubelets":                     {"create", "", "nodes/proxy", "", ""},
	"make nodes":                           {"create", "", "nodes", "", ""},
	"delete nodes":                         {"delete", "", "nodes", "", ""},
	"taint nodes":                          {"patch", "", "nodes", "", ""},
	"say what nodes have":                  {"patch", "", "nodes/status", "", ""},
	"approve certificates":                 {"update", "certificates.k8s.io", "certificatesigningrequests/approval", "", ""},
	"ask for certificates":                 {"create", "certificates.k8s.io", "certificatesigningrequests", "", ""},
	"have its webhook asked":               {"create", admission, "mutatingwebhookconfigurations", "", ""},
	"have another webhook changed":         {"patch", admission, "mutatingwebhookconfigurations", "", "others"},
	"switch placement off":                 {"delete", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
	"have another validation changed":      {"patch", admission, "validatingwebhookconfigurations", "", "others"},
	"switch validation off":                {"delete", admission, "validatingwebhookconfigurations", "", "everynode-validation"},
	"rewrite requests":                     {"create", admission, "mutatingadmissionpolicies", "", ""},
	"lift its own confinement":             {"delete", admission, "validatingadmissionpolicies", "", "everynode-controller-creates"},
	"loosen its own confinement":           {"patch", admission, "validatingadmissionpolicybindings", "", "everynode-controller-creates"},
	"run Deployments":                      {"create", native, "deployments", "", ""},
	"change Deployments":                   {"patch", native, "deployments", own, "everynode-webhook"},
	"run Jobs":                             {"create", "batch", "jobs", "", ""},
	"make native DaemonSets":               {"create", native, "daemonsets", "", ""},
	"change native DaemonSets":             {"patch", native, "daemonsets", "", ""},
	"delete native DaemonSets":             {"delete", native, "daemonsets", "", ""},
	"make DaemonSets":                      {"create", everynode, "daemonsets", "", ""},
	"change DaemonSets":                    {"patch", everynode, "daemonsets", "", ""},
	"delete DaemonSets":                    {"delete", everynode, "daemonsets", "", ""},
	"change the CRD":                       {"patch", "apiextensions.k8s.io", "customresourcedefinitions", "", "daemonsets.everynode.dev"},
	"delete the CRD":                       {"delete", "apiextensions.k8s.io", "customresourcedefinitions", "", "daemonsets.everynode.dev"},
	"take over an API":                     {"create", "apiregistration.k8s.io", "apiservices", "", ""},
	"make namespaces":                      {"create", "", "namespaces", "", ""},
	"delete namespaces":                    {"delete", "", "namespaces", "", theirs},
	"let a namespace run anything":         {"patch", "", "namespaces", "", theirs},
	"lift quotas":                          {"delete", "", "resourcequotas", "", ""},
	"lift disruption budgets":              {"delete", "policy", "poddisruptionbudgets", "", ""},
	"open the network":                     {"delete", "networking.k8s.io", "networkpolicies", "", ""},
	"divert a service":                     {"patch", "", "services", "", ""},
	"divert a service by its endpoints":    {"update", "discovery.k8s.io", "endpointslices", "", ""},
	"make priorities":                      {"create", "scheduling.k8s.io", "priorityclasses", "", ""},
	"open nodes to a runtime class":        {"patch", "node.k8s.io", "runtimeclasses", "", ""},
	"rank its own requests":                {"patch", "flowcontrol.apiserver.k8s.io", "flowschemas", "", "everynode"},
	"make volumes":                         {"create", "", "persistentvolumes", "", ""},
	"delete volumes":                       {"delete", "", "persistentvolumes", "", ""},
	"stop kube-controller-manager":         {"update", leases, "leases", system, "kube-controller-manager"},
	"declare nodes alive":                  {"update", leases, "leases", "kube-node-lease", ""},
	"take any lease of its namespace":      {"update", leases, "leases", own, "others"},
	"delete leases":                        {"delete", leases, "leases", own, ""},
	"cover its tracks":                     {"delete", "", "events", "", ""},
}

// An account is one whose token may be stolen.
type account struct {
	name string
	// needs are what it must be able to do, or it does not work.
	needs map[string]deed
	// abuses are those that another account needs.
	abuses map[string]deed
}

var controllerNeeds = map[string]deed{
	"know who reads metrics":      {"create", authentication, "tokenreviews", "", ""},
	"know who may read them":      {"create", authorization, "subjectaccessreviews", "", ""},
	"watch DaemonSets":            {"watch", everynode, "daemonsets", "", ""},
	"write their status":          {"update", everynode, "daemonsets/status", "", ""},
	"own with their deletion":     {"update", everynode, "daemonsets/finalizers", "", ""},
	"watch pods":                  {"watch", "", "pods", "", ""},
	"make pods":                   {"create", "", "pods", "", ""},
	"adopt pods":                  {"patch", "", "pods", "", ""},
	"delete pods":                 {"delete", "", "pods", "", ""},
	"write history":               {"create", native, "controllerrevisions", "", ""},
	"watch nodes":                 {"watch", "", "nodes", "", ""},
	"know priorities":             {"list", "scheduling.k8s.io", "priorityclasses", "", ""},
	"know runtime classes":        {"watch", "node.k8s.io", "runtimeclasses", "", ""},
	"tell":                        {"create", "events.k8s.io", "events", "", ""},
	"lead":                        {"update", leases, "leases", own, "everynode-controller"},
	"have its webhook trusted":    {"patch", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
	"have its validation trusted": {"patch", admission, "validatingwebhookconfigurations", "", "everynode-validation"},
	"renew the certificate":       {"update", "", "secrets", own, "everynode-webhook-tls"},
	"keep the CA":                 {"get", "", "secrets", own, "everynode-webhook-ca"},
	"make Secrets":                {"create", "", "secrets", own, ""},
}

var controllerAbuses = map[string]deed{
	"bind pods":               {"create", "", "pods/binding", "", ""},
	"say how pods are":        {"patch", "", "pods/status", "", ""},
	"read volumes":            {"list", "", "persistentvolumes", "", ""},
	"be a scheduler":          {"update", leases, "leases", own, "everynode-scheduler"},
	"be kube-scheduler":       {"update", leases, "leases", system, "kube-scheduler"},
	"write cert-manager's CA": {"update", "", "secrets", own, "everynode-webhook-issuer"},
}

var controller = account{
	name: lab.Controller, needs: controllerNeeds,
	abuses: join(controllerAbuses, map[string]deed{
		"read native DaemonSets":               {"list", native, "daemonsets", "", ""},
		"write native DaemonSets' status":      {"patch", native, "daemonsets/status", "", ""},
		"own with native DaemonSets' deletion": {"update", native, "daemonsets/finalizers", "", ""},
	}),
}

// nativeController serves native DaemonSets too.
var nativeController = account{
	name: lab.Controller, abuses: controllerAbuses,
	needs: join(controllerNeeds, map[string]deed{
		"watch native DaemonSets":              {"watch", native, "daemonsets", "", ""},
		"write native DaemonSets' status":      {"update", native, "daemonsets/status", "", ""},
		"own with native DaemonSets' deletion": {"update", native, "daemonsets/finalizers", "", ""},
	}),
}

var webhook = account{
	name: lab.Webhook,
	needs: map[string]deed{
		"know its certificate":           {"watch", "", "secrets", own, "everynode-webhook-tls"},
		"know who reads metrics":         {"create", authentication, "tokenreviews", "", ""},
		"know who may read them":         {"create", authorization, "subjectaccessreviews", "", ""},
		"compare with DaemonSets":        {"list", everynode, "daemonsets", "", ""},
		"compare with native DaemonSets": {"watch", native, "daemonsets", "", ""},
		"know the size of nodes":         {"list", "", "nodes", "", ""},
	},
	abuses: join(controllerAbuses, map[string]deed{
		"read pods":                {"list", "", "pods", "", ""},
		"make pods":                {"create", "", "pods", "", ""},
		"delete pods":              {"delete", "", "pods", "", ""},
		"watch nodes":              {"watch", "", "nodes", "", ""},
		"change nodes":             {"patch", "", "nodes", "", ""},
		"read namespaces":          {"list", "", "namespaces", "", ""},
		"know the CA's key":        {"get", "", "secrets", own, "everynode-webhook-ca"},
		"write its certificate":    {"update", "", "secrets", own, "everynode-webhook-tls"},
		"make a secret":            {"create", "", "secrets", own, ""},
		"be trusted by itself":     {"patch", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
		"be a controller":          {"update", leases, "leases", own, "everynode-controller"},
		"make leases":              {"create", leases, "leases", own, ""},
		"tell lies":                {"create", "", "events", "", ""},
		"write DaemonSets' status": {"patch", everynode, "daemonsets/status", "", ""},
	}),
}

var schedulerNeeds = map[string]deed{
	"watch pods":         {"watch", "", "pods", "", ""},
	"bind pods":          {"create", "", "pods/binding", "", ""},
	"say why pods wait":  {"patch", "", "pods/status", "", ""},
	"make room":          {"delete", "", "pods", "", ""},
	"watch nodes":        {"watch", "", "nodes", "", ""},
	"bind volumes":       {"update", "", "persistentvolumes", "", ""},
	"spare budgets":      {"list", "policy", "poddisruptionbudgets", "", ""},
	"allocate devices":   {"update", "resource.k8s.io", "resourceclaims/status", "", ""},
	"tell":               {"create", "events.k8s.io", "events", "", ""},
	"know who asks":      {"create", "authentication.k8s.io", "tokenreviews", "", ""},
	"know what they may": {"create", "authorization.k8s.io", "subjectaccessreviews", "", ""},
}

var schedulerAbuses = map[string]deed{
	"make pods":                        {"create", "", "pods", "", ""},
	"change pods":                      {"patch", "", "pods", "", ""},
	"know its neighbour's certificate": {"get", "", "secrets", own, "everynode-webhook-tls"},
	"know the CA's key":                {"get", "", "secrets", own, "everynode-webhook-ca"},
	"make a secret":                    {"create", "", "secrets", own, ""},
	"have a webhook trusted":           {"patch", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
	"be a controller":                  {"update", leases, "leases", own, "everynode-controller"},
	"read DaemonSets":                  {"list", everynode, "daemonsets", "", ""},
	"write history":                    {"create", native, "controllerrevisions", "", ""},
}

var scheduler = account{
	name: lab.EverynodeScheduler,
	needs: join(schedulerNeeds, map[string]deed{
		"lead": {"update", leases, "leases", own, "everynode-scheduler"},
	}),
	abuses: join(schedulerAbuses, map[string]deed{
		"be kube-scheduler":          {"update", leases, "leases", system, "kube-scheduler"},
		"make leases of kube-system": {"create", leases, "leases", system, ""},
		"read services":              {"list", "", "services", "", ""},
		"read ReplicaSets":           {"list", native, "replicasets", "", ""},
	}),
}

// primaryScheduler is in kube-scheduler's place.
var primaryScheduler = account{
	name: lab.EverynodeScheduler, abuses: schedulerAbuses,
	needs: join(schedulerNeeds, map[string]deed{
		"lead":              {"update", leases, "leases", system, "kube-scheduler"},
		"lead at first":     {"create", leases, "leases", system, ""},
		"spread by service": {"watch", "", "services", "", ""},
		"spread by owner":   {"watch", native, "replicasets", "", ""},
	}),
}

// What the policies say that confine the controller.
const (
	saysNodeName  = "spec.nodeName bypasses the scheduler"
	saysScheduler = "spec.schedulerName must be everynode-scheduler"
	saysPin       = "every required node affinity term must begin with matchFields metadata.name In one node"
	saysOwner     = "metadata.ownerReferences must be one controller reference to a DaemonSet"
	saysForeign   = "no DaemonSet controls the pod before or after the change"
	saysSpec      = "may only change the controller reference and the revision label of a pod"
	saysLabel     = "may only change the label controller-revision-hash of a pod"
	saysDelete    = "may only delete pods of daemons"
	saysSecret    = "may only create the Secrets everynode-webhook-tls"
)

// A confined abuse is one that RBAC cannot tell from what the controller needs: the rules allow the
// deed, and a policy refuses it.
type confined struct {
	needs string // the controller's need that it looks like
	// theft is what the thief does, with a pod of a daemon and one of nobody at hand.
	theft func(ctx context.Context, thief client.Client, daemons, nobodys *corev1.Pod) error
	want  string
}

// making has the thief make a daemon's pod that is changed.
func making(change func(*corev1.Pod)) func(context.Context, client.Client, *corev1.Pod, *corev1.Pod) error {
	return func(ctx context.Context, thief client.Client, _, _ *corev1.Pod) error {
		pod := daemonsPod()
		change(pod)
		return thief.Create(ctx, pod, client.DryRunAll)
	}
}

// changing has the thief patch the daemon's pod, deleting the one of nobody.
func changing(patch string) func(context.Context, client.Client, *corev1.Pod, *corev1.Pod) error {
	return func(ctx context.Context, thief client.Client, daemons, _ *corev1.Pod) error {
		return thief.Patch(ctx, daemons.DeepCopy(), client.RawPatch("application/strategic-merge-patch+json", []byte(patch)))
	}
}

// keeping has the thief make a Secret of everynode-system's.
func keeping(secret *corev1.Secret) func(context.Context, client.Client, *corev1.Pod, *corev1.Pod) error {
	return func(ctx context.Context, thief client.Client, _, _ *corev1.Pod) error {
		secret := secret.DeepCopy()
		secret.Namespace = own
		return thief.Create(ctx, secret, client.DryRunAll)
	}
}

// tokenOf is a Secret that kube-controller-manager fills with a token of a service account's.
func tokenOf(account, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
}

// daemonsPod is a pod as the controller makes it.
func daemonsPod() *corev1.Pod {
	pod := labtest.Emitted()
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		panic(err) // it is no pod of ours
	}
	return pod
}

var confinedAbuses = map[string]confined{
	"bypass the scheduler":             {"make pods", making(func(pod *corev1.Pod) { pod.Spec.NodeName = "n1" }), saysNodeName},
	"run a pod of another scheduler":   {"make pods", making(func(pod *corev1.Pod) { pod.Spec.SchedulerName = "" }), saysScheduler},
	"run a pod anywhere":               {"make pods", making(func(pod *corev1.Pod) { pod.Spec.Affinity = nil }), saysPin},
	"run a pod of nobody":              {"make pods", making(func(pod *corev1.Pod) { pod.OwnerReferences = nil }), saysOwner},
	"run a pod in a Deployment's name": {"make pods", making(func(pod *corev1.Pod) { pod.OwnerReferences[0].Kind = "ReplicaSet" }), saysOwner},
	"run another image":                {"adopt pods", changing(`{"spec":{"containers":[{"name":"main","image":"evil"}]}}`), saysSpec},
	"hide from a service":              {"adopt pods", changing(`{"metadata":{"labels":{"app":null}}}`), saysLabel},
	"leave a note":                     {"adopt pods", changing(`{"metadata":{"annotations":{"a":"b"}}}`), saysSpec},
	"change a pod of nobody": {"adopt pods", func(ctx context.Context, thief client.Client, _, nobodys *corev1.Pod) error {
		return thief.Patch(ctx, nobodys.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"controller-revision-hash":"x"}}}`)))
	}, saysForeign},
	"delete a pod of nobody": {"delete pods", func(ctx context.Context, thief client.Client, _, nobodys *corev1.Pod) error {
		return thief.Delete(ctx, nobodys.DeepCopy())
	}, saysDelete},
	"have a neighbour's token made":          {"make Secrets", keeping(tokenOf("everynode-scheduler", "stolen")), saysSecret},
	"have it made under a name that it uses": {"make Secrets", keeping(tokenOf("everynode-scheduler", "everynode-webhook-ca")), saysSecret},
	"put a Secret where another is expected": {"make Secrets", keeping(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "registry"}}), saysSecret},
}
