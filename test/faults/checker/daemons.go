package checker

import (
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// daemon is a DaemonSet.
type daemon struct {
	uid    types.UID
	key    types.NamespacedName
	kind   history.Resource
	object client.Object
	gone   bool
	specs  []*spec // all versions, the present one last
	cells  map[string]*cell
	surged bool // a version allowed it
	// nodesGone are the indices at which nodes vanished.
	nodesGone []int
}

// spec is a version of a DaemonSet's spec.
type spec struct {
	number, from int // its number for the oracle, and the index of the record since which it holds
	generation   int64
	template     *corev1.PodTemplateSpec
	className    string
	selector     *metav1.LabelSelector
	minReady     int32
	onDelete     bool
	suspended    bool
	rollout      *v1alpha1.Rollout // paused if the annotation says so
	unavailable  intstr.IntOrString
	inWaves      []intstr.IntOrString // the same while a wave is open
	surge        intstr.IntOrString
	upstream     *appsv1.DaemonSet
}

func (d *daemon) spec() *spec { return d.specs[len(d.specs)-1] }

// specOf reads the spec of either kind.
func specOf(object client.Object) *spec {
	switch set := object.(type) {
	case *v1alpha1.DaemonSet:
		of := newSpec(object, &set.Spec.Template, set.Spec.Selector, set.Spec.MinReadySeconds, set.Spec.UpdateStrategy.Type)
		if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
			of.limits(rolling.MaxUnavailable, rolling.MaxSurge)
		}
		if name := set.Spec.Template.Spec.RuntimeClassName; name != nil {
			of.className = *name
		}
		of.suspended, of.rollout = set.Spec.Suspend, rolloutOf(set)
		if set.Spec.Rollout != nil {
			for i := range set.Spec.Rollout.Waves {
				if limit := set.Spec.Rollout.Waves[i].MaxUnavailable; limit != nil {
					of.inWaves = append(of.inWaves, *limit)
				}
			}
		}
		return of
	case *appsv1.DaemonSet:
		of := newSpec(object, &set.Spec.Template, set.Spec.Selector, set.Spec.MinReadySeconds, set.Spec.UpdateStrategy.Type)
		if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
			of.limits(rolling.MaxUnavailable, rolling.MaxSurge)
		}
		return of
	}
	return nil
}

func newSpec(object client.Object, template *corev1.PodTemplateSpec, selector *metav1.LabelSelector, minReady int32, strategy appsv1.DaemonSetUpdateStrategyType) *spec {
	return &spec{
		generation: object.GetGeneration(), template: template, selector: selector, minReady: minReady,
		onDelete: strategy == appsv1.OnDeleteDaemonSetStrategyType, unavailable: intstr.FromInt32(1),
		upstream: &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: *template}},
	}
}

func (s *spec) limits(unavailable, surge *intstr.IntOrString) {
	if unavailable != nil {
		s.unavailable = *unavailable
	}
	if surge != nil {
		s.surge = *surge
	}
}

// allowed returns how many of a number of eligible nodes may be without an available pod, and how many may surge.
func (s *spec) allowed(desired int) (unavailable, surge int) {
	if s.onDelete {
		return 0, 0
	}
	unavailable, surge = scaled(s.unavailable, desired), scaled(s.surge, desired)
	if unavailable == 0 && surge == 0 {
		unavailable = 1 // as in apps/v1
	}
	for i := range s.inWaves { // which wave is open is not judged
		unavailable = max(unavailable, scaled(s.inWaves[i], desired))
	}
	return unavailable, surge
}

func scaled(value intstr.IntOrString, of int) int {
	number, err := intstr.GetScaledValueFromIntOrPercent(&value, of, true)
	if err != nil {
		return 0
	}
	return number
}

