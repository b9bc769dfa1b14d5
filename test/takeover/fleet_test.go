package takeover

import (
	"context"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/labtest"
)

// fleetNodes are the nodes of the fleet; no pod may start on closedNode.
var fleetNodes = []string{"fleet-1", "fleet-2", "fleet-3"}

const closedNode = "closed"

// member is one DaemonSet of the fleet, which is handed over in a particular state.
type member struct {
	*labtest.Workload
	mutate func(*v1alpha1.DaemonSet)
	// prepare brings it into that state, under either controller; nil if it has that state once it is created.
	prepare func(*trial, *member)
	// want is its status in that state, under either controller.
	want v1alpha1.DaemonSetStatus
	// images is the number of images that it had.
	images int
}

func newFleet() map[string]*member {
	one := int32(1)
	collided := counts(3, 3, 3)
	collided.CollisionCount = &one
	return map[string]*member{
		"plain":    {want: counts(3, 3, 3)},
		"surging":  {mutate: rolling("0", "1"), prepare: (*trial).roll, want: counts(3, 3, 3)},
		"historic": {mutate: rolling("100%", "0"), prepare: makeHistory, want: counts(3, 3, 3)},
		"collided": {mutate: rolling("100%", "0"), prepare: collide, want: collided},
		"manual": {
			mutate:  func(set *v1alpha1.DaemonSet) { set.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType },
			prepare: outdate, want: counts(1, 3, 3),
		},
		"halfway":         {mutate: rolling("1", "0"), prepare: rollHalfway, want: counts(1, 2, 2)},
		"halfway-surging": {mutate: rolling("0", "1"), prepare: rollHalfway, want: counts(0, 3, 3)},
		"patient":         {mutate: minReadySeconds(3600), want: counts(3, 3, 0)},
		"waiting":         {mutate: withoutRoom, want: counts(3, 0, 0)},
		"misplaced": {
			mutate: func(set *v1alpha1.DaemonSet) {
				set.Spec.Template.Spec.NodeSelector = map[string]string{"role": closedNode}
			},
			prepare: closeNode, want: v1alpha1.DaemonSetStatus{NumberMisscheduled: 1},
		},
	}
}

// counts returns a status on the fleet's nodes, each of which has a pod.
func counts(updated, ready, available int32) v1alpha1.DaemonSetStatus {
	return v1alpha1.DaemonSetStatus{
		DesiredNumberScheduled: 3, CurrentNumberScheduled: 3, UpdatedNumberScheduled: updated, NumberReady: ready,
		NumberAvailable: available, NumberUnavailable: 3 - available,
	}
}

func rolling(unavailable, surge string) func(*v1alpha1.DaemonSet) {
	maxUnavailable, maxSurge := intstr.Parse(unavailable), intstr.Parse(surge)
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy.RollingUpdate = &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &maxUnavailable, MaxSurge: &maxSurge}
	}
}

// withoutRoom makes pods wait indefinitely. The template also names nodes, so that a pod's
// target has to be distinguished from them.
func withoutRoom(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
	required := &corev1.NodeSelector{}
	for _, name := range fleetNodes {
		required.NodeSelectorTerms = append(required.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{
			Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{name},
		}}})
	}
	set.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
}

func minReadySeconds(seconds int32) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = seconds }
}

// onFleet restricts a daemon to the fleet's nodes.
func onFleet(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.NodeSelector = map[string]string{"role": "fleet"}
}

// makeFleet creates the nodes and the DaemonSets, which exist as long as the lab.
func (t *trial) makeFleet() {
	t.T.Helper()
	for _, name := range fleetNodes {
		t.addNode(name, "fleet")
	}
	t.addNode(closedNode, closedNode)
	t.Must(t.WaitForNodes(t.T.Context()))
	for name, m := range newFleet() {
		set := labtest.DaemonSet(name, onFleet)
		if m.mutate != nil {
			m.mutate(set)
		}
		m.Workload = t.MakeWorkload(labtest.Apps, set)
		t.fleet[name] = m
	}
	manifest, err := os.ReadFile("testdata/tricky.yaml")
	t.Must(err)
	_, _, err = t.Kubectl(t.T.Context(), string(manifest), "create", "--filename=-")
	t.Must(err)
	tricky := &labtest.Workload{Kind: labtest.Apps}
	tricky.Namespace, tricky.Name = labtest.Namespace, "tricky"
	t.Must(t.ReadWorkload(t.T.Context(), tricky))
	t.fleet["tricky"] = &member{Workload: tricky, want: counts(3, 3, 3)}
}

func (t *trial) addNode(name, role string) {
	t.T.Helper()
	_, err := t.AddNode(t.T.Context(), name, func(node *corev1.Node) { node.Labels["role"] = role })
	t.Must(err)
}

// prepareFleet brings every member into its state.
func prepareFleet(t *trial) {
	for name, m := range t.fleet {
		t.aside(name, func(t *trial) { t.prepare(m) })
	}
}

