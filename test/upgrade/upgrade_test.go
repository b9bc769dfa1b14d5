package upgrade

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// formerEnv names the output folder of hack/build-former.sh.
const formerEnv = "EVERYNODE_FORMER"

const nodes = 3

// member is a DaemonSet that exists during every move.
type member struct {
	*labtest.Workload
	strategy v1alpha1.DaemonSetUpdateStrategy
	rolls    int // templates that it had
}

// fleet is a cluster with members of both kinds, an observer, and the state before the last move.
type fleet struct {
	*labtest.Cluster
	observer *labtest.Witness
	members  []*member
}

// Everynode moves to this commit, back, and to this commit again. No move deletes, creates or restarts a pod or
// loses a ControllerRevision, and after each one a deleted pod is replaced and a template is rolled out.
func TestUpgrade(t *testing.T) {
	dir := os.Getenv(formerEnv)
	if dir == "" {
		t.Skipf("%s is not set: run make test-upgrade, which builds the programs of an earlier commit", formerEnv)
	}
	former, err := lab.ReadRelease(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{Cluster: labtest.Start(t, lab.Options{Nodes: nodes, Workloads: lab.WorkloadsBoth, Release: former})}
	f.observer = f.Watch()
	f.makeMembers()
	for _, move := range []struct {
		name string
		to   *lab.Release
	}{{"to this commit", lab.Present()}, {"back to the earlier commit", former}, {"to this commit again", lab.Present()}} {
		if !t.Run(move.name, func(t *testing.T) {
			step := &fleet{f.With(t), f.observer, f.members}
			step.move(move.to)
			step.works()
		}) {
			break
		}
	}
	f.Verdict(f.observer, nodes*len(f.members))
}

// makeMembers creates the fleet: every strategy for both kinds, each with a history of three templates. The one
// with OnDelete has pods of two of them.
func (f *fleet) makeMembers() {
	for _, kind := range []schema.GroupVersionKind{labtest.Everynode, labtest.Apps} {
		for name, strategy := range map[string]v1alpha1.DaemonSetUpdateStrategy{
			"rolling":   rolling(intstr.FromInt32(2), intstr.FromInt32(0)),
			"surge":     rolling(intstr.FromInt32(0), intstr.FromInt32(1)),
			"on-delete": {Type: appsv1.OnDeleteDaemonSetStrategyType},
		} {
			m := &member{strategy: strategy}
			// The templates are rolled out with RollingUpdate; the strategy changes last.
			m.Workload = f.MakeWorkload(kind, labtest.DaemonSet(fmt.Sprintf("%s-%s", name, kindName(kind)), func(set *v1alpha1.DaemonSet) {
				set.Spec.UpdateStrategy = rolling(intstr.FromString("100%"), intstr.FromInt32(0))
			}))
			f.complete(m)
			for range 2 {
				f.roll(m)
			}
			f.ChangeWorkload(m.Workload, func(set *v1alpha1.DaemonSet) { set.Spec.UpdateStrategy = strategy })
			f.complete(m)
			f.members = append(f.members, m)
		}
	}
	for _, m := range f.members {
		if m.onDelete() {
			f.ChangeWorkload(m.Workload, m.nextTemplate)
			f.replaceOne(m)
		}
	}
	f.settle()
}

func kindName(kind schema.GroupVersionKind) string {
	if kind == labtest.Apps {
		return "apps"
	}
	return "everynode"
}

func rolling(maxUnavailable, maxSurge intstr.IntOrString) v1alpha1.DaemonSetUpdateStrategy {
	return v1alpha1.DaemonSetUpdateStrategy{
		Type:          appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &maxUnavailable, MaxSurge: &maxSurge},
	}
}

func (m *member) onDelete() bool { return m.strategy.Type == appsv1.OnDeleteDaemonSetStrategyType }

func (m *member) nextTemplate(set *v1alpha1.DaemonSet) {
	m.rolls++
	set.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("example.com/%s:%d", m.Name, m.rolls)
}

// complete waits until every node has an available pod of the current template; with OnDelete, of any.
func (f *fleet) complete(m *member) {
	f.T.Helper()
	f.WaitForWorkload(m.Workload, "a complete rollout", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.NumberAvailable == nodes && (m.onDelete() || status.UpdatedNumberScheduled == nodes)
	})
}

func (f *fleet) roll(m *member) {
	f.T.Helper()
	f.ChangeWorkload(m.Workload, m.nextTemplate)
	f.complete(m)
}

