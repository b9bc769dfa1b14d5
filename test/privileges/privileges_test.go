package privileges

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// idle are the components that the tests do not need.
var idle = []string{lab.Scheduler, lab.Kwok, lab.Controller, lab.Webhook, lab.EverynodeScheduler}

// ownerless keeps the garbage collector from deleting pods whose owner does not exist.
var ownerless = map[string][]string{lab.ControllerManager: {"--controllers=*,-garbage-collector-controller,-daemonset-controller"}}

func join(tables ...map[string]deed) map[string]deed {
	all := map[string]deed{}
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

func cut(resource string) (string, string) {
	resource, subresource, _ := strings.Cut(resource, "/")
	return resource, subresource
}

func user(name string) (string, []string) {
	return "system:serviceaccount:" + own + ":" + name, []string{"system:serviceaccounts", "system:serviceaccounts:" + own, "system:authenticated"}
}

// may reports whether an account has a permission, by the API server's answer.
func may(c *labtest.Cluster, name string, d deed) bool {
	c.T.Helper()
	name, groups := user(name)
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: name, Groups: groups, ResourceAttributes: d.attributes()}}
	c.Must(c.Create(c.T.Context(), review))
	if review.Status.EvaluationError != "" {
		c.T.Errorf("%+v: %s", d, review.Status.EvaluationError)
	}
	return review.Status.Allowed
}

// The resource has to exist, or the answer no would mean nothing.
func checkExistence(c *labtest.Cluster, deeds map[string]deed) {
	c.T.Helper()
	_, lists, err := c.Lab.Client.Discovery().ServerGroupsAndResources()
	c.Must(err)
	verbs := map[string][]string{}
	for _, list := range lists {
		group, _, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group = ""
		}
		for _, resource := range list.APIResources {
			verbs[group+" "+resource.Name] = append(verbs[group+" "+resource.Name], resource.Verbs...)
		}
	}
	// Verbs and resources that exist only in authorization.
	for _, virtual := range []string{" users", " groups", " serviceaccounts"} {
		verbs[virtual] = append(verbs[virtual], "impersonate")
	}
	for _, role := range []string{"roles", "clusterroles"} {
		verbs[rbac+" "+role] = append(verbs[rbac+" "+role], "escalate", "bind")
	}
	for _, group := range []string{everynode, native} {
		verbs[group+" daemonsets/finalizers"] = []string{"update"}
	}
	for name, d := range deeds {
		if !slices.Contains(verbs[d.group+" "+d.resource], d.verb) {
			c.T.Errorf("%s: the API server does not support %s of %s %q: it cannot be an abuse", name, d.verb, d.resource, d.group)
		}
	}
}

// Each account has the permissions that it needs and none of those for abuses.
func TestStolenTokens(t *testing.T) {
	tests := map[string]struct {
		options  lab.Options
		accounts []account
		// lease is that of the scheduler.
		lease client.ObjectKey
	}{
		"everynode.dev, beside kube-scheduler":          {lab.Options{Without: idle, Placement: lab.PlacementDirect, ExtraArgs: ownerless}, []account{controller, webhook, scheduler}, client.ObjectKey{Namespace: own, Name: "everynode-scheduler"}},
		"native DaemonSets, in place of kube-scheduler": {lab.Options{Without: idle, Placement: lab.PlacementDirect, ExtraArgs: ownerless, Workloads: lab.WorkloadsBoth, Scheduler: lab.SchedulerPrimary}, []account{nativeController, webhook, primaryScheduler}, client.ObjectKey{Namespace: system, Name: "kube-scheduler"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := labtest.Start(t, test.options)
			for _, account := range test.accounts {
				denied := join(abuses, account.abuses)
				checkExistence(c, join(denied, account.needs))
				for what, deed := range account.needs {
					if !may(c, account.name, deed) {
						t.Errorf("%s must be able to %s: %+v", account.name, what, deed)
					}
				}
				for what, deed := range denied {
					if may(c, account.name, deed) {
						t.Errorf("the token of %s permits to %s: %+v", account.name, what, deed)
					}
				}
				t.Logf("%s: %d abuses are denied, %d needs allowed", account.name, len(denied), len(account.needs))
			}
			t.Run("confined", func(t *testing.T) { checkConfined(c.With(t)) })
			t.Run("fields", func(t *testing.T) {
				c := c.With(t)
				for _, crd := range certManagerKinds() {
					c.Make(&unstructured.Unstructured{Object: crd})
				}
				checkFields(c, controllerTargets(c, test.options.Workloads == lab.WorkloadsBoth))
				checkFields(c, schedulerTargets(test.lease))
				c.WaitForAPI("cert-manager.io/v1", "certificates", "issuers")
				checkCreations(c, creations(test.lease.Namespace))
				checkDeletions(c)
				checkBinding(c)
				checkStatus(c)
			})
			t.Run("nothing else", func(t *testing.T) { checkWebhook(c.With(t)) })
		})
	}
}