// halfwayAgain recreates the state of members with a rollout in progress before the next handover.
var halfwayAgain = map[string]func(*trial){
	"halfway":         func(t *trial) { t.prepare(t.fleet["halfway"]) },
	"halfway-surging": func(t *trial) { t.prepare(t.fleet["halfway-surging"]) },
}

func (t *trial) prepare(m *member) {
	t.T.Helper()
	if m.prepare != nil {
		m.prepare(t, m)
	}
	t.WaitForWorkload(m.Workload, "its state for the handover", func(status *v1alpha1.DaemonSetStatus) bool { return sameCounts(status, &m.want) })
}

// countsOf returns a status without conditions and the generation.
func countsOf(status *v1alpha1.DaemonSetStatus) v1alpha1.DaemonSetStatus {
	counted := *status
	counted.ObservedGeneration, counted.Conditions = 0, nil
	return counted
}

func sameCounts(a, b *v1alpha1.DaemonSetStatus) bool {
	return equality.Semantic.DeepEqual(countsOf(a), countsOf(b))
}

// nextImage sets an image that a member never had.
func (m *member) nextImage(set *v1alpha1.DaemonSet) {
	m.images++
	set.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("example.com/%s:%d", m.Name, m.images)
}

// roll makes a member replace its pods.
func (t *trial) roll(m *member) {
	t.T.Helper()
	t.ChangeWorkload(m.Workload, m.nextImage)
	t.waitForComplete(m.Workload)
}

// waitForComplete waits until all pods of a daemon have its template and are available.
func (t *trial) waitForComplete(w *labtest.Workload) {
	t.T.Helper()
	t.WaitForWorkload(w, "a complete rollout", func(status *v1alpha1.DaemonSetStatus) bool {
		want := counts(3, 3, 3)
		want.CollisionCount = status.CollisionCount
		return sameCounts(status, &want)
	})
}

// makeHistory ends with the first of three templates, whose record then has the highest number.
func makeHistory(t *trial, m *member) {
	t.waitForComplete(m.Workload)
	image := m.Spec.Template.Spec.Containers[0].Image
	t.roll(m)
	t.roll(m)
	t.ChangeWorkload(m.Workload, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = image })
	t.waitForComplete(m.Workload)
}

// collide ends with a template that was recorded before the name of another one collided: by the current collisionCount
// it would have another name. The name of the other one is determined first, because releases of Kubernetes differ in it.
func collide(t *trial, m *member) {
	t.waitForComplete(m.Workload)
	first, second := m.Spec.Template.Spec.Containers[0].Image, m.DeepCopy()
	m.nextImage(second)
	show := func(image string) {
		t.ChangeWorkload(m.Workload, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = image })
		t.waitForComplete(m.Workload)
	}
	show(second.Spec.Template.Spec.Containers[0].Image)
	records := t.records(m.Workload)
	taken := records[len(records)-1]
	show(first)
	t.Must(t.Delete(t.T.Context(), &taken))
	t.Must(t.Create(t.T.Context(), &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: taken.Namespace, Name: taken.Name},
		Data:       runtime.RawExtension{Raw: []byte(`{}`)},
	}))
	show(second.Spec.Template.Spec.Containers[0].Image)
	show(first)
}

// outdate leaves a member with pods of a former template on two nodes.
func outdate(t *trial, m *member) {
	t.waitForComplete(m.Workload)
	t.ChangeWorkload(m.Workload, m.nextImage)
	pod := t.WaitForPods(m.Workload, fleetNodes...)[fleetNodes[0]]
	t.Must(t.Delete(t.T.Context(), &pod))
}

// rollHalfway leaves a member in the middle of a rollout: the new pod of its first node is held.
func rollHalfway(t *trial, m *member) {
	t.waitForComplete(m.Workload)
	t.ChangeWorkload(m.Workload, func(set *v1alpha1.DaemonSet) { labtest.Gated(set); m.nextImage(set) })
	t.Eventually("the new pod of one node is held", func(ctx context.Context) (string, error) {
		held, err := t.held(ctx, m.Workload)
		return missingUnless(len(held) == 1, "%d are", len(held)), err
	})
}

// held returns the held pods of a daemon.
func (t *trial) held(ctx context.Context, w *labtest.Workload) (held []corev1.Pod, err error) {
	pods, err := t.PodsOf(ctx, w)
	for _, pod := range pods {
		if labtest.Held(&pod) {
			held = append(held, pod)
		}
	}
	return held, err
}

// closeNode leaves a member with a pod on a node where it could not start.
func closeNode(t *trial, m *member) {
	t.WaitForPods(m.Workload, closedNode)
	t.Must(t.TaintNode(t.T.Context(), closedNode, corev1.Taint{Key: closedNode, Effect: corev1.TaintEffectNoSchedule}))
	// The built-in controller syncs a daemon when it changes.
	t.ChangeWorkload(m.Workload, func(set *v1alpha1.DaemonSet) { metav1.SetMetaDataAnnotation(&set.ObjectMeta, "takeover", "look") })
}

func missingUnless(holds bool, format string, args ...any) string {
	if holds {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
