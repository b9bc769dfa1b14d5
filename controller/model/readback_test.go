package model

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
)

// templatesOf returns the images of the templates that are kept for a daemon.
func templatesOf(s *state, set *v1alpha1.DaemonSet) (images []string) {
	for _, of := range s.daemons[keyOf(set)].templates {
		images = append(images, of.template.Pod.Spec.Containers[0].Image)
	}
	slices.Sort(images)
	return images
}

// versionsOf returns a daemon with each of these images, in the order of their generations.
func versionsOf(n int, change ...func(*v1alpha1.DaemonSet)) (versions []*v1alpha1.DaemonSet) {
	for i := range n {
		versions = append(versions, makeDaemon("d", append(change, generation(int64(i+1)), image(fmt.Sprintf("image:%d", i+1)))...))
	}
	return versions
}

// After a restart the templates of all revisions that pods have are known, from their records, whatever was observed first.
func TestTemplatesOfPodsAreReadBack(t *testing.T) {
	for name, kind := range map[string]func(*v1alpha1.DaemonSet){"everynode.dev": func(*v1alpha1.DaemonSet) {}, "apps": nativeKind} {
		versions := versionsOf(4, kind)
		last := versions[3]
		node := makeNode("n1")
		pods := []*corev1.Pod{ // none has image:3
			makePod(versions[0], node, bound("n1"), recorded(versions[0])), makePod(versions[1], node, bound("n1"), recorded(versions[1]), podUID("second")),
			makePod(last, node, bound("n1"), recorded(last), podUID("third")),
		}
		seen := map[string]func(*state){
			"records":   func(s *state) { seeRecords(s, versions...) },
			"pods":      func(s *state) { seePods(s, pods) },
			"DaemonSet": func(s *state) { seeUnrecorded(t, s, last) },
			"begin":     (*state).begin,
		}
		for _, first := range slices.Sorted(maps.Keys(seen)) {
			t.Run(name+", "+first+" last", func(t *testing.T) {
				s := newState((&clock{Time: t0}).Now, &fixture.Queues{})
				s.kinds = Kinds{Everynode: true, Apps: true}
				s.seeNode(node)
				for _, other := range slices.Sorted(maps.Keys(seen)) {
					if other != first {
						seen[other](s)
					}
				}
				seen[first](s)
				wantStrings(t, "templates", []string{"image:1", "image:2", "image:4"}, templatesOf(s, last))
			})
		}
	}
}

// recorded gives a pod the revision of a daemon's record, which differs between the kinds.
func recorded(set *v1alpha1.DaemonSet) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Labels[appsv1.ControllerRevisionHashLabelKey] = fixture.Record(set).Labels[appsv1.ControllerRevisionHashLabelKey]
	}
}

func seeRecords(s *state, versions ...*v1alpha1.DaemonSet) {
	for _, set := range versions {
		s.seeRevision(fixture.Record(set))
	}
}

func seePods(s *state, pods []*corev1.Pod) {
	for _, pod := range pods {
		s.observePod(s.kinds.ObservePod(pod))
	}
}

// A record is not read if it is not the daemon's, is about to go, or cannot be decoded; a template that is no longer needed
// is dropped with the next pass.
func TestTemplatesThatAreNotReadBack(t *testing.T) {
	versions := versionsOf(2)
	first, last := versions[0], versions[1]
	node := makeNode("n1")
	for name, change := range map[string]func(*appsv1.ControllerRevision){
		"another controller": func(record *appsv1.ControllerRevision) { record.OwnerReferences[0].UID = "other" },
		"no controller":      func(record *appsv1.ControllerRevision) { record.OwnerReferences = nil },
		"not selected":       func(record *appsv1.ControllerRevision) { record.Labels["app"] = "other" },
		"terminating":        func(record *appsv1.ControllerRevision) { record.DeletionTimestamp = &metav1.Time{Time: t0} },
		"no template": func(record *appsv1.ControllerRevision) {
			record.Data = runtime.RawExtension{Raw: []byte(`{"spec":{}}`)}
		},
		"no JSON": func(record *appsv1.ControllerRevision) { record.Data = runtime.RawExtension{Raw: []byte(`{"spec":`)} },
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newTestState()
			s.seeNode(node)
			s.seePod(makePod(first, node, bound("n1")))
			see(t, s, last)
			record := fixture.Record(first)
			change(record)
			s.seeRevision(record)
			wantStrings(t, "templates", []string{"image:2"}, templatesOf(s, last))
		})
	}
	t.Run("no pod is left", func(t *testing.T) {
		s, _, _ := newTestState()
		s.seeNode(node)
		pod := makePod(first, node, bound("n1"))
		s.seePod(pod)
		seeRecords(s, first)
		see(t, s, last)
		wantStrings(t, "templates", []string{"image:1", "image:2"}, templatesOf(s, last))
		s.forgetPod(pod)
		see(t, s, makeDaemon("d", generation(3), image("image:3")))
		wantStrings(t, "templates without a pod of image:1", []string{"image:3"}, templatesOf(s, last))
	})
}

// However many revisions its pods have, a daemon keeps few of their templates: those that were recorded last.
func TestFewTemplatesAreReadBack(t *testing.T) {
	versions := versionsOf(3 * mostHeld)
	last := versions[len(versions)-1]
	s, _, _ := newTestState()
	node := makeNode("n1")
	s.seeNode(node)
	for i, set := range versions {
		s.seePod(makePod(set, node, bound("n1"), podUID(types.UID(fmt.Sprint("pod-", i)))))
	}
	seeRecords(s, versions...)
	see(t, s, last)
	kept := templatesOf(s, last)
	if len(kept) != mostHeld || !slices.Contains(kept, fmt.Sprintf("image:%d", len(versions)-1)) {
		t.Errorf("%d templates are kept, want the last %d: %v", len(kept), mostHeld, kept)
	}
}
