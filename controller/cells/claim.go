package cells

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/daemonset"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// claim adopts or releases a pod, if both it and the daemon are unchanged: the daemon is read again, because
// pods adopted by a daemon that is being deleted would be deleted with it.
func (r *Reconciler) claim(ctx context.Context, task *task, due model.Claim) error {
	owner := task.Workload
	if !due.Adopt && !due.Pod.Bound {
		return r.deleteUnbound(ctx, task, due.Pod)
	}
	did, why, references := "released", "the selector does not match its labels", any([]map[string]any{{"$patch": "delete", "uid": owner.Key.UID}})
	if due.Adopt {
		if there, err := daemonset.Exists(ctx, r.reader, owner); err != nil || !there {
			return err
		}
		did, why, references = "adopted", "it has no controller and the selector matches its labels", []metav1.OwnerReference{owner.OwnerReference()}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": due.Pod.UID, "ownerReferences": references}})
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: due.Pod.GetNamespace(), Name: due.Pod.Name}}
	err = r.client.Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, patch))
	switch {
	case err == nil:
		r.reportClaimed(owner, due.Pod, did, why)
		return nil
	case answers.Of(answers.Change, err).Concerns == answers.Nothing:
		task.changed = true
		return nil
	}
	err = &answers.Failure{Reason: eventFailedClaim, Err: fmt.Errorf("changing the owner of pod %s: %w", due.Pod.Name, err)}
	if !answers.NoAnswer(err) {
		r.reportNotClaimed(owner, due.Pod, did, why, err)
	}
	return err
}

// deleteUnbound deletes a pod that has to be released and waits for its node: our scheduler serves no pod
// without a DaemonSet, so it would wait indefinitely. A pod that was bound or relabelled in the meantime stays.
func (r *Reconciler) deleteUnbound(ctx context.Context, task *task, pod *model.Pod) error {
	_, err := r.delete(ctx, pod.Cell(), task, daemon.Action{
		Op: daemon.Delete, Pod: pod.Pod, IfUnchanged: true,
		Message: "the selector does not match its labels, and without its DaemonSet it would not be scheduled",
	})
	return err
}
