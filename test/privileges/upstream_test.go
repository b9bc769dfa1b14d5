package privileges

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-helpers/auth/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"github.com/everynode/everynode/deploy"
)

// In the primary install the scheduler has its own role, which does not follow Kubernetes'
// automatically: this test lists all permissions of kube-scheduler's role that it does not have.
func TestSchedulerRoleFollowsUpstream(t *testing.T) {
	want := []string{
		"create  bindings",                              // before pods/binding
		"create coordination.k8s.io leases",             // only in the namespace of its lease
		"get coordination.k8s.io leases kube-scheduler", // the same
		"list coordination.k8s.io leases kube-scheduler",
		"update coordination.k8s.io leases kube-scheduler",
		"watch coordination.k8s.io leases kube-scheduler",
		"get extensions replicasets", "list extensions replicasets", "watch extensions replicasets", // no longer served
	}
	for _, verb := range []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"} {
		want = append(want, verb+" coordination.k8s.io leasecandidates") // coordinated leader election, which is off
	}
	for _, verb := range []string{"list", "watch"} {
		want = append(want, verb+" resource.k8s.io resourceclaims/status") // clients do not send such requests for a status
	}
	var got []string
	ours := clusterRole(t)
	for _, role := range bootstrappolicy.ClusterRoles() {
		if role.Name != "system:kube-scheduler" && role.Name != "system:volume-scheduler" {
			continue
		}
		for _, rule := range role.Rules {
			for _, part := range validation.BreakdownRule(rule) {
				if covered, _ := validation.Covers(ours, []rbacv1.PolicyRule{part}); !covered {
					name := part.Verbs[0] + " " + part.APIGroups[0] + " " + part.Resources[0]
					for _, resource := range part.ResourceNames {
						name += " " + resource
					}
					got = append(got, name)
				}
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("permissions of kube-scheduler that everynode-scheduler does not have (-want, +got):\n%s", diff)
	}
}

// clusterRole returns the rules of everynode-scheduler in the primary install.
func clusterRole(t *testing.T) []rbacv1.PolicyRule {
	t.Helper()
	objects, err := deploy.Objects(deploy.Primary, "ClusterRole")
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d ClusterRoles, %v, want 1", len(objects), err)
	}
	var role rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[0].Object, &role, true); err != nil {
		t.Fatal(err)
	}
	return role.Rules
}
