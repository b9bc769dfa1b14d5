// Package pending says why a daemon's pod is pending: in its condition PodScheduled and its event
// FailedScheduling, in terms of the one node it is for.
//
// Kubernetes' own text counts the cluster: "0/5000 nodes are available: 1 Insufficient memory, 4999
// node(s) didn't satisfy plugin(s) [NodeAffinity]". It hides the node (k/k#93934), and as nodes come and
// go elsewhere it changes, which costs a write of every pod that is tried again.
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

// Explain is a failure handler for scheduler.Scheduler.FailureHandler that has what a daemon's pod
// waits for said by next. Other pods, and errors that are not about the node, pass as they are.
func Explain(next scheduler.FailureHandlerFn) scheduler.FailureHandlerFn {
	return func(ctx context.Context, profile framework.Framework, pod *framework.QueuedPodInfo, status *fwk.Status, nomination *fwk.NominatingInfo, start time.Time) {
		next(ctx, profile, pod, explained(pod.Pod, status), nomination, start)
	}
}

// explained is a status with the same consequences whose message names the pod's node and no other.
// The framework's prefix stays, and counts that node: "0/1 nodes are available: ".
func explained(pod *corev1.Pod, status *fwk.Status) *fwk.Status {
	key, pinned := podfacts.KeyOf(pod)
	err := status.AsError()
	if pinned && errors.Is(err, scheduler.ErrNoNodesAvailable) { // a cluster without nodes: no plugin was asked
		return saying(on(key.Node, uniqueness.ReasonNoNode), pod, status, framework.Diagnosis{})
	}
	var fit *framework.FitError
	if !errors.As(err, &fit) {
		return status
	}
	switch {
	case pinned:
		return saying(on(key.Node, causes(&fit.Diagnosis, key.Node)...), pod, status, fit.Diagnosis)
	case fit.Diagnosis.UnschedulablePlugins.Has(uniqueness.Name): // not served: it is told what to do
		return saying(fit.Diagnosis.PreFilterMsg, pod, status, fit.Diagnosis)
	}
	return status
}

// saying keeps what the queue reads in a diagnosis, the plugins that refused the pod.
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

// causes are why the node is closed to the pod, and what preemption says to that.
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

// upstreamPreemption begins what DefaultPreemption says: it counts the cluster's nodes once more.
const upstreamPreemption = "preemption: "
