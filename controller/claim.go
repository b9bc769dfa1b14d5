package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/internal/daemon"
)

// claim is a change of a pod's owner that is due: a pod without controller that a daemon's
// selector matches is adopted, and a daemon's pod that its selector does not match any more is
// released, as in apps/v1 (k8s.io/kubernetes pkg/controller PodControllerRefManager).
type claim struct {
	pod   *seenPod
	adopt bool // else release
}

// claims are what is due, by cell, with the pods that are nobody's.
type claims struct {
	byCell  map[daemon.CellKey]map[types.UID]claim
	cellOf  map[types.UID]daemon.CellKey
	cells   map[DaemonKey]map[daemon.CellKey]bool // those of byCell
	orphans map[string]map[types.UID]*seenPod     // pods without controller, by namespace
}

func newClaims() claims {
	return claims{
		byCell:  map[daemon.CellKey]map[types.UID]claim{},
		cellOf:  map[types.UID]daemon.CellKey{},
		cells:   map[DaemonKey]map[daemon.CellKey]bool{},
		orphans: map[string]map[types.UID]*seenPod{},
	}
}

// add makes a claim due, and gives the cell that it is about.
func (c *claims) add(cell daemon.CellKey, due claim) {
	put(c.byCell, cell, due.pod.UID, due)
	put(c.cells, ownerOf(cell), cell, true)
	c.cellOf[due.pod.UID] = cell
}

// drop forgets what is due of a pod, and says of which cell.
func (c *claims) drop(pod types.UID) (cell daemon.CellKey, was bool) {
	cell, was = c.cellOf[pod]
	if !was {
		return cell, false
	}
	delete(c.cellOf, pod)
	drop(c.byCell, cell, pod)
	if len(c.byCell[cell]) == 0 {
		drop(c.cells, ownerOf(cell), cell)
	}
	return cell, true
}

// noteOrphan remembers a pod that is nobody's.
func (w *world) noteOrphan(pod *seenPod) {
	if pod.orphanOn == "" {
		drop(w.claims.orphans, pod.Namespace, pod.UID)
		return
	}
	put(w.claims.orphans, pod.Namespace, pod.UID, pod)
}

// candidate is a daemon that may adopt a pod.
type candidate struct {
	key      DaemonKey
	name     string
	selector labels.Selector
}

// findOwner claims a pod that is nobody's for the first daemon that matches it. How long that takes is
// up to whoever wrote selectors and labels: so it is done while the world is not locked.
func (w *world) findOwner(pod *seenPod) {
	var best *candidate
	of := pod.labels()
	candidates := w.candidates(pod)
	for i := range candidates {
		if one := &candidates[i]; (best == nil || one.name < best.name) && matches(one.selector, of) {
			best = one
		}
	}
	if best != nil {
		w.claimOrphan(best.key, pod)
	}
}

func (w *world) candidates(pod *seenPod) (candidates []candidate) {
	w.mu.Lock()
	defer w.unlock()
	for key, known := range w.index.byNamespace[pod.Namespace] {
		if known.active() {
			candidates = append(candidates, candidate{key, known.name, known.selector})
		}
	}
	return candidates
}

// claimOrphan has a daemon adopt a pod, unless either changed meanwhile or another one is to.
func (w *world) claimOrphan(key DaemonKey, pod *seenPod) {
	w.mu.Lock()
	defer w.unlock()
	_, taken := w.claims.cellOf[pod.UID]
	if taken || w.claims.orphans[pod.Namespace][pod.UID] != pod || !w.daemons[key].active() {
		return
	}
	cell := key.on(pod.orphanOn)
	w.claims.add(cell, claim{pod: pod, adopt: true})
	w.changed(cell)
}

