package privileges

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
)

type changes = map[string]func(*unstructured.Unstructured)

// schedulerTargets returns the objects that the token of everynode-scheduler may change in part, including its lease.
func schedulerTargets(lease client.ObjectKey) map[string]target {
	pod := map[string]any{"containers": []any{map[string]any{"name": "main", "image": "x"}}}
	claim := map[string]any{
		"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "fast",
		"resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}},
	}
	return map[string]target{
		"a pod's status": {account: lab.EverynodeScheduler, policy: "everynode-scheduler-status", subresource: "status",
			object: of("v1", "Pod", theirs, "served", map[string]any{"spec": pod, "status": map[string]any{"phase": "Running", "conditions": []any{condition("Ready", "False")}}}),
			may: changes{
				"the condition PodScheduled":     set([]any{condition("Ready", "False"), condition("PodScheduled", "False")}, "status", "conditions"),
				"the condition DisruptionTarget": set([]any{condition("Ready", "False"), condition("DisruptionTarget", "True")}, "status", "conditions"),
				"the nominated node":             set("n1", "status", "nominatedNodeName"),
			},
			mayNot: changes{
				"its address":         set("10.0.0.66", "status", "podIP"),
				"its phase":           set("Succeeded", "status", "phase"),
				"the condition Ready": set([]any{condition("Ready", "True")}, "status", "conditions"),
				"a removed condition": set([]any{}, "status", "conditions"),
				"a message":           set("x", "status", "message"),
			},
		},
		"a claim": {account: lab.EverynodeScheduler, policy: "everynode-scheduler-claims",
			object: of("v1", "PersistentVolumeClaim", theirs, "claimed", map[string]any{"spec": claim}),
			may:    changes{"its node": set("n1", "metadata", "annotations", "volume.kubernetes.io/selected-node")},
			mayNot: changes{"its volume": set("evil", "spec", "volumeName")},
		},
		"a volume": {account: lab.EverynodeScheduler, policy: "everynode-scheduler-volumes",
			object: volume("free", nil),
			may: changes{"its claim": func(object *unstructured.Unstructured) {
				set(map[string]any{"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": theirs, "name": "c", "uid": "1"}, "spec", "claimRef")(object)
				set("yes", "metadata", "annotations", "pv.kubernetes.io/bound-by-controller")(object)
			}},
			mayNot: changes{
				"its reclaim policy": set("Delete", "spec", "persistentVolumeReclaimPolicy"),
				"its size":           set("9Gi", "spec", "capacity", "storage"),
				"its class":          set("other", "spec", "storageClassName"),
				"its options":        set([]any{"ro"}, "spec", "mountOptions"),
			},
		},
		"a volume reserved for a claim": {account: lab.EverynodeScheduler, policy: "everynode-scheduler-volumes",
			object: volume("prebound", map[string]any{"namespace": theirs, "name": "c"}),
			may:    changes{"its claim's UID": set("1", "spec", "claimRef", "uid")},
			mayNot: changes{"another claim": set("evil", "spec", "claimRef", "name"), "no claim": drop("spec", "claimRef")},
		},
		"a volume of another claim": {account: lab.EverynodeScheduler, policy: "everynode-scheduler-volumes",
			object: volume("bound", map[string]any{"namespace": theirs, "name": "c", "uid": "1"}),
			mayNot: changes{"another claim": set("2", "spec", "claimRef", "uid"), "no claim": drop("spec", "claimRef")},
		},
		"devices": {account: lab.EverynodeScheduler, policy: "everynode-scheduler-devices",
			object: of("resource.k8s.io/v1", "ResourceClaim", theirs, "devices", map[string]any{"spec": map[string]any{}}),
			may:    changes{"its finalizers": set([]any{"example.com/kept", "resource.kubernetes.io/delete-protection"}, "metadata", "finalizers")},
		},
		"its lease": {account: lab.EverynodeScheduler, policy: "everynode-scheduler-leases", updates: true,
			object: of("coordination.k8s.io/v1", "Lease", lease.Namespace, lease.Name, nil),
			may:    changes{"the holder": set("x", "spec", "holderIdentity")},
		},
		"its event":         eventOf(lab.EverynodeScheduler, "everynode-scheduler", false),
		"a kubelet's event": eventOf(lab.EverynodeScheduler, "kubelet", true),
	}
}

