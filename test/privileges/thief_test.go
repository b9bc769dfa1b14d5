package privileges

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// thief answers in place of the webhook, with its stolen key and at its address.
type thief struct {
	mu     sync.Mutex
	answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse
	saw    map[string]bool // resources and names of objects that it was sent
}

func (f *thief) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saw[review.Request.Resource.Resource+"/"+review.Request.Name] = true
	review.Response = f.answer(review.Request)
	review.Response.UID = review.Request.UID
	_ = json.NewEncoder(w).Encode(review)
}

func (f *thief) answers(answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// patching answers with a patch of each pod.
func patching(patch string) func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	kind := admissionv1.PatchTypeJSONPatch
	return func(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if request.Resource.Resource != "pods" {
			return &admissionv1.AdmissionResponse{Allowed: true}
		}
		return &admissionv1.AdmissionResponse{Allowed: true, PatchType: &kind, Patch: []byte(patch)}
	}
}

func refusing(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if request.Resource.Resource != "pods" {
		return &admissionv1.AdmissionResponse{Allowed: true}
	}
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Code: http.StatusForbidden, Message: "no"}}
}

// TestStolenServingKey serves the webhook's address with its stolen key. The thief sees only pods that opted in and DaemonSets, cannot have a daemon's
// pod stored with spec.nodeName or with another owner, and affects no other request.
func TestStolenServingKey(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: 2})
	witness := c.Watch(labtest.Everynode)
	before := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("before"))
	c.WaitForPods(before, labtest.NodeNames(2)...)
	c.Must(c.Component(lab.Webhook).Stop(t.Context()))
	evil := steal(c)
	for name, answer := range map[string]func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse{
		"keeps-node-name": patching(`[{"op":"remove","path":"/spec/schedulingGates"}]`),
		"changes-owner":   patching(`[{"op":"replace","path":"/metadata/ownerReferences","value":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"0b8a7c1e-0000-4000-8000-000000000000"}]},{"op":"remove","path":"/spec/nodeName"},{"op":"remove","path":"/spec/schedulingGates"}]`),
		"another-node":    patching(`[{"op":"replace","path":"/spec/nodeName","value":"` + lab.NodeName(1) + `"},{"op":"remove","path":"/spec/schedulingGates"}]`),
		"refuses":         refusing,
	} {
		t.Run(name, func(t *testing.T) {
			c := c.With(t)
			evil.answers(answer)
			set := labtest.DaemonSet("daemon-" + name)
			c.Make(set)
			c.Eventually("the thief was asked for a pod of "+set.Name, func(context.Context) (string, error) {
				if evil.asked("pods/" + set.Name) {
					return "", nil
				}
				return "not yet", nil
			})
			bystanders(c, name)
			if name == "refuses" { // a denial is an answer, which the controller does not bypass
				c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
					degraded := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDegraded)
					return degraded != nil && degraded.Status == metav1.ConditionTrue && strings.Contains(degraded.Message, "owned.placement.everynode.dev\" denied the request")
				})
			}
			pods, err := c.PodsOf(t.Context(), set)
			c.Must(err)
			for _, pod := range pods {
				if target, ok := daemon.PinnedNode(&pod.Spec); !ok || pod.Annotations[v1alpha1.PlacedByAnnotation] != v1alpha1.PlacedByController {
					t.Errorf("pod %s is stored, pinned to %q, placed by %q", pod.Name, target, pod.Annotations[v1alpha1.PlacedByAnnotation])
				}
			}
		})
	}
	evil.sawOnly(c)
	c.Verdict(witness, 2)
}

// steal starts a thief with the webhook's own certificate and address.
func steal(c *labtest.Cluster) *thief {
	c.T.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, "pki", "webhook.crt"), filepath.Join(c.Dir, "pki", "webhook.key"))
	c.Must(err)
	listener, err := net.Listen("tcp", c.Component(lab.Webhook).Address())
	c.Must(err)
	evil := &thief{answer: refusing, saw: map[string]bool{}}
	server := &http.Server{Handler: evil}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}))
	}()
	c.T.Cleanup(func() { _ = server.Close(); <-done })
	return evil
}

// asked reports whether it was sent an object whose name begins so.
func (f *thief) asked(prefix string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.saw {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// bystanders creates objects of others, all of which must be stored unchanged.
func bystanders(c *labtest.Cluster, name string) {
	c.T.Helper()
	main := []corev1.Container{{Name: "main", Image: "example.com/bystander"}}
	named := metav1.ObjectMeta{Namespace: theirs, Name: "bystander-" + name}
	for _, object := range []client.Object{
		&corev1.Secret{ObjectMeta: named, StringData: map[string]string{"password": "hunter2"}},
		&corev1.ConfigMap{ObjectMeta: named},
		&corev1.ServiceAccount{ObjectMeta: named},
		&corev1.Pod{ObjectMeta: named, Spec: corev1.PodSpec{Containers: main}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: theirs, Name: "bystander-on-node-" + name}, Spec: corev1.PodSpec{Containers: main, NodeName: lab.NodeName(0)}},
	} {
		c.Make(object)
	}
}

// sawOnly fails the test for each object that the thief should not have seen.
func (f *thief) sawOnly(c *labtest.Cluster) {
	c.T.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.saw {
		resource, object, _ := strings.Cut(name, "/")
		if !slices.Contains([]string{"pods", "daemonsets"}, resource) || strings.Contains(object, "bystander") {
			c.T.Errorf("the thief was sent %s", name)
		}
	}
	c.T.Logf("the thief was sent %d objects, all of them DaemonSets and their pods", len(f.saw))
}

// impersonating returns a client of another user.
func impersonating(c *labtest.Cluster, name string, groups ...string) client.Client {
	c.T.Helper()
	config := *c.Config
	config.Impersonate.UserName, config.Impersonate.Groups = name, append(groups, "system:authenticated")
	as, err := client.New(&config, client.Options{Scheme: c.Scheme()})
	c.Must(err)
	return as
}

// forbidden fails the test unless the API server refuses something, because there is no permission or by NodeRestriction.
func forbidden(c *labtest.Cluster, what string, err error) {
	c.T.Helper()
	if !apierrors.IsForbidden(err) {
		c.T.Errorf("%s: answered %v, want: forbidden", what, fmt.Sprint(err))
	}
}
