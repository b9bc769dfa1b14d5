package checker

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

func TestSameEnd(t *testing.T) {
	direct := func(s *script) {
		set := s.daemon("d", image("image:2"))
		s.run(set, s.node("n1"), "p1")
	}
	tests := map[string]struct {
		other func(*script)
		want  bool
	}{
		"the same": {direct, true},
		"by a detour": {func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			p := s.run(set, node, "old")
			s.edit(set, image("image:2"))
			s.drop(p)
			s.remove(p)
			s.run(set, node, "new")
		}, true},
		"a pod has another template": {func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "old")
			s.edit(set, image("image:2"))
		}, false},
		"a pod is missing": {func(s *script) {
			s.daemon("d", image("image:2"))
			s.node("n1")
		}, false},
		"a pod is not available": {func(s *script) {
			s.bind(s.create(s.daemon("d", image("image:2")), s.node("n1"), "p1"), "n1")
		}, false},
		"another status": {func(s *script) {
			set := s.daemon("d", image("image:2"), func(set *v1alpha1.DaemonSet) { set.Status.NumberReady = 7 })
			s.run(set, s.node("n1"), "p1")
		}, false},
		"another spec": {func(s *script) {
			s.run(s.daemon("d", image("image:2"), limits(2, 0)), s.node("n1"), "p1")
		}, false},
		"another node": {func(s *script) {
			s.run(s.daemon("d", image("image:2")), s.node("n1", func(node *corev1.Node) { node.Labels = map[string]string{"a": "b"} }), "p1")
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := newScript(), newScript()
			direct(a)
			test.other(b)
			if found := SameEnd(a.h, b.h); (len(found) == 0) != test.want {
				t.Errorf("same: %v, want %v: %v", len(found) == 0, test.want, found)
			}
		})
	}
}
