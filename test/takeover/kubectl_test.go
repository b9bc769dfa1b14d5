package takeover

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/test/labtest"
)

// script is a session of kubectl, whose output must be the same under both controllers.
type script struct {
	name  string
	steps func(*terminal)
	// builtin is the output under the built-in controller.
	builtin string
}

func (s *script) underBuiltin(t *trial) { s.builtin = s.play(t, s.name+"-before") }

func (s *script) underEverynode(t *trial) {
	if diff := cmp.Diff(s.builtin, s.play(t, s.name+"-after")); diff != "" {
		t.T.Errorf("output of kubectl (-built-in, +Everynode):\n%s", diff)
	}
}

func (s *script) play(t *trial, set string) string {
	term := &terminal{trial: t, set: set}
	s.steps(term)
	text := strings.ReplaceAll(term.text.String(), set, "NAME")
	return regexp.MustCompile(`\b(default|pod)/\S*NAME-[a-z0-9-]+`).ReplaceAllString(text, "$1/POD")
}

// terminal runs a session.
type terminal struct {
	*trial
	set  string
	text strings.Builder
}

// kubectl runs a command and keeps its output; for a command that reports progress, only the last line.
func (t *terminal) kubectl(stdin string, args ...string) {
	t.T.Helper()
	stdout, stderr, err := t.Kubectl(t.T.Context(), stdin, args...)
	if lines := strings.SplitAfter(stdout, "\n"); args[0] == "rollout" && args[1] == "status" && len(lines) > 2 {
		stdout = lines[len(lines)-2]
	}
	fmt.Fprintf(&t.text, "$ kubectl %s\n%s%s", strings.Join(args, " "), stdout, stderr)
	if err != nil {
		fmt.Fprintln(&t.text, "(failed)")
	}
}

// manifest is the user's manifest of a DaemonSet.
func (t *terminal) manifest(image, cause string) string {
	return strings.NewReplacer("NAME", t.set, "IMAGE", image, "CAUSE", cause).Replace(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME, annotations: {kubernetes.io/change-cause: "CAUSE"}}
spec:
  selector: {matchLabels: {app: NAME}}
  updateStrategy: {rollingUpdate: {maxUnavailable: 100%}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      nodeSelector: {role: fleet}
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "IMAGE", args: ["<a>", "b & c"]}]
`)
}

func rolloutSteps(t *terminal) {
	set := "daemonset/" + t.set
	status := []string{"rollout", "status", set, "--timeout=60s"}
	t.kubectl(t.manifest("example.com/one", "the first"), "apply", "--filename=-")
	t.kubectl("", status...)
	t.kubectl(t.manifest("example.com/two", "the second, <fixed> & more"), "apply", "--filename=-")
	t.kubectl("", status...)
	t.kubectl("", "rollout", "history", set)
	t.kubectl("", "rollout", "history", set, "--revision=1")
	t.kubectl("", "rollout", "undo", set)
	t.kubectl("", status...)
	t.kubectl("", "rollout", "history", set)
	t.kubectl("", "rollout", "undo", set, "--to-revision=3")
	t.kubectl("", "rollout", "undo", set, "--to-revision=1")
	t.kubectl("", "rollout", "restart", set)
	t.kubectl("", status...)
	t.kubectl("", "rollout", "history", set)
	t.kubectl("", "rollout", "pause", set)
	t.kubectl("", "delete", set, "--wait=false")
}

// drainSteps drains a node that has a daemon's pod and a guest.
func drainSteps(t *terminal) {
	node := "node-of-" + t.set
	t.addNode(node, node)
	t.Must(t.WaitForNodes(t.T.Context(), node))
	manifest := strings.ReplaceAll(t.manifest("example.com/drained", ""), "role: fleet", "role: "+node)
	t.kubectl(manifest, "apply", "--filename=-")
	w := &labtest.Workload{Kind: labtest.Apps}
	w.Namespace, w.Name = labtest.Namespace, t.set
	t.Must(t.ReadWorkload(t.T.Context(), w))
	before := t.WaitForPods(w, node)[node]
	t.WaitForPods(t.guest(node), node)
	t.kubectl("", "drain", node)
	t.kubectl("", "drain", node, "--ignore-daemonsets", "--timeout=60s")
	if after := t.WaitForPods(w, node)[node]; after.UID != before.UID {
		t.T.Errorf("pod %s was replaced by %s", before.Name, after.Name)
	}
	// A daemon's pod may start on a cordoned node.
	t.Must(t.Delete(t.T.Context(), &before))
	t.WaitForPods(w, node)
	t.kubectl("", "uncordon", node)
	t.kubectl("", "delete", "daemonset", t.set, "--wait=false")
}

// guest returns a ReplicaSet with a pod on a node.
func (t *terminal) guest(node string) *appsv1.ReplicaSet {
	t.T.Helper()
	labels, now := map[string]string{"app": "guest-of-" + t.set}, int64(0)
	guest := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: labels["app"]},
		Spec: appsv1.ReplicaSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeSelector: map[string]string{"role": node}, TerminationGracePeriodSeconds: &now,
					Containers: []corev1.Container{{Name: "main", Image: "example.com/guest"}},
				},
			},
		},
	}
	t.Make(guest)
	return guest
}
