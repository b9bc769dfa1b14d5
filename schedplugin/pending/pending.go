// Package pending reports why a daemon's pod is pending, in its condition PodScheduled and its event
// FailedScheduling, in terms of its one node.
//
// Kubernetes' own text counts the cluster: "0/5000 nodes are available: 1 Insufficient memory, 4999 node(s)
// didn't satisfy plugin(s) [NodeAffinity]". It hides the node (k/k#93934), and changes when other nodes come
// and go, which costs a write for every pod that is retried.
package pending

import (
	"context"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/everynode/everynode/schedplugin/podfacts"
	"github.com/everynode/everynode/schedplugin/uniqueness"
)

// Explain wraps scheduler.Scheduler.FailureHandler so that next gets a message about the daemon pod's own node.
// Other pods, and errors that do not concern the node, pass unchanged.
func Explain(next scheduler.FailureHandlerFn) scheduler.FailureHandlerFn {
	return func(ctx context.Context, profile framework.Framework, pod *framework.QueuedPodInfo, status *fwk.Status, nomination *fwk.NominatingInfo, start time.Time) {
		next(ctx, profile, pod, explained(pod.Pod, status), nomination, start)
	}
}

// explained returns a status with the same consequences whose message names only the pod's node. The
// framework's prefix stays, and counts that node: "0/1 nodes are available: ".
func explained(pod *corev1.Pod, status *fwk.Status) *fwk.Status {
	key, pinned := podfacts.KeyOf(pod)
	err := status.AsError()
	if pinned && errors.Is(err, scheduler.ErrNoNodesAvailable) { // a cluster without nodes: no plugin was called
		return saying(on(key.Node, uniqueness.ReasonNoNode), pod, status, framework.Diagnosis{})
	}
	var fit *framework.FitError
	if !errors.As(err, &fit) {
		return status
	}
	switch {
	case pinned:
		return saying(on(key.Node, causes(&fit.Diagnosis, key.Node)...), pod, status, fit.Diagnosis)
	case fit.Diagnosis.UnschedulablePlugins.Has(uniqueness.Name): // not served: the message has instructions
		return saying(fit.Diagnosis.PreFilterMsg, pod, status, fit.Diagnosis)
	}
	return status
}

// saying keeps the part of a diagnosis that the queue reads, the plugins that refused the pod.
func saying(text string, pod *corev1.Pod, status *fwk.Status, diagnosis framework.Diagnosis) *fwk.Status {
	diagnosis.PreFilterMsg, diagnosis.PostFilterMsg = text, ""
	if diagnosis.NodeToStatus == nil {
		diagnosis.NodeToStatus = framework.NewDefaultNodeToStatus()
	}
	return fwk.NewStatus(status.Code()).WithError(&framework.FitError{Pod: pod, NumAllNodes: 1, Diagnosis: diagnosis})
}

func on(node string, causes ...string) string {
	return "node " + node + ": " + strings.Join(causes, "; ")
}

// causes returns why the node refuses the pod, and the result of preemption.
func causes(diagnosis *framework.Diagnosis, node string) []string {
	if diagnosis.PreFilterMsg != "" { // no eviction helps
		return []string{diagnosis.PreFilterMsg}
	}
	var causes []string
	for _, reason := range diagnosis.NodeToStatus.Get(node).Reasons() {
		causes = append(causes, strings.TrimPrefix(reason, "node(s) "))
	}
	if message := diagnosis.PostFilterMsg; message != "" && !strings.HasPrefix(message, upstreamPreemption) {
		causes = append(causes, message)
	}
	return causes
}

// upstreamPreemption is the prefix of DefaultPreemption's message, which counts the cluster's nodes again.
const upstreamPreemption = "preemption: "
