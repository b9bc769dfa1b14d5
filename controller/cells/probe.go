package cells

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// How often blocked nodes are probed, regardless of their number: this many dry runs in each interval for all
// daemons together. Namespaces take turns (daemon.Probes). The client bounds how long a webhook that does not answer delays a dry
// run (package controller), and its cell backs off.
const (
	BlockedInterval = time.Second
	blockedAtOnce   = 10
)

// ProbeBlocked makes the dry runs that are due now, which show whether blocked nodes still are.
func (r *Reconciler) ProbeBlocked(ctx context.Context) {
	for range blockedAtOnce {
		var (
			probe model.Probe
			due   bool
		)
		r.state.Update(func(u model.Update) { probe, due = u.NextProbe() })
		if !due || ctx.Err() != nil {
			return
		}
		_, excluded, err := r.dryRun(ctx, probe.Pod, probe.Node)
		r.state.Update(func(u model.Update) { u.Probed(&probe, excluded || err != nil) })
	}
}

// dryRun reports whether a pod that is emitted for a node would be excluded from it once it is stored, and why.
func (r *Reconciler) dryRun(ctx context.Context, pod *corev1.Pod, node *corev1.Node) (why string, excluded bool, err error) {
	if err := r.placer.DryRun(ctx, pod); err != nil {
		return "", false, err
	}
	why, excluded = daemon.Excludes(pod, node)
	return why, excluded, nil
}

// wouldBlock checks, before an available pod is deleted, whether its successor could run on the node, and otherwise records
// that the node is blocked. A refusal of the successor by the API server is no reason to keep the pod: a quota, for example,
// may have room once it is gone.
func (r *Reconciler) wouldBlock(ctx context.Context, cell daemon.CellKey, task *task) (blocked bool, err error) {
	why, excluded, err := r.dryRun(ctx, daemon.NewPod(task.Template, task.Node, task.Names[0]), task.Node)
	switch {
	case excluded:
		r.state.Update(func(u model.Update) { u.Foresee(cell, why) })
	case err != nil && answers.NoAnswer(err):
		return true, err
	}
	return excluded, nil
}