func (s *state) daemonChanged(kind history.Resource, object client.Object, gone bool) {
	d := s.daemons[object.GetUID()]
	if d == nil {
		d = &daemon{uid: object.GetUID(), key: client.ObjectKeyFromObject(object), kind: kind, cells: map[string]*cell{}}
		s.daemons[d.uid] = d
		for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
			s.cell(d, name)
		}
	}
	d.object, d.gone = object, gone
	next := specOf(object)
	if len(d.specs) > 0 && d.spec().same(next) {
		if gone {
			s.reconsider(d)
		}
		return
	}
	next.from, next.number = s.at, s.number()
	d.specs = append(d.specs, next)
	_, surge := next.allowed(100)
	d.surged = d.surged || surge > 0
	for _, c := range d.cells {
		c.cause(s.now)
	}
	s.reconsider(d)
}

// same reports whether two versions mean the same. Most changes of a DaemonSet are of its status.
func (s *spec) same(other *spec) bool {
	if !equality.Semantic.DeepEqual(s.rollout, other.rollout) { // an annotation may pause it
		return false
	}
	if s.generation != 0 && s.generation == other.generation {
		return true
	}
	return s.minReady == other.minReady && s.onDelete == other.onDelete && s.suspended == other.suspended && s.unavailable == other.unavailable && s.surge == other.surge &&
		equality.Semantic.DeepEqual(s.selector, other.selector) && equality.Semantic.DeepEqual(s.template, other.template)
}

// reconsider judges all nodes for a daemon again.
func (s *state) reconsider(d *daemon) {
	for _, c := range d.cells {
		s.touch(c, func() { c.judge(s) })
	}
}

// node is a node name: the node of that name that exists, or existed.
type node struct {
	name   string
	object *corev1.Node // nil if none exists
	number int
	// was are the former states, with the index of the record that ended each.
	was []formerNode
	// downs are the times in which one of that name was not Ready.
	downs []downtime
}

type formerNode struct {
	object *corev1.Node
	until  int
}

func (s *state) nodeChanged(object *corev1.Node, gone bool) {
	n := s.nodes[object.Name]
	if n == nil {
		n = &node{name: object.Name}
		s.nodes[n.name] = n
	}
	n.noteDown(object, gone, s.at)
	before := n.object
	if !gone && before != nil && before.UID == object.UID && sameForPods(before, object) {
		n.object = object
		return
	}
	if before != nil {
		n.was = append(n.was, formerNode{before, s.at})
	}
	n.number = s.number()
	for _, d := range s.daemons {
		c := s.cell(d, n.name)
		if gone {
			d.nodesGone = append(d.nodesGone, s.at)
		}
		c.cause(s.now)
	}
	s.touchNode(n, func() {
		if n.object = object; gone {
			n.object = nil
		}
	})
}

// touchNode changes a node, and judges it again for all daemons.
func (s *state) touchNode(n *node, change func()) {
	was := map[*cell]bool{}
	for _, d := range s.daemons {
		c := d.cells[n.name]
		was[c] = c.available(s.now)
		c.excuse(s)
	}
	change()
	for c, available := range was {
		c.judge(s)
		c.note(s, available, nil)
	}
}

func (s *state) classChanged(object client.Object, gone bool) {
	changed, ok := object.(*nodev1.RuntimeClass)
	if !ok {
		return
	}
	if gone {
		delete(s.classes, changed.Name)
	} else {
		next := &class{object: changed, number: s.number()}
		if former := s.classes[changed.Name]; former != nil {
			former.until, next.former = s.at, former
		}
		s.classes[changed.Name] = next
	}
	for _, d := range s.daemons {
		if d.spec().className != changed.Name {
			continue
		}
		for _, c := range d.cells {
			c.cause(s.now)
		}
		s.reconsider(d)
	}
}

// revision is a ControllerRevision.
type revision struct {
	object  *appsv1.ControllerRevision
	gone    bool
	at      int       // the index of the record at which it was stored
	changed int       // and of that at which it was changed last
	when    time.Time // of that change
}

func (s *state) recordChanged(object client.Object, gone bool) {
	if record, ok := object.(*appsv1.ControllerRevision); ok {
		now := &revision{record, gone, s.at, s.at, s.now}
		known := s.records[record.UID]
		if s.records[record.UID] = now; known == nil {
			return
		}
		now.at = known.at
		if d := s.daemons[ownerOf(record)]; d != nil && !gone {
			s.judgePassed(d, known, now)
		}
	}
}