// checkConfined tries abuses with the controller's token that RBAC cannot refuse.
func checkConfined(c *labtest.Cluster) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.Dir, "kubeconfigs", lab.Controller))
	c.Must(err)
	thief, err := client.New(config, client.Options{Scheme: c.Scheme()})
	c.Must(err)
	nobodys := daemonsPod()
	nobodys.OwnerReferences, nobodys.Name = nil, "nobodys"
	c.Make(nobodys)
	c.WaitForConfinement(thief)
	for name, abuse := range confinedAbuses {
		if need, known := controllerNeeds[abuse.needs]; !known || !may(c, lab.Controller, need) {
			c.T.Errorf("%s: RBAC refuses it already, so the test proves nothing about the policy", name)
		}
		daemons := daemonsPod()
		daemons.Name, daemons.GenerateName = "", "daemons-"
		c.Make(daemons)
		if err := refused(abuse.theft(c.T.Context(), thief, daemons, nobodys), abuse.want); err != nil {
			c.T.Errorf("%s: %v", name, err)
		}
	}
}

// refused returns what is wrong with an answer that should be a policy's refusal.
func refused(err error, text string) error {
	if err == nil {
		return fmt.Errorf("no error, want a denial: %s", text)
	}
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'everynode-controller-") || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("got %w, want a denial: %s", err, text)
	}
	return nil
}

// checkWebhook verifies all rules of the webhook's account: its Secret, DaemonSets, nodes,
// and what every service account may read about itself and public CAs.
func checkWebhook(c *labtest.Cluster) {
	config := rest.CopyConfig(c.Config)
	config.Impersonate.UserName, config.Impersonate.Groups = user(lab.Webhook)
	account, err := kubernetes.NewForConfig(config)
	c.Must(err)
	compared := []string{"list,watch apps,everynode.dev daemonsets ", "list  nodes "}
	reviews := []string{"create authentication.k8s.io tokenreviews ", "create authorization.k8s.io subjectaccessreviews "}
	everybody := []string{
		"create authentication.k8s.io selfsubjectreviews ",
		"create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews ",
		"get,list,watch certificates.k8s.io clustertrustbundles ",
	}
	everybody = append(everybody, reviews...)
	tests := map[string][]string{
		own:    slices.Concat(compared, []string{"get,list,watch  secrets everynode-webhook-tls"}, everybody),
		system: slices.Concat(compared, everybody),
		theirs: slices.Concat(compared, everybody),
	}
	for namespace, want := range tests {
		review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
		review, err := account.AuthorizationV1().SelfSubjectRulesReviews().Create(c.T.Context(), review, metav1.CreateOptions{})
		c.Must(err)
		if review.Status.Incomplete {
			c.T.Errorf("the rules of namespace %s are incomplete: %s", namespace, review.Status.EvaluationError)
		}
		var got []string
		for _, rule := range review.Status.ResourceRules {
			got = append(got, strings.Join([]string{sorted(rule.Verbs), sorted(rule.APIGroups), sorted(rule.Resources), sorted(rule.ResourceNames)}, " "))
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
			c.T.Errorf("permissions of the webhook in namespace %s (-want, +got):\n%s", namespace, diff)
		}
	}
}

func sorted(words []string) string { return strings.Join(slices.Sorted(slices.Values(words)), ",") }
