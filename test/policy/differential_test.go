package policy

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/labtest"
)

// seeds is the number of random sequences of pods that are tried in parallel. Each
// has -rapid.checks pods, by default 5000.
const seeds = 4

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "5000"); err != nil {
		panic(err)
	}
	flag.Parse()
	labtest.VerifyMain(m)
}

// An admission answers the creation of a pod.
type admissionOf interface {
	admit(ctx context.Context, r request) (*corev1.Pod, error)
}

// rewrite applies daemon.Rewrite to the pods that opt in.
type rewrite struct{ placedBy string }

func (by rewrite) admit(_ context.Context, r request) (*corev1.Pod, error) {
	pod := r.pod.DeepCopy()
	if r.optsIn() {
		if _, err := daemon.Rewrite(pod, by.placedBy); err != nil {
			return nil, err
		}
	}
	return pod, interlock(pod)
}

// agree returns how an implementation differs from daemon.Rewrite on a pod, and on its own result.
func agree(ctx context.Context, placedBy string, got admissionOf, r request) error {
	want := rewrite{placedBy}
	before := encode(r.pod)
	placed, err := agreeOn(ctx, want, got, r)
	if after := encode(r.pod); err == nil && before != after {
		return fmt.Errorf("the request itself was changed, from %s to %s", before, after)
	}
	if err != nil || placed == nil || !r.optsIn() {
		return err
	}
	// A second pass changes nothing, whether the pod is as placed or names the node again.
	again := r
	again.pod = placed
	if _, err := agreeOn(ctx, want, got, again); err != nil {
		return fmt.Errorf("a second time: %w", err)
	}
	again.pod = placed.DeepCopy()
	again.pod.Spec.NodeName = r.pod.Spec.NodeName
	if twice, err := got.admit(ctx, again); err != nil || !same(twice, placed) {
		return fmt.Errorf("with nodeName set again: %w\n%s", err, cmp.Diff(placed, twice))
	}
	return nil
}

// agreeOn compares one answer; the pod is nil when both refuse it.
func agreeOn(ctx context.Context, want, got admissionOf, r request) (*corev1.Pod, error) {
	wantPod, wantErr := want.admit(ctx, r)
	gotPod, gotErr := got.admit(ctx, r)
	var contradiction *daemon.ContradictoryPinError
	switch {
	case errors.As(wantErr, &contradiction):
		// A mutating policy cannot refuse a pod. One with our gate is refused by the interlock, before
		// the validating policy is evaluated.
		told := gotErr != nil && strings.HasSuffix(gotErr.Error(), contradiction.Error())
		held := len(r.pod.Spec.SchedulingGates) > 0 && errors.Is(gotErr, errInterlock)
		if !told && !held {
			return nil, notRefused(gotErr, wantErr)
		}
		return nil, nil
	case wantErr != nil:
		if !errors.Is(gotErr, wantErr) {
			return nil, notRefused(gotErr, wantErr)
		}
		return nil, nil
	case gotErr != nil:
		return nil, fmt.Errorf("the pod is refused, want it accepted: %w", gotErr)
	case !same(wantPod, gotPod):
		return nil, fmt.Errorf("the pod differs (-Rewrite, +got):\n%s", cmp.Diff(wantPod, gotPod))
	}
	return wantPod, nil
}

// notRefused returns an error for a pod that is not refused with the expected message.
func notRefused(got, want error) error {
	if got == nil {
		return fmt.Errorf("the pod is accepted, want the refusal %w", want)
	}
	return fmt.Errorf("the pod is refused: %w; want the refusal %w", got, want)
}

// same reports whether the encodings of two pods are equal byte for byte.
func same(a, b *corev1.Pod) bool { return encode(a) == encode(b) }

func encode(pod *corev1.Pod) string {
	raw, err := json.Marshal(pod)
	if err != nil {
		panic(fmt.Sprintf("a pod cannot be encoded: %v", err))
	}
	return string(raw)
}

// narrows returns what is wrong with a placed pod: it has to match its node exactly if it did before,
// match no other node, and be the same otherwise.
func narrows(before, placed *corev1.Pod) error {
	target := before.Spec.NodeName
	for _, name := range []string{"n1", "n2", "node/with~odd.name", "n3"} {
		for _, labels := range []map[string]string{nil, {"disk": "ssd"}, {"disk": "ssd", "size": "4", metav1.ObjectNameField: "n1"}} {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
			if want, got := name == target && matches(before, node), matches(placed, node); got != want {
				return fmt.Errorf("the pod for %s matches node %s with labels %v: %v, want %v\n%s", target, name, labels, got, want, encode(placed))
			}
		}
	}
	scheduler := before.Spec.SchedulerName
	if _, owned := daemon.OwnedByDaemon(before); owned {
		scheduler = v1alpha1.SchedulerName
	}
	if placed.Spec.SchedulerName != scheduler {
		return fmt.Errorf("the pod goes to scheduler %q, want %q", placed.Spec.SchedulerName, scheduler)
	}
	if diff := cmp.Diff(rest(before), rest(placed)); diff != "" {
		return fmt.Errorf("placing the pod changed other fields:\n%s", diff)
	}
	return nil
}

func matches(pod *corev1.Pod, node *corev1.Node) bool {
	match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	return match && err == nil
}

// rest returns a pod without the fields that placement may change.
func rest(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.NodeName, pod.Spec.SchedulerName = "", ""
	delete(pod.Annotations, v1alpha1.PlacedByAnnotation)
	if len(pod.Annotations) == 0 {
		pod.Annotations = nil
	}
	var gates []corev1.PodSchedulingGate
	for _, gate := range pod.Spec.SchedulingGates {
		if gate.Name != v1alpha1.PlacementGate {
			gates = append(gates, gate)
		}
	}
	pod.Spec.SchedulingGates = gates
	affinity := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	if pod.Spec.Affinity != nil {
		affinity = pod.Spec.Affinity
		if affinity.NodeAffinity == nil {
			affinity.NodeAffinity = &corev1.NodeAffinity{}
		}
	}
	affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = nil
	pod.Spec.Affinity = affinity
	return pod
}

// The function, the webhook behind its registration and the policies in the API server's
// evaluator give the same, correct answer.
func TestOneAnswer(t *testing.T) {
	policies, webhook := newAPIServer(t, deploy.Policy, namespaces...), newRegistered(t)
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				r := drawRequest.Draw(t, "request")
				if err := agree(t.Context(), v1alpha1.PlacedByPolicy, policies, r); err != nil {
					t.Fatalf("the policies: %v\nof %+v, %s", err, r, encode(r.pod))
				}
				if err := agree(t.Context(), v1alpha1.PlacedByWebhook, webhook, r); err != nil {
					t.Fatalf("the webhook: %v\nof %+v, %s", err, r, encode(r.pod))
				}
				placed, err := rewrite{v1alpha1.PlacedByController}.admit(context.Background(), r)
				if err != nil || !r.optsIn() {
					return
				}
				if err := narrows(r.pod, placed); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
