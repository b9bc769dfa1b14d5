package privileges

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/test/lab"
)

// unconfined are the writes that no policy confines, with the reasons.
var unconfined = map[string]string{
	lab.Controller + " UPDATE everynode.dev daemonsets/status":                "the API server accepts only the status, from all clients: checkStatus",
	lab.Controller + " UPDATE everynode.dev daemonsets/finalizers":            "nothing is served there: it permits blockOwnerDeletion",
	lab.Controller + " UPDATE apps daemonsets/finalizers":                     "nothing is served there: it permits blockOwnerDeletion",
	lab.Controller + " DELETE cert-manager.io certificates":                   "by name, and no data is read or written",
	lab.Controller + " DELETE cert-manager.io issuers":                        "by name, and no data is read or written",
	lab.EverynodeScheduler + " UPDATE  pods/finalizers":                       "nothing is served there: it permits blockOwnerDeletion",
	lab.EverynodeScheduler + " UPDATE resource.k8s.io resourceclaims/binding": "nothing is served there: it permits allocation",
}

// operations maps verbs to admission operations. Reviews, which are not stored, are excluded.
var operations = map[string]admissionregistrationv1.OperationType{
	"create": admissionregistrationv1.Create, "update": admissionregistrationv1.Update, "patch": admissionregistrationv1.Update,
	"delete": admissionregistrationv1.Delete, "deletecollection": admissionregistrationv1.Delete,
}

var answered = []string{"tokenreviews", "subjectaccessreviews"}

// equivalent are API groups that serve the objects of another one (matchPolicy Equivalent).
var equivalent = map[string]string{"events.k8s.io": ""}

// Every write that RBAC permits is confined by a policy of the same install, or listed as unconfined.
func TestEveryWriteIsConfined(t *testing.T) {
	withCertManager, err := os.ReadFile("../../deploy/install.yaml")
	if err != nil {
		t.Fatal(err)
	}
	known := maps.Clone(unconfined)
	for name, manifests := range map[string][][]byte{
		"self-managed": {deploy.Install}, "cert-manager": {withCertManager},
		"native DaemonSets": {deploy.Install, deploy.Apps}, "policy": {deploy.Install, deploy.Policy}, "primary": {deploy.Install, deploy.Primary},
	} {
		t.Run(name, func(t *testing.T) {
			install := installed(t, manifests)
			writes := install.writes(t)
			if len(writes) < 20 {
				t.Fatalf("found %d permitted writes, want 20 or more", len(writes))
			}
			for _, write := range writes {
				if _, exempt := unconfined[write.String()]; exempt {
					delete(known, write.String())
				} else if !install.confines(write) {
					t.Errorf("%q is permitted, and no policy confines it", write)
				}
			}
			t.Logf("%d writes are permitted, %d of them without a policy", len(writes), len(unconfined))
		})
	}
	for write := range known {
		t.Errorf("%q is not permitted any more", write)
	}
}

// write is a write that RBAC permits an account.
type write struct {
	account, group, resource string
	operation                admissionregistrationv1.OperationType
}

func (w write) String() string {
	return strings.Join([]string{w.account, string(w.operation), w.group, w.resource}, " ")
}

// install has the objects of an install by kind and name; later ones replace earlier ones.
type install map[string]map[string]map[string]any

func installed(t *testing.T, manifests [][]byte) install {
	t.Helper()
	all := install{}
	for _, manifest := range manifests {
		objects, err := deploy.Objects(manifest)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if all[object.GetKind()] == nil {
				all[object.GetKind()] = map[string]map[string]any{}
			}
			all[object.GetKind()][object.GetNamespace()+"/"+object.GetName()] = object.Object
		}
	}
	return all
}

// decode reads an object of a manifest.
func decode[T any](t *testing.T, object map[string]any) *T {
	t.Helper()
	decoded := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, decoded, true); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// writes returns all writes that RBAC permits the service accounts of the install.
func (i install) writes(t *testing.T) []write {
	t.Helper()
	found := map[write]bool{}
	for _, kind := range []string{"ClusterRoleBinding", "RoleBinding"} {
		for name, object := range i[kind] {
			binding := decode[rbacv1.RoleBinding](t, object) // has the same fields as ClusterRoleBinding
			namespace := strings.Split(name, "/")[0]
			if binding.RoleRef.Kind == "ClusterRole" {
				namespace = ""
			}
			role, ok := i[binding.RoleRef.Kind][namespace+"/"+binding.RoleRef.Name]
			if !ok {
				t.Logf("%s is not part of the install: %s only reads", binding.RoleRef.Name, name)
				continue
			}
			for _, subject := range binding.Subjects {
				for _, rule := range decode[rbacv1.Role](t, role).Rules {
					for _, permitted := range writesOf(subject.Name, rule) {
						found[permitted] = true
					}
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b write) int { return strings.Compare(a.String(), b.String()) })
}

func writesOf(account string, rule rbacv1.PolicyRule) []write {
	var writes []write
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				operation, ok := operations[verb]
				if verb == "*" || group == "*" || resource == "*" {
					operation, ok = "*", true // which no policy confines
				}
				if ok && !slices.Contains(answered, resource) {
					writes = append(writes, write{account, group, resource, operation})
				}
			}
		}
	}
	return writes
}

// confines returns a bound policy that matches a write.
func (i install) confines(w write) bool {
	if of, ok := equivalent[w.group]; ok {
		w.group = of
	}
	for name, object := range i["ValidatingAdmissionPolicy"] {
		var policy admissionregistrationv1.ValidatingAdmissionPolicy
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &policy); err != nil {
			return false
		}
		if i["ValidatingAdmissionPolicyBinding"][name] != nil && sees(&policy, w) {
			return true
		}
	}
	return false
}

func sees(policy *admissionregistrationv1.ValidatingAdmissionPolicy, w write) bool {
	want := "request.userInfo.username == 'system:serviceaccount:" + own + ":" + w.account + "'"
	if len(policy.Spec.MatchConditions) != 1 || policy.Spec.MatchConditions[0].Expression != want {
		return false
	}
	return slices.ContainsFunc(policy.Spec.MatchConstraints.ResourceRules, func(rule admissionregistrationv1.NamedRuleWithOperations) bool {
		return len(rule.ResourceNames) == 0 && slices.Contains(rule.Operations, w.operation) &&
			slices.Contains(rule.APIGroups, w.group) && slices.Contains(rule.Resources, w.resource)
	})
}
