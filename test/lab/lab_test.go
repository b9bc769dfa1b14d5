package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/test/race"
)

// patience bounds waits for conditions that are met within moments.
var patience = race.Limit(60 * time.Second)

func TestOptionsAreRefusedByName(t *testing.T) {
	tests := map[string]struct {
		options Options
		want    string
	}{
		"workloads unknown":                   {Options{Workloads: "apps,everynode"}, "workloads=apps,everynode is unknown; supported: everynode, apps, everynode,apps"},
		"scheduler unknown":                   {Options{Scheduler: "third"}, "scheduler=third is unknown; supported: secondary, primary"},
		"placement unknown":                   {Options{Placement: "magic"}, "placement=magic is unknown; supported: auto, webhook, policy, direct"},
		"certificates unknown":                {Options{Certificates: "magic"}, "certificates=magic is unknown; supported: files, self-managed, cert-manager, auto"},
		"kubernetes no release":               {Options{Kubernetes: "1.36"}, "kubernetes=1.36 (EVERYNODE_LAB_KUBERNETES): set a release, such as v1.36.3"},
		"kubernetes not built":                {Options{Kubernetes: "v1.2.3"}, "not built yet: kube-apiserver, kube-controller-manager, kube-scheduler; run: make components build && bash hack/build-kubernetes.sh v1.2.3"},
		"negative nodes":                      {Options{Nodes: -1}, "nodes=-1"},
		"unknown component":                   {Options{Without: []string{"etcdd"}}, "no such component; there are etcd"},
		"a component that is always required": {Options{Without: []string{Etcd}}, "no lab starts without it"},
		"arguments for an unknown component":  {Options{ExtraArgs: map[string][]string{"nobody": nil}}, "no such component"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New: %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestChangesAreRefusedByName(t *testing.T) {
	l := &Lab{}
	if err := l.HandOver(t.Context(), "batch"); err == nil || !strings.Contains(err.Error(), "workloads=batch is unknown") {
		t.Errorf("HandOver: %v, want an error about the workloads", err)
	}
	if _, err := l.Replica(t.Context(), Etcd); err == nil || !strings.Contains(err.Error(), "only Everynode's own components") {
		t.Errorf("Replica: %v, want an error about etcd", err)
	}
}

// Two labs side by side, one of them in a given folder, which a third lab cannot use.
func TestTwoLabsSideBySide(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	first := Start(t, Options{Nodes: 2, Dir: dir})
	second := Start(t, Options{Nodes: 1})
	for _, test := range []struct {
		lab  *Lab
		want int
	}{{first, 2}, {second, 1}} {
		nodes, err := test.lab.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(nodes.Items) != test.want {
			t.Errorf("%d nodes (%v), want %d", len(nodes.Items), err, test.want)
		}
	}
	if _, err := New(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another lab") {
		t.Errorf("a third lab in the folder of the first: %v, want an error", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kubeconfig")); err != nil {
		t.Errorf("the refused lab touched the folder: %v", err)
	}
	var table strings.Builder
	if err := first.Describe(&table); err != nil {
		t.Fatal(err)
	}
	for _, name := range ComponentNames {
		if !strings.Contains(table.String(), name) {
			t.Errorf("the table does not contain %s:\n%s", name, table.String())
		}
	}
}

func TestFolderWithOtherFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "not a lab's") {
		t.Errorf("New: %v, want an error about the folder", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

// Every component can be stopped, killed, paused and restarted, and nodes change
// as in a cluster.
func TestComponentsAndNodes(t *testing.T) {
	l := Start(t, Options{Nodes: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	for _, name := range ComponentNames {
		c := l.Component(name)
		c.Kill()
		if c.Running() {
			t.Errorf("%s runs after Kill", name)
		}
		if err := c.Pause(); err == nil {
			t.Errorf("%s was paused although it does not run", name)
		}
	}
	for _, name := range ComponentNames {
		if err := l.Component(name).Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for exit := range len(l.Exits()) {
		t.Errorf("a requested stop counts as a crash (%d)", exit)
	}
	webhook := l.Component(Webhook)
	if err := webhook.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancelShort := context.WithTimeout(ctx, time.Second)
	defer cancelShort()
	if err := webhook.Ready(short); err == nil {
		t.Error("a paused component is ready")
	}
	if err := errors.Join(webhook.Resume(), webhook.Ready(ctx)); err != nil {
		t.Error(err)
	}
	checkNodes(ctx, t, l)
}

func checkNodes(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	name := "added"
	if _, err := l.AddNode(ctx, name, func(node *corev1.Node) { node.Labels["zone"] = "a" }); err != nil {
		t.Fatal(err)
	}
	if err := l.WaitForNodes(ctx, name, NodeName(0)); err != nil {
		t.Fatal(err)
	}
	taint := corev1.Taint{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}
	steps := []struct {
		what string
		do   func() error
		want func(*corev1.Node) bool
	}{
		{"label", func() error { return l.LabelNode(ctx, name, "zone", "b") }, func(n *corev1.Node) bool { return n.Labels["zone"] == "b" }},
		{"unlabel", func() error { return l.LabelNode(ctx, name, "zone", "") }, func(n *corev1.Node) bool { _, has := n.Labels["zone"]; return !has }},
		{"taint", func() error { return l.TaintNode(ctx, name, taint) }, func(n *corev1.Node) bool { return len(n.Spec.Taints) == 1 }},
		{"untaint", func() error { return l.UntaintNode(ctx, name, taint) }, func(n *corev1.Node) bool { return len(n.Spec.Taints) == 0 }},
		{"not ready", func() error { return l.SetNotReady(ctx, name, true) }, func(n *corev1.Node) bool { return readyStatus(n) == corev1.ConditionFalse }},
		{"ready", func() error { return l.SetNotReady(ctx, name, false) }, func(n *corev1.Node) bool { return readyStatus(n) == corev1.ConditionTrue }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		node, err := l.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil || !step.want(node) {
			t.Errorf("%s: the node is %+v (%v)", step.what, node, err)
		}
	}
	if err := l.DeleteNode(ctx, name); err != nil {
		t.Fatal(err)
	}
}

// A pod waits for an image with the tag non-existent, while other pods run.
func TestImagesThatDoNotExistAreWaitedFor(t *testing.T) {
	l := Start(t, Options{Nodes: 1, Without: []string{Controller, Webhook, EverynodeScheduler}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pods := l.Client.CoreV1().Pods("default")
	for name, image := range map[string]string{"waits": "example.com/image:non-existent", "runs": "example.com/image:v1"} {
		_, err := pods.Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{NodeName: NodeName(0), Containers: []corev1.Container{{Name: "main", Image: image}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := Eventually(ctx, "one pod runs and the other waits", func(ctx context.Context) (string, error) {
		runs, err := pods.Get(ctx, "runs", metav1.GetOptions{})
		if err != nil || !PodReady(runs) {
			return "the first does not run", err
		}
		waits, err := pods.Get(ctx, "waits", metav1.GetOptions{})
		if err != nil || len(waits.Status.ContainerStatuses) == 0 {
			return "the second has no container status", err
		}
		if waiting := waits.Status.ContainerStatuses[0].State.Waiting; waiting == nil || PodReady(waits) || waits.Status.Phase != corev1.PodPending {
			t.Errorf("the second is %+v, want it Pending and its container waiting", waits.Status)
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A deleted pod terminates for its grace period and is then gone.
func TestDeletesHonourTheGracePeriod(t *testing.T) {
	l := Start(t, Options{Nodes: 1, Without: []string{Controller, Webhook, EverynodeScheduler}})
	grace := int64(2)
	pod, err := l.Client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "graceful"},
		Spec: corev1.PodSpec{
			NodeName: NodeName(0), TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "main", Image: "example.com/graceful"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	get := func(ctx context.Context) (*corev1.Pod, error) {
		return l.Client.CoreV1().Pods("default").Get(ctx, pod.Name, metav1.GetOptions{})
	}
	err = Eventually(ctx, "the pod is ready", func(ctx context.Context) (string, error) {
		pod, err := get(ctx)
		if err != nil || !PodReady(pod) {
			return "not yet", err
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := l.Client.CoreV1().Pods("default").Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	err = Eventually(ctx, "the pod is gone", func(ctx context.Context) (string, error) {
		pods, err := l.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) > 0 {
			return "it still exists", err
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < time.Duration(grace)*time.Second {
		t.Errorf("the pod was gone after %s, want at least its grace period of %d s", took, grace)
	}
}

// An immediate deletion whose client disconnects half-way leaves a pod with a deletion timestamp,
// until its kubelet removes it.
func TestInterruptedDeletesAreFinished(t *testing.T) {
	l := Start(t, Options{Nodes: 1, Without: []string{Controller, Webhook, EverynodeScheduler}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pods, now := l.Client.CoreV1().Pods("default"), int64(0)
	marked := func(ctx context.Context) (count int, err error) {
		list, err := pods.List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, err
		}
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp != nil {
				count++
			}
		}
		return count, nil
	}
	const tries = 100
	for i := range tries {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("halfway-%d", i)},
			Spec:       corev1.PodSpec{NodeName: NodeName(0), TerminationGracePeriodSeconds: &now, Containers: []corev1.Container{{Name: "main", Image: "example.com/halfway"}}},
		}
		if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range tries { // each client disconnects a little later than the one before
		short, cancel := context.WithTimeout(ctx, 500*time.Microsecond+time.Duration(i)*40*time.Microsecond)
		_ = pods.Delete(short, fmt.Sprintf("halfway-%d", i), metav1.DeleteOptions{})
		cancel()
	}
	if count, err := marked(ctx); err != nil || count == 0 {
		t.Fatalf("%d deletes were interrupted half-way (%v): the test proves nothing", count, err)
	}
	err := Eventually(ctx, "no pod is left terminating", func(ctx context.Context) (string, error) {
		count, err := marked(ctx)
		if err != nil || count > 0 {
			return fmt.Sprintf("%d are", count), err
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The command ends all its processes on a signal, and the kernel ends them when it
// is killed.
func TestNoProcessOutlivesTheCommand(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := findRoot(here)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "lab")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/lab").CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v: %s", err, out)
	}
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			pids, command := startCommand(t, binary, root)
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			err := command.Wait()
			if killed := signal == syscall.SIGKILL; (err != nil) != killed {
				t.Errorf("the command exited with %v", err)
			}
			deadline := time.Now().Add(patience)
			for name, pid := range pids {
				for alive(pid) {
					if time.Now().After(deadline) {
						t.Fatalf("%s (%d) outlives the command", name, pid)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
}

// startCommand runs the lab's command, and reads its processes from the printed table.
func startCommand(t *testing.T, binary, root string) (map[string]int, *exec.Cmd) {
	t.Helper()
	command := exec.Command(binary, "--nodes=1", "--dir="+filepath.Join(t.TempDir(), "lab"))
	command.Dir = root
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	pids := map[string]int{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "ready in") {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if pid, err := strconv.Atoi(fields[1]); err == nil {
			pids[fields[0]] = pid
		}
	}
	if len(pids) != len(ComponentNames) {
		t.Fatalf("the command's table names %d processes, want %d: %v", len(pids), len(ComponentNames), pids)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return pids, command
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}