// claimAll looks for what a daemon that is new here has to adopt and to release.
func (w *world) claimAll(key DaemonKey, known *workload) {
	w.mu.Lock()
	selector, orphans := known.selector, slices.Collect(maps.Values(w.claims.orphans[key.Namespace]))
	w.unlock()
	var pods []*seenPod
	w.eachPod(key, known, func(pod *seenPod) { pods = append(pods, pod) })
	for _, pod := range orphans {
		if matches(selector, pod.labels()) {
			w.claimOrphan(key, pod)
		}
	}
	for _, pod := range pods {
		if !pod.manyLabels && !selector.Matches(pod.labels()) {
			w.placeAgain(pod)
		}
	}
}

// placeAgain places a pod that is as it was.
func (w *world) placeAgain(pod *seenPod) {
	w.mu.Lock()
	defer w.unlock()
	if w.pods[pod.UID] == pod {
		w.place(pod)
	}
}

// releaseClaims gives up what was due of a daemon that is gone. Its orphans may be another one's; what it
// did not release is still its own.
func (w *world) releaseClaims(key DaemonKey) {
	for {
		pods := w.someClaimed(key)
		if len(pods) == 0 {
			return
		}
		for _, pod := range pods {
			w.podIs(pod)
		}
	}
}

// someClaimed are pods that a daemon has to adopt or to release, those of a batch of cells.
func (w *world) someClaimed(key DaemonKey) (pods []*seenPod) {
	w.mu.Lock()
	defer w.unlock()
	cells := 0
	for cell := range w.claims.cells[key] {
		for _, due := range w.claims.byCell[cell] {
			pods = append(pods, due.pod)
		}
		if cells++; cells == batch {
			break
		}
	}
	return pods
}

// matches says whether a daemon's selector picks a pod. An empty one, which validation does not let in,
// would pick everybody's (k/k#23223).
func matches(selector labels.Selector, of labels.Labels) bool {
	return !selector.Empty() && selector.Matches(of)
}

// noLongerSelected says whether a daemon has to let one of its pods go.
func (w *workload) noLongerSelected(pod *seenPod) bool {
	return w.active() && !pod.manyLabels && !pod.observed.Terminating && !w.selector.Matches(pod.labels())
}

// claim adopts or releases a pod, when both it and the daemon are still as they were seen: the
// daemon is asked for anew, so that none that is being deleted takes pods that it would then
// take along.
func (a *actor) claim(ctx context.Context, owner *v1alpha1.DaemonSet, due claim) error {
	if !due.adopt && !due.pod.observed.Bound {
		return a.deleteUnbound(ctx, owner, due.pod)
	}
	did, why, references := "released", "the selector does not match its labels", any([]map[string]any{{"$patch": "delete", "uid": owner.UID}})
	if due.adopt {
		if there, err := stillThere(ctx, a.reader, owner); err != nil || !there {
			return err
		}
		did, why, references = "adopted", "it has no controller and the selector matches its labels", []metav1.OwnerReference{*metav1.NewControllerRef(owner, owner.GVK())}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": due.pod.UID, "ownerReferences": references}})
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: due.pod.Namespace, Name: due.pod.Name}}
	err = a.client.Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, patch))
	switch {
	case err == nil:
		a.tellClaimed(owner, due.pod, did, why)
		return nil
	case answers.Of(answers.Change, err).Concerns == answers.Nothing:
		return nil // an event will tell
	}
	err = &answers.Failure{Reason: eventFailedClaim, Err: fmt.Errorf("changing the owner of pod %s: %w", due.pod.Name, err)}
	if !answers.NoAnswer(err) {
		a.tellNotClaimed(owner, due.pod, did, why, err)
	}
	return err
}

// deleteUnbound deletes a pod that is to be released and waits for its node: our scheduler serves no pod without a
// DaemonSet, so that it would wait indefinitely. One that is bound or labelled meanwhile is left alone.
func (a *actor) deleteUnbound(ctx context.Context, owner *v1alpha1.DaemonSet, pod *seenPod) error {
	_, err := a.delete(ctx, pod.cell, owner, daemon.Action{
		Op: daemon.Delete, Pod: *pod.observed, IfUnchanged: true,
		Message: "the selector does not match its labels, and without its DaemonSet it would not be scheduled",
	})
	return err
}