func condition(kind, status string) map[string]any {
	return map[string]any{"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}
}

func volume(name string, claim map[string]any) map[string]any {
	spec := map[string]any{
		"capacity": map[string]any{"storage": "1Gi"}, "accessModes": []any{"ReadWriteOnce"}, "persistentVolumeReclaimPolicy": "Retain",
		"storageClassName": "of-" + name, "hostPath": map[string]any{"path": "/data"},
	}
	if claim != nil {
		spec["claimRef"] = claim
	}
	return of("v1", "PersistentVolume", "", name, map[string]any{"spec": spec})
}

// creations returns objects that the tokens must not create, although RBAC permits it.
func creations(leaseNamespace string) map[string]creation {
	revision := revisionOf("evil", controlledBy("apps/v1", "StatefulSet"))
	joint := revisionOf("joint", map[string]any{"apiVersion": "everynode.dev/v1alpha1", "kind": "DaemonSet", "name": "d", "uid": "1", "controller": true})
	joint["metadata"].(map[string]any)["ownerReferences"] = append(joint["metadata"].(map[string]any)["ownerReferences"].([]any), reference("v1", "ConfigMap"))
	bare := func(apiVersion, kind, namespace, name string, rest map[string]any) map[string]any {
		object := of(apiVersion, kind, namespace, name, rest)
		object["metadata"] = map[string]any{"namespace": namespace, "name": name}
		return object
	}
	certificate := func(name, secret, issuer, issuerKind string) map[string]any {
		return bare("cert-manager.io/v1", "Certificate", own, name, map[string]any{"spec": map[string]any{
			"secretName": secret, "dnsNames": []any{"bank.example.com"}, "issuerRef": map[string]any{"name": issuer, "kind": issuerKind, "group": "cert-manager.io"},
		}})
	}
	templated := certificate("everynode-webhook", "everynode-webhook-tls", "everynode-webhook-issuer", "Issuer")
	templated["spec"].(map[string]any)["secretTemplate"] = map[string]any{"annotations": map[string]any{"a": "b"}}
	issuer := func(name string, spec map[string]any) map[string]any {
		return bare("cert-manager.io/v1", "Issuer", own, name, map[string]any{"spec": spec})
	}
	const issuance = "everynode-controller-issuance"
	return map[string]creation{
		"a StatefulSet's record":                 {lab.Controller, "everynode-controller-revisions", revision, "no DaemonSet controls"},
		"a record without a controller":          {lab.Controller, "everynode-controller-revisions", bare("apps/v1", "ControllerRevision", theirs, "nobodys", map[string]any{"revision": int64(1), "data": map[string]any{}}), "no DaemonSet controls"},
		"a record with two owners":               {lab.Controller, "everynode-controller-revisions", joint, "may not add another owner"},
		"a kubelet's event":                      {lab.Controller, "everynode-controller-events", eventOf(lab.Controller, "kubelet", true).object, "reports itself"},
		"its scheduler's lease":                  {lab.Controller, "everynode-controller-leases", bare("coordination.k8s.io/v1", "Lease", own, "everynode-scheduler", nil), "may only write the lease"},
		"a Secret that another controller fills": {lab.Controller, "everynode-controller-secrets", of("v1", "Secret", own, "everynode-webhook-ca", map[string]any{"type": "Opaque"}), "not their metadata"},

		"a certificate of the cluster's CA": {lab.Controller, issuance, certificate("everynode-webhook", "everynode-webhook-tls", "company", "ClusterIssuer"), "may only request the Certificates"},
		"a certificate of another issuer":   {lab.Controller, issuance, certificate("everynode-webhook", "everynode-webhook-tls", "company", "Issuer"), "may only request the Certificates"},
		"a certificate in another Secret":   {lab.Controller, issuance, certificate("everynode-webhook", "registry", "everynode-webhook-issuer", "Issuer"), "may only request the Certificates"},
		"a certificate of another name":     {lab.Controller, issuance, certificate("evil", "everynode-webhook-tls", "everynode-webhook-issuer", "Issuer"), "may only request the Certificates"},
		"a certificate with a template":     {lab.Controller, issuance, templated, "secretTemplate"},
		"an issuer of another Secret":       {lab.Controller, issuance, issuer("everynode-webhook-issuer", map[string]any{"ca": map[string]any{"secretName": "registry"}}), "may only create the Issuers"},
		"an issuer with an account":         {lab.Controller, issuance, issuer("everynode-webhook-self-signed", map[string]any{"selfSigned": map[string]any{}, "vault": map[string]any{"server": "x"}}), "may only create the Issuers"},
		"an issuer of another name":         {lab.Controller, issuance, issuer("evil", map[string]any{"selfSigned": map[string]any{}}), "may only create the Issuers"},

		"another component's lease": {lab.EverynodeScheduler, "everynode-scheduler-leases", bare("coordination.k8s.io/v1", "Lease", leaseNamespace, "kube-controller-manager", nil), "may only write the lease"},
		"another's event":           {lab.EverynodeScheduler, "everynode-scheduler-events", eventOf(lab.EverynodeScheduler, "kubelet", true).object, "reports itself"},
		"a claim without an owner":  {lab.EverynodeScheduler, "everynode-scheduler-devices", bare("resource.k8s.io/v1", "ResourceClaim", theirs, "evil", map[string]any{"spec": map[string]any{}}), "may only create and delete claims of that kind"},
	}
}

// certManagerKinds returns minimal CRDs of the kinds that are requested from cert-manager.
func certManagerKinds() []map[string]any {
	var crds []map[string]any
	for kind, plural := range map[string]string{"Certificate": "certificates", "Issuer": "issuers"} {
		crds = append(crds, map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": plural + ".cert-manager.io", "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, a test"}},
			"spec": map[string]any{
				"group": "cert-manager.io", "scope": "Namespaced", "names": map[string]any{"kind": kind, "plural": plural, "listKind": kind + "List", "singular": plural[:len(plural)-1]},
				"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}}}},
			},
		})
	}
	return crds
}