// replaceOne deletes the pod of one node and waits for its successor.
func (f *fleet) replaceOne(m *member) {
	f.T.Helper()
	pod := f.WaitForPods(m.Workload, labtest.NodeNames(nodes)...)[lab.NodeName(0)]
	f.Must(f.Delete(f.T.Context(), &pod))
	f.Eventually("the pod of "+m.Name+" is replaced", func(ctx context.Context) (string, error) {
		pods, err := f.PodsOf(ctx, m.Workload)
		for i := range pods {
			if pods[i].UID == pod.UID {
				return "it still exists", err
			}
		}
		return "", err
	})
	f.WaitForPods(m.Workload, labtest.NodeNames(nodes)...)
}

// settle waits until the controller is idle.
func (f *fleet) settle() {
	f.T.Helper()
	f.WaitForIdle(f.Component(lab.Controller))
}

// move replaces Everynode, makes the controller plan every DaemonSet, and compares the state with that before.
func (f *fleet) move(to *lab.Release) {
	f.settle()
	before, mark := f.everything(), f.Mark(f.observer)
	defer func() { f.unchanged(before, mark) }() // even if the test fails later
	f.Must(f.Move(f.T.Context(), to))
	f.settle()
	for i, m := range f.members { // every cell is planned when its DaemonSet changes
		seconds := int32(i%2 + 1) // a change that rolls out nothing
		if m.Spec.MinReadySeconds == seconds {
			seconds = 0
		}
		f.ChangeWorkload(m.Workload, func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = seconds })
	}
	for _, m := range f.members {
		f.complete(m)
	}
	f.settle()
}

// unchanged verifies that the state is that before the move, and that the observer saw no changes.
func (f *fleet) unchanged(before map[string]state, mark int) {
	if deeds := f.Since(f.observer, mark); len(deeds) > 0 {
		f.T.Errorf("pods were created or deleted: %+v", deeds)
	}
	if diff := cmp.Diff(before, f.everything()); diff != "" {
		f.T.Errorf("the state changed (-before, +after):\n%s", diff)
	}
}

// state is the state that a move must not change.
type state struct {
	Pods      map[types.UID]podState
	Revisions map[types.UID]int64
}

type podState struct {
	Name, Revision string
	Restarts       int32
}

func (f *fleet) everything() map[string]state {
	f.T.Helper()
	all := map[string]state{}
	for _, m := range f.members {
		of := state{map[types.UID]podState{}, map[types.UID]int64{}}
		pods, err := f.PodsOf(f.T.Context(), m.Workload)
		f.Must(err)
		for i := range pods {
			of.Pods[pods[i].UID] = observed(&pods[i])
		}
		revisions, err := f.RevisionsOf(f.T.Context(), m.Workload)
		f.Must(err)
		for i := range revisions {
			of.Revisions[revisions[i].UID] = revisions[i].Revision
		}
		if len(of.Pods) != nodes || len(of.Revisions) < 3 {
			f.T.Fatalf("%s has %d pods and %d revisions, want %d and at least 3", m.Name, len(of.Pods), len(of.Revisions), nodes)
		}
		all[m.Name] = of
	}
	return all
}

func observed(pod *corev1.Pod) podState {
	now := podState{Name: pod.Name, Revision: pod.Labels[appsv1.ControllerRevisionHashLabelKey]}
	for _, container := range pod.Status.ContainerStatuses {
		now.Restarts += container.RestartCount
	}
	return now
}

// works verifies that the current release maintains the fleet, and makes no other changes.
func (f *fleet) works() {
	mark := f.Mark(f.observer)
	want := 0
	for _, m := range f.members {
		f.replaceOne(m)
		want += 2
		if !m.onDelete() {
			f.roll(m)
			want += 2 * nodes
		}
	}
	f.settle()
	if deeds := f.Since(f.observer, mark); len(deeds) != want {
		f.T.Errorf("%d pods were created or deleted, want %d: %+v", len(deeds), want, deeds)
	}
	// A restored template is recognized by its record, whichever release created that.
	for _, m := range f.members {
		if m.onDelete() {
			continue
		}
		before, err := f.RevisionsOf(f.T.Context(), m.Workload)
		f.Must(err)
		image := m.Spec.Template.Spec.Containers[0].Image
		f.roll(m)
		f.ChangeWorkload(m.Workload, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = image })
		f.complete(m)
		f.settle()
		after, err := f.RevisionsOf(f.T.Context(), m.Workload)
		f.Must(err)
		if last := after[len(after)-1]; last.UID != before[len(before)-1].UID {
			f.T.Errorf("%s: the restored template has record %s, want %s", m.Name, client.ObjectKeyFromObject(&last), before[len(before)-1].Name)
		}
	}
}
