// Package scheduling tests everynode-scheduler as a process, on a real API server, with pods that
// are created manually: the DaemonSets that own them exist, and no everynode-controller serves them.
package scheduling

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Tests wait for the control plane most of the time, so more of them run in parallel than there
// are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	labtest.VerifyMain(m)
}

// alone makes a process active from its start, without waiting until the lease of a killed or
// paused one has expired.
const alone = "--leader-elect=false"

// prefix is the framework's own, and counts the one node of a pod.
const prefix = "0/1 nodes are available: "

// The priorities of tests. A pod gets one by its class.
const (
	low    = "low"
	middle = "middle"
	high   = "high"
	never  = "never" // as high as high, but never preempts
)

// stage is a lab with the priorities, an owner of pods and, in subtests, their nodes.
type stage struct {
	*labtest.Cluster
	owner *v1alpha1.DaemonSet
}

func newStage(t testing.TB, options lab.Options) *stage {
	t.Helper()
	s := &stage{Cluster: labtest.Start(t, options), owner: labtest.DaemonSet("daemon")}
	for name, value := range map[string]int32{low: 10, middle: 100, high: 1000} {
		s.Make(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value})
	}
	s.Make(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: never}, Value: 1000, PreemptionPolicy: new(corev1.PreemptNever)})
	s.Make(s.owner)
	return s
}

// with returns the same stage for a subtest, with its own DaemonSet.
func (s *stage) with(t testing.TB, daemon string) *stage {
	t.Helper()
	sub := &stage{s.With(t), labtest.DaemonSet(daemon)}
	sub.Make(sub.owner)
	return sub
}

// node adds a node with 4 CPUs, which is deleted when the test ends.
func (s *stage) node(name string) string {
	s.T.Helper()
	_, err := s.AddNode(s.T.Context(), name)
	s.Must(err)
	s.T.Cleanup(func() { _ = s.DeleteNode(context.Background(), name) })
	s.Must(s.WaitForNodes(s.T.Context(), name))
	return name
}

// bare returns a pod without an owner.
func bare(name string, mutators ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(0)),
			Containers:                    []corev1.Container{{Name: "main", Image: "example.com/main"}},
		},
	}
	for _, mutate := range mutators {
		mutate(pod)
	}
	return pod
}

// daemonPod returns a pod of the stage's daemon for a node, as the controller would create it.
func (s *stage) daemonPod(name, node string, mutators ...func(*corev1.Pod)) *corev1.Pod {
	pod := bare(name, func(pod *corev1.Pod) {
		pod.Namespace = s.owner.Namespace
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(s.owner, v1alpha1.DaemonSetKind)}
		pod.Spec.SchedulerName = v1alpha1.SchedulerName
		daemon.Pin(&pod.Spec, node)
		daemon.AddTolerations(&pod.Spec)
	})
	for _, mutate := range mutators {
		mutate(pod)
	}
	return pod
}

func priority(class string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.PriorityClassName = class }
}

func cpu(request string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(request)}
	}
}

// on makes default-scheduler bind a pod to a node, although the pod could run elsewhere by its spec.
func on(node string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node} }
}

// clings keeps a pod terminating until letGo.
const clings = "everynode.dev/test"

func clinging(pod *corev1.Pod) { pod.Finalizers = []string{clings} }

// letGo lets a terminating pod disappear.
func (s *stage) letGo(pod *corev1.Pod) {
	s.T.Helper()
	s.Must(client.IgnoreNotFound(s.Patch(s.T.Context(), pod.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))))
}

// make creates pods, and deletes them when the test ends, including clinging ones.
func (s *stage) make(pods ...*corev1.Pod) {
	s.T.Helper()
	for _, pod := range pods {
		s.Make(pod)
		if len(pod.Finalizers) > 0 {
			s.T.Cleanup(func() {
				_ = s.Patch(context.Background(), pod.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
			})
		}
	}
}

// placed creates pods and waits until each is bound.
func (s *stage) placed(pods ...*corev1.Pod) {
	s.T.Helper()
	s.make(pods...)
	for _, pod := range pods {
		s.waitUntil(pod, "bound", bound)
	}
}

// waitUntil reads a pod until a condition holds, and returns that state.
func (s *stage) waitUntil(pod *corev1.Pod, what string, holds func(*corev1.Pod) bool) *corev1.Pod {
	s.T.Helper()
	read := &corev1.Pod{}
	s.Eventually(fmt.Sprintf("pod %s is %s", pod.Name, what), func(ctx context.Context) (string, error) {
		if err := s.Get(ctx, client.ObjectKeyFromObject(pod), read); err != nil {
			return "", err
		}
		if !holds(read) {
			return fmt.Sprintf("node %q, nominated %q, deleted %v, message %q", read.Spec.NodeName, read.Status.NominatedNodeName, read.DeletionTimestamp, message(read)), nil
		}
		return "", nil
	})
	return read
}

func bound(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" }

func terminating(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil }

// waitFor waits until a pod is pending with this message.
func (s *stage) waitFor(pod *corev1.Pod, words string) *corev1.Pod {
	s.T.Helper()
	return s.waitUntil(pod, fmt.Sprintf("pending, with the message %q", prefix+words), func(pod *corev1.Pod) bool {
		return !bound(pod) && message(pod) == prefix+words
	})
}

// message returns the message of a pod's condition PodScheduled.
func message(pod *corev1.Pod) string {
	at := slices.IndexFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool { return condition.Type == corev1.PodScheduled })
	if at < 0 {
		return ""
	}
	return pod.Status.Conditions[at].Message
}

// events returns the messages of a pod's events with a reason.
func (s *stage) events(ctx context.Context, pod *corev1.Pod, reason string) ([]string, error) {
	var list corev1.EventList
	if err := s.List(ctx, &list, client.InNamespace(pod.Namespace)); err != nil {
		return nil, err
	}
	var messages []string
	for i := range list.Items {
		if event := &list.Items[i]; event.InvolvedObject.UID == pod.UID && event.Reason == reason {
			messages = append(messages, event.Message)
		}
	}
	return messages, nil
}

// metric returns the sum of a scheduler's series of a name whose labels contain all of the texts.
func (s *stage) metric(ctx context.Context, scheduler *lab.Component, name string, labels ...string) (float64, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Config.CAData)
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+scheduler.Address()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	sum, lines := 0.0, bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		series := line[:max(0, strings.LastIndex(line, " "))]
		bare, rest, _ := strings.Cut(series, "{")
		if bare != name || slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(rest, label) }) {
			continue
		}
		value, err := strconv.ParseFloat(line[len(series)+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("reading metric %q: %w", line, err)
		}
		sum += value
	}
	return sum, lines.Err()
}
