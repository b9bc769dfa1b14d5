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

// deed is an action of an account: a verb on a resource, in all namespaces unless one is
// named, on all objects unless one is named.
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
	// Reviews concern no objects: they only check tokens and permissions.
	authentication = "authentication.k8s.io"
	authorization  = "authorization.k8s.io"
	native         = "apps"
	everynode      = v1alpha1.GroupName
)

// abuses are actions that no account of Everynode may do.
var abuses = map[string]deed{
	"read all secrets":                      {"list", "", "secrets", "", ""},
	"watch all secrets":                     {"watch", "", "secrets", "", ""},
	"read secrets of kube-system":           {"list", "", "secrets", system, ""},
	"read a secret of kube-system":          {"get", "", "secrets", system, "bootstrap-token"},
	"read another namespace's secret":       {"get", "", "secrets", theirs, "database"},
	"read all secrets of its namespace":     {"list", "", "secrets", own, ""},
	"read another secret of its namespace":  {"get", "", "secrets", own, "registry"},
	"write another namespace's secret":      {"update", "", "secrets", theirs, "database"},
	"create a secret in kube-system":        {"create", "", "secrets", system, ""},
	"delete secrets":                        {"delete", "", "secrets", own, "everynode-webhook-tls"},
	"read another namespace's config":       {"list", "", "configmaps", theirs, ""},
	"change the cluster's config":           {"update", "", "configmaps", system, "kubeadm-config"},
	"change the trusted CAs":                {"update", "", "configmaps", system, "extension-apiserver-authentication"},
	"change the scheduler's config":         {"update", "", "configmaps", own, "everynode-scheduler-config"},
	"read all configs of its namespace":     {"list", "", "configmaps", own, ""},
	"read another config of its namespace":  {"watch", "", "configmaps", own, "everynode-scheduler-config"},
	"create the emergency stop":             {"create", "", "configmaps", own, ""},
	"change the emergency stop":             {"update", "", "configmaps", own, "everynode-stop"},
	"end the emergency stop":                {"delete", "", "configmaps", own, "everynode-stop"},
	"request a token in kube-system":        {"create", "", "serviceaccounts/token", system, "clusterrole-aggregation-controller"},
	"request a token in its namespace":      {"create", "", "serviceaccounts/token", own, ""},
	"create a service account":              {"create", "", "serviceaccounts", theirs, ""},
	"impersonate a user":                    {"impersonate", "", "users", "", ""},
	"impersonate a group":                   {"impersonate", "", "groups", "", "system:masters"},
	"impersonate a service account":         {"impersonate", "", "serviceaccounts", "", ""},
	"grant more than it has":                {"escalate", rbac, "clusterroles", "", ""},
	"grant a role that it does not have":    {"bind", rbac, "clusterroles", "", "cluster-admin"},
	"bind itself to a cluster role":         {"create", rbac, "clusterrolebindings", "", ""},
	"bind itself to a role":                 {"create", rbac, "rolebindings", system, ""},
	"extend its own cluster role":           {"patch", rbac, "clusterroles", "", "everynode-controller"},
	"extend its own role":                   {"update", rbac, "roles", own, "everynode-controller"},
	"run a command in a pod":                {"create", "", "pods/exec", "", ""},
	"attach to a pod":                       {"create", "", "pods/attach", "", ""},
	"forward a port of a pod":               {"create", "", "pods/portforward", "", ""},
	"proxy to a pod":                        {"get", "", "pods/proxy", "", ""},
	"add a container to a pod":              {"patch", "", "pods/ephemeralcontainers", "", ""},
	"resize a pod":                          {"patch", "", "pods/resize", "", ""},
	"read logs":                             {"get", "", "pods/log", "", ""},
	"evict pods":                            {"create", "", "pods/eviction", "", ""},
	"replace pods":                          {"update", "", "pods", "", ""},
	"delete all pods at once":               {"deletecollection", "", "pods", "", ""},
	"proxy to kubelets":                     {"get", "", "nodes/proxy", "", ""},
	"command kubelets":                      {"create", "", "nodes/proxy", "", ""},
	"create nodes":                          {"create", "", "nodes", "", ""},
	"delete nodes":                          {"delete", "", "nodes", "", ""},
	"taint nodes":                           {"patch", "", "nodes", "", ""},
	"write the status of nodes":             {"patch", "", "nodes/status", "", ""},
	"approve certificates":                  {"update", "certificates.k8s.io", "certificatesigningrequests/approval", "", ""},
	"request certificates":                  {"create", "certificates.k8s.io", "certificatesigningrequests", "", ""},
	"create a webhook configuration":        {"create", admission, "mutatingwebhookconfigurations", "", ""},
	"change another webhook":                {"patch", admission, "mutatingwebhookconfigurations", "", "others"},
	"switch placement off":                  {"delete", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
	"change another validating webhook":     {"patch", admission, "validatingwebhookconfigurations", "", "others"},
	"switch validation off":                 {"delete", admission, "validatingwebhookconfigurations", "", "everynode-validation"},
	"rewrite requests":                      {"create", admission, "mutatingadmissionpolicies", "", ""},
	"lift its own confinement":              {"delete", admission, "validatingadmissionpolicies", "", "everynode-controller-creates"},
	"loosen its own confinement":            {"patch", admission, "validatingadmissionpolicybindings", "", "everynode-controller-creates"},
	"run Deployments":                       {"create", native, "deployments", "", ""},
	"change Deployments":                    {"patch", native, "deployments", own, "everynode-webhook"},
	"run Jobs":                              {"create", "batch", "jobs", "", ""},
	"create native DaemonSets":              {"create", native, "daemonsets", "", ""},
	"change native DaemonSets":              {"patch", native, "daemonsets", "", ""},
	"delete native DaemonSets":              {"delete", native, "daemonsets", "", ""},
	"create DaemonSets":                     {"create", everynode, "daemonsets", "", ""},
	"change DaemonSets":                     {"patch", everynode, "daemonsets", "", ""},
	"delete DaemonSets":                     {"delete", everynode, "daemonsets", "", ""},
	"change the CRD":                        {"patch", "apiextensions.k8s.io", "customresourcedefinitions", "", "daemonsets.everynode.dev"},
	"delete the CRD":                        {"delete", "apiextensions.k8s.io", "customresourcedefinitions", "", "daemonsets.everynode.dev"},
	"take over an API":                      {"create", "apiregistration.k8s.io", "apiservices", "", ""},
	"create namespaces":                     {"create", "", "namespaces", "", ""},
	"delete namespaces":                     {"delete", "", "namespaces", "", theirs},
	"lift a namespace's Pod Security level": {"patch", "", "namespaces", "", theirs},
	"delete quotas":                         {"delete", "", "resourcequotas", "", ""},
	"delete disruption budgets":             {"delete", "policy", "poddisruptionbudgets", "", ""},
	"delete network policies":               {"delete", "networking.k8s.io", "networkpolicies", "", ""},
	"divert a service":                      {"patch", "", "services", "", ""},
	"divert a service by its endpoints":     {"update", "discovery.k8s.io", "endpointslices", "", ""},
	"create priority classes":               {"create", "scheduling.k8s.io", "priorityclasses", "", ""},
	"change a runtime class":                {"patch", "node.k8s.io", "runtimeclasses", "", ""},
	"change the priority of its requests":   {"patch", "flowcontrol.apiserver.k8s.io", "flowschemas", "", "everynode"},
	"create volumes":                        {"create", "", "persistentvolumes", "", ""},
	"delete volumes":                        {"delete", "", "persistentvolumes", "", ""},
	"stop kube-controller-manager":          {"update", leases, "leases", system, "kube-controller-manager"},
	"renew leases of nodes":                 {"update", leases, "leases", "kube-node-lease", ""},
	"take another lease of its namespace":   {"update", leases, "leases", own, "others"},
	"delete leases":                         {"delete", leases, "leases", own, ""},
	"delete events":                         {"delete", "", "events", "", ""},
}

// An account is one whose token may be stolen.
type account struct {
	name string
	// needs are the actions that it requires.
	needs map[string]deed
	// abuses are the actions that it must not do, although another account may need them.
	abuses map[string]deed
}

var controllerNeeds = map[string]deed{
	"authenticate clients of /metrics":        {"create", authentication, "tokenreviews", "", ""},
	"authorize clients of /metrics":           {"create", authorization, "subjectaccessreviews", "", ""},
	"watch DaemonSets":                        {"watch", everynode, "daemonsets", "", ""},
	"write the status of DaemonSets":          {"update", everynode, "daemonsets/status", "", ""},
	"own pods with blockOwnerDeletion":        {"update", everynode, "daemonsets/finalizers", "", ""},
	"watch pods":                              {"watch", "", "pods", "", ""},
	"create pods":                             {"create", "", "pods", "", ""},
	"adopt pods":                              {"patch", "", "pods", "", ""},
	"delete pods":                             {"delete", "", "pods", "", ""},
	"write history":                           {"create", native, "controllerrevisions", "", ""},
	"watch nodes":                             {"watch", "", "nodes", "", ""},
	"read priority classes":                   {"list", "scheduling.k8s.io", "priorityclasses", "", ""},
	"watch runtime classes":                   {"watch", "node.k8s.io", "runtimeclasses", "", ""},
	"watch the emergency stop":                {"watch", "", "configmaps", own, "everynode-stop"},
	"create events":                           {"create", "events.k8s.io", "events", "", ""},
	"renew its lease":                         {"update", leases, "leases", own, "everynode-controller"},
	"write the webhook's caBundle":            {"patch", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
	"write the validating webhook's caBundle": {"patch", admission, "validatingwebhookconfigurations", "", "everynode-validation"},
	"renew the certificate":                   {"update", "", "secrets", own, "everynode-webhook-tls"},
	"read the CA":                             {"get", "", "secrets", own, "everynode-webhook-ca"},
	"create Secrets":                          {"create", "", "secrets", own, ""},
}

var controllerAbuses = map[string]deed{
	"bind pods":                        {"create", "", "pods/binding", "", ""},
	"write the status of pods":         {"patch", "", "pods/status", "", ""},
	"read volumes":                     {"list", "", "persistentvolumes", "", ""},
	"take everynode-scheduler's lease": {"update", leases, "leases", own, "everynode-scheduler"},
	"take kube-scheduler's lease":      {"update", leases, "leases", system, "kube-scheduler"},
	"write cert-manager's CA":          {"update", "", "secrets", own, "everynode-webhook-issuer"},
}

var controller = account{
	name: lab.Controller, needs: controllerNeeds,
	abuses: join(controllerAbuses, map[string]deed{
		"read native DaemonSets":                  {"list", native, "daemonsets", "", ""},
		"write native DaemonSets' status":         {"patch", native, "daemonsets/status", "", ""},
		"own native pods with blockOwnerDeletion": {"update", native, "daemonsets/finalizers", "", ""},
	}),
}

// nativeController serves native DaemonSets too.
var nativeController = account{
	name: lab.Controller, abuses: controllerAbuses,
	needs: join(controllerNeeds, map[string]deed{
		"watch native DaemonSets":                 {"watch", native, "daemonsets", "", ""},
		"write native DaemonSets' status":         {"update", native, "daemonsets/status", "", ""},
		"own native pods with blockOwnerDeletion": {"update", native, "daemonsets/finalizers", "", ""},
	}),
}

var webhook = account{
	name: lab.Webhook,
	needs: map[string]deed{
		"watch its certificate":            {"watch", "", "secrets", own, "everynode-webhook-tls"},
		"authenticate clients of /metrics": {"create", authentication, "tokenreviews", "", ""},
		"authorize clients of /metrics":    {"create", authorization, "subjectaccessreviews", "", ""},
		"compare with DaemonSets":          {"list", everynode, "daemonsets", "", ""},
		"compare with native DaemonSets":   {"watch", native, "daemonsets", "", ""},
		"know the size of nodes":           {"list", "", "nodes", "", ""},
	},
	abuses: join(controllerAbuses, map[string]deed{
		"read pods":                         {"list", "", "pods", "", ""},
		"create pods":                       {"create", "", "pods", "", ""},
		"delete pods":                       {"delete", "", "pods", "", ""},
		"watch nodes":                       {"watch", "", "nodes", "", ""},
		"change nodes":                      {"patch", "", "nodes", "", ""},
		"read namespaces":                   {"list", "", "namespaces", "", ""},
		"read the CA's key":                 {"get", "", "secrets", own, "everynode-webhook-ca"},
		"write its certificate":             {"update", "", "secrets", own, "everynode-webhook-tls"},
		"create a secret":                   {"create", "", "secrets", own, ""},
		"write its own caBundle":            {"patch", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
		"take everynode-controller's lease": {"update", leases, "leases", own, "everynode-controller"},
		"create leases":                     {"create", leases, "leases", own, ""},
		"create events":                     {"create", "", "events", "", ""},
		"write DaemonSets' status":          {"patch", everynode, "daemonsets/status", "", ""},
	}),
}

var schedulerNeeds = map[string]deed{
	"watch pods":                       {"watch", "", "pods", "", ""},
	"bind pods":                        {"create", "", "pods/binding", "", ""},
	"write the status of pods":         {"patch", "", "pods/status", "", ""},
	"preempt pods":                     {"delete", "", "pods", "", ""},
	"watch nodes":                      {"watch", "", "nodes", "", ""},
	"bind volumes":                     {"update", "", "persistentvolumes", "", ""},
	"read disruption budgets":          {"list", "policy", "poddisruptionbudgets", "", ""},
	"allocate devices":                 {"update", "resource.k8s.io", "resourceclaims/status", "", ""},
	"create events":                    {"create", "events.k8s.io", "events", "", ""},
	"authenticate clients of /metrics": {"create", "authentication.k8s.io", "tokenreviews", "", ""},
	"authorize clients of /metrics":    {"create", "authorization.k8s.io", "subjectaccessreviews", "", ""},
}

var schedulerAbuses = map[string]deed{
	"create pods":                       {"create", "", "pods", "", ""},
	"change pods":                       {"patch", "", "pods", "", ""},
	"read the webhook's certificate":    {"get", "", "secrets", own, "everynode-webhook-tls"},
	"read the CA's key":                 {"get", "", "secrets", own, "everynode-webhook-ca"},
	"create a secret":                   {"create", "", "secrets", own, ""},
	"write a caBundle":                  {"patch", admission, "mutatingwebhookconfigurations", "", "everynode-placement"},
	"take everynode-controller's lease": {"update", leases, "leases", own, "everynode-controller"},
	"read DaemonSets":                   {"list", everynode, "daemonsets", "", ""},
	"write history":                     {"create", native, "controllerrevisions", "", ""},
}

var scheduler = account{
	name: lab.EverynodeScheduler,
	needs: join(schedulerNeeds, map[string]deed{
		"renew its lease": {"update", leases, "leases", own, "everynode-scheduler"},
	}),
	abuses: join(schedulerAbuses, map[string]deed{
		"take kube-scheduler's lease":  {"update", leases, "leases", system, "kube-scheduler"},
		"create leases in kube-system": {"create", leases, "leases", system, ""},
		"read services":                {"list", "", "services", "", ""},
		"read ReplicaSets":             {"list", native, "replicasets", "", ""},
	}),
}

// primaryScheduler replaces kube-scheduler.
var primaryScheduler = account{
	name: lab.EverynodeScheduler, abuses: schedulerAbuses,
	needs: join(schedulerNeeds, map[string]deed{
		"renew its lease":   {"update", leases, "leases", system, "kube-scheduler"},
		"create its lease":  {"create", leases, "leases", system, ""},
		"spread by service": {"watch", "", "services", "", ""},
		"spread by owner":   {"watch", native, "replicasets", "", ""},
	}),
}

// Messages of the policies that confine the controller.
const (
	refusalNodeName  = "spec.nodeName bypasses the scheduler"
	refusalScheduler = "spec.schedulerName must be everynode-scheduler"
	refusalPin       = "every required node affinity term must begin with matchFields metadata.name In one node"
	refusalOwner     = "metadata.ownerReferences must be one controller reference to a DaemonSet"
	refusalForeign   = "no DaemonSet controls the pod before or after the change"
	refusalSpec      = "may only change the controller reference and the revision label of a pod"
	refusalLabel     = "may only change the label controller-revision-hash of a pod"
	refusalDelete    = "may only delete pods of daemons"
	refusalSecret    = "may only create the Secrets everynode-webhook-tls"
)

// A confined abuse is one that RBAC cannot distinguish from what the controller needs: RBAC
// permits it, and a policy refuses it.
type confined struct {
	needs string // the need that permits it in RBAC
	// theft is the abuse, with a pod of a daemon and one without an owner.
	theft func(ctx context.Context, thief client.Client, daemons, nobodys *corev1.Pod) error
	want  string
}

// making creates a daemon's pod with a change.
func making(change func(*corev1.Pod)) func(context.Context, client.Client, *corev1.Pod, *corev1.Pod) error {
	return func(ctx context.Context, thief client.Client, _, _ *corev1.Pod) error {
		pod := daemonsPod()
		change(pod)
		return thief.Create(ctx, pod, client.DryRunAll)
	}
}

// changing patches the daemon's pod.
func changing(patch string) func(context.Context, client.Client, *corev1.Pod, *corev1.Pod) error {
	return func(ctx context.Context, thief client.Client, daemons, _ *corev1.Pod) error {
		return thief.Patch(ctx, daemons.DeepCopy(), client.RawPatch("application/strategic-merge-patch+json", []byte(patch)))
	}
}

// keeping creates a Secret in everynode-system.
func keeping(secret *corev1.Secret) func(context.Context, client.Client, *corev1.Pod, *corev1.Pod) error {
	return func(ctx context.Context, thief client.Client, _, _ *corev1.Pod) error {
		secret := secret.DeepCopy()
		secret.Namespace = own
		return thief.Create(ctx, secret, client.DryRunAll)
	}
}

// tokenOf returns a Secret that kube-controller-manager fills with a token of a service account.
func tokenOf(account, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
}

// daemonsPod returns a pod as the controller creates it.
func daemonsPod() *corev1.Pod {
	pod := labtest.Emitted()
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		panic(err) // cannot happen
	}
	return pod
}

var confinedAbuses = map[string]confined{
	"bypass the scheduler":             {"create pods", making(func(pod *corev1.Pod) { pod.Spec.NodeName = "n1" }), refusalNodeName},
	"run a pod with another scheduler": {"create pods", making(func(pod *corev1.Pod) { pod.Spec.SchedulerName = "" }), refusalScheduler},
	"run a pod anywhere":               {"create pods", making(func(pod *corev1.Pod) { pod.Spec.Affinity = nil }), refusalPin},
	"run a pod without an owner":       {"create pods", making(func(pod *corev1.Pod) { pod.OwnerReferences = nil }), refusalOwner},
	"run a pod of a Deployment":        {"create pods", making(func(pod *corev1.Pod) { pod.OwnerReferences[0].Kind = "ReplicaSet" }), refusalOwner},
	"run another image":                {"adopt pods", changing(`{"spec":{"containers":[{"name":"main","image":"evil"}]}}`), refusalSpec},
	"hide from a service":              {"adopt pods", changing(`{"metadata":{"labels":{"app":null}}}`), refusalLabel},
	"annotate a pod":                   {"adopt pods", changing(`{"metadata":{"annotations":{"a":"b"}}}`), refusalSpec},
	"change a pod without an owner": {"adopt pods", func(ctx context.Context, thief client.Client, _, nobodys *corev1.Pod) error {
		return thief.Patch(ctx, nobodys.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"controller-revision-hash":"x"}}}`)))
	}, refusalForeign},
	"delete a pod without an owner": {"delete pods", func(ctx context.Context, thief client.Client, _, nobodys *corev1.Pod) error {
		return thief.Delete(ctx, nobodys.DeepCopy())
	}, refusalDelete},
	"create a token Secret":                    {"create Secrets", keeping(tokenOf("everynode-scheduler", "stolen")), refusalSecret},
	"create a token Secret under its own name": {"create Secrets", keeping(tokenOf("everynode-scheduler", "everynode-webhook-ca")), refusalSecret},
	"create a Secret under another's name":     {"create Secrets", keeping(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "registry"}}), refusalSecret},
}
