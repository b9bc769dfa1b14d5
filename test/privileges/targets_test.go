package privileges

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// controllerTargets returns the objects that the token of everynode-controller may change in part.
func controllerTargets(c *labtest.Cluster, native bool) map[string]target {
	targets := map[string]target{
		"its Secret": {account: lab.Controller, policy: "everynode-controller-secrets", updates: true,
			object: of("v1", "Secret", own, "everynode-webhook-tls", map[string]any{"type": "kubernetes.io/tls", "data": map[string]any{"tls.crt": "", "tls.key": ""}}),
			may:    changes{"the certificate": set("YQ==", "data", "tls.crt")},
			mayNot: changes{"the field immutable": set(true, "immutable"), "an annotation of a replicator": set("kube-system/bootstrap", "metadata", "annotations", "replicator.v1.mittwald.de/replicate-from")},
		},
		"its lease": {account: lab.Controller, policy: "everynode-controller-leases", updates: true,
			object: of("coordination.k8s.io/v1", "Lease", own, "everynode-controller", nil),
			may:    changes{"the holder": set("x", "spec", "holderIdentity")},
		},
		"its event":         eventOf(lab.Controller, "everynode-controller", false),
		"a kubelet's event": eventOf(lab.Controller, "kubelet", true),
		"a DaemonSet's record": {account: lab.Controller, policy: "everynode-controller-revisions",
			object: revisionOf("daemons", map[string]any{"apiVersion": "everynode.dev/v1alpha1", "kind": "DaemonSet", "name": "d", "uid": "1", "controller": true}),
			may:    with(rolloutNotes, changes{"the number": set(int64(2), "revision"), "its owner": drop("metadata", "ownerReferences")}),
			mayNot: changes{"a StatefulSet as owner": set([]any{controlledBy("apps/v1", "StatefulSet")}, "metadata", "ownerReferences")},
		},
		"a StatefulSet's record": {account: lab.Controller, policy: "everynode-controller-revisions", others: true,
			object: revisionOf("statefuls", controlledBy("apps/v1", "StatefulSet")),
			may:    with(rolloutNotes, changes{"the number": set(int64(2), "revision"), "its owner": drop("metadata", "ownerReferences")}),
		},
	}
	if native {
		template := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "x"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "main", "image": "x"}}}}
		targets["a native DaemonSet's status"] = target{account: lab.Controller, policy: "everynode-controller-status", subresource: "status",
			object: of("apps/v1", "DaemonSet", theirs, "native", map[string]any{"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "x"}}, "template": template}}),
			may:    changes{"its numbers": set(int64(1), "status", "numberReady")},
		}
		targets["a native DaemonSet's record"] = target{account: lab.Controller, policy: "everynode-controller-revisions",
			object: revisionOf("natives", controlledBy("apps/v1", "DaemonSet")),
			may:    changes{"the number": set(int64(2), "revision")},
			mayNot: maps.Clone(rolloutNotes),
		}
	}
	objects, err := deploy.Objects(deploy.Install, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
	c.Must(err)
	for _, object := range objects {
		meta := of("", "", "", object.GetName(), nil)["metadata"].(map[string]any)
		object.Object["metadata"] = meta
		targets[object.GetKind()] = configuration(object)
	}
	return targets
}

// rolloutNotes are what the controller records of a rollout, on the records of everynode.dev alone.
var rolloutNotes = changes{
	"what is stable":     set("1", "metadata", "annotations", v1alpha1.StableAnnotation),
	"the open wave":      set("0/canary number=1", "metadata", "annotations", v1alpha1.WaveAnnotation),
	"the obeyed promote": set("x/canary", "metadata", "annotations", v1alpha1.PromotedAnnotation),
}

// with returns the changes of both.
func with(some, others changes) changes {
	all := maps.Clone(some)
	maps.Copy(all, others)
	return all
}

func controlledBy(apiVersion, kind string) map[string]any {
	owner := reference(apiVersion, kind)
	owner["controller"] = true
	return owner
}

func revisionOf(name string, owner map[string]any) map[string]any {
	object := of("apps/v1", "ControllerRevision", theirs, name, map[string]any{"revision": int64(1), "data": map[string]any{"spec": map[string]any{}}})
	object["metadata"].(map[string]any)["ownerReferences"] = []any{owner}
	return object
}

// eventOf returns an event of a reporter, for an account to change.
func eventOf(account, reporter string, others bool) target {
	return target{account: account, policy: account + "-events", others: others,
		object: of("events.k8s.io/v1", "Event", theirs, "told-to-"+account+"-by-"+reporter, map[string]any{
			"eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": reporter, "reportingInstance": "x", "action": "Test", "reason": "Test", "type": "Normal", "note": "x",
			"regarding": map[string]any{"apiVersion": "v1", "kind": "Pod", "namespace": theirs, "name": "p"},
		}),
		may: changes{"the series": set(map[string]any{"count": int64(2), "lastObservedTime": "2026-01-01T00:00:01.000000Z"}, "series")},
	}
}

// configuration returns a webhook configuration, of which only the caBundle may change.
func configuration(object *unstructured.Unstructured) target {
	const ca = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
	entry := func(change func(map[string]any)) func(*unstructured.Unstructured) {
		return func(object *unstructured.Unstructured) {
			change(object.Object["webhooks"].([]any)[0].(map[string]any))
		}
	}
	field := func(value any, path ...string) func(*unstructured.Unstructured) {
		return entry(func(entry map[string]any) {
			if err := unstructured.SetNestedField(entry, value, path...); err != nil {
				panic(err)
			}
		})
	}
	everything := []any{map[string]any{"apiGroups": []any{"*"}, "apiVersions": []any{"*"}, "operations": []any{"CREATE", "UPDATE"}, "resources": []any{"secrets", "clusterrolebindings"}}}
	steal := func(entry map[string]any) {
		delete(entry, "matchConditions")
		entry["namespaceSelector"], entry["failurePolicy"], entry["rules"] = map[string]any{}, "Ignore", everything
		entry["clientConfig"] = map[string]any{"url": "https://127.0.0.1:19443/x", "caBundle": ca}
	}
	t := target{account: lab.Controller, policy: "everynode-controller-webhooks", object: object.Object,
		may: changes{
			"the caBundle":              field(ca, "clientConfig", "caBundle"),
			"cert-manager's annotation": set("everynode-system/everynode-webhook", "metadata", "annotations", "cert-manager.io/inject-ca-from"),
		},
		mayNot: changes{
			"every Secret sent to the thief": entry(steal), // attacks on a cluster, in one patch
			"the rules":                      field(everything, "rules"),
			"the URL":                        entry(func(entry map[string]any) { entry["clientConfig"] = map[string]any{"url": "https://127.0.0.1:19443/x"} }),
			"the service":                    field("evil", "clientConfig", "service", "name"),
			"the service's namespace":        field("default", "clientConfig", "service", "namespace"),
			"the service's port":             field(int64(8443), "clientConfig", "service", "port"),
			"the path":                       field("/x", "clientConfig", "service", "path"),
			"an additional condition":        field([]any{map[string]any{"name": "x", "expression": "true"}}, "matchConditions"),
			"the namespaces":                 field(map[string]any{"matchLabels": map[string]any{"a": "b"}}, "namespaceSelector"),
			"the objects":                    field(map[string]any{"matchLabels": map[string]any{"a": "b"}}, "objectSelector"),
			"the versions of reviews":        field([]any{"v1", "v1beta1"}, "admissionReviewVersions"),
			"equivalents":                    field("Exact", "matchPolicy"),
			"side effects":                   field("NoneOnDryRun", "sideEffects"),
			"the timeout":                    field(int64(30), "timeoutSeconds"),
			"the name":                       field("x.everynode.dev", "name"),
			"an additional webhook": func(object *unstructured.Unstructured) {
				webhooks := object.Object["webhooks"].([]any)
				another := (&unstructured.Unstructured{Object: map[string]any{"x": webhooks[0]}}).DeepCopy().Object["x"].(map[string]any)
				another["name"] = "another.everynode.dev"
				object.Object["webhooks"] = append(webhooks, another)
			},
			"no webhooks": func(object *unstructured.Unstructured) { object.Object["webhooks"] = []any{} },
			"cert-manager's annotation for another CA": set("default/evil", "metadata", "annotations", "cert-manager.io/inject-ca-from"),
		},
	}
	if object.GetKind() == "MutatingWebhookConfiguration" {
		maps.Copy(t.mayNot, changes{
			"no conditions": entry(func(entry map[string]any) { entry["matchConditions"] = []any{} }),
			"failures":      field("Ignore", "failurePolicy"),
			"reinvocation":  field("Never", "reinvocationPolicy"),
			"the order": func(object *unstructured.Unstructured) {
				w := object.Object["webhooks"].([]any)
				w[0], w[1] = w[1], w[0]
			},
		})
	}
	return t
}
