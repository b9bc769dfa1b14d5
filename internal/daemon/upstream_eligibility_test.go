package daemon

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The nodes of upstream's tests (k8s.io/kubernetes pkg/controller/daemon), and what a daemon may
// do there. Room and ports are not among the rules: a pod that does not fit waits for its node.
func TestWhichNodesTakeADaemon(t *testing.T) {
	type may int
	const (
		none  may = iota
		stay      // a pod that is there goes on, and none is made
		start     // a pod is made, and goes on
	)
	blue := map[string]string{"color": "blue"}
	dedicated := func(effect corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: "dedicated", Value: "user1", Effect: effect}
	}
	tolerant := corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "dedicated", Value: "user1", Effect: corev1.TaintEffectNoSchedule}}}
	anyOf := func(terms ...corev1.NodeSelectorTerm) corev1.PodSpec {
		return corev1.PodSpec{Affinity: required(terms...)}
	}
	color := func(values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "color", Operator: corev1.NodeSelectorOpIn, Values: values}}}
	}
	named := func(name string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", name)}}
	}
	wanting := func(memory string) corev1.PodSpec {
		return corev1.PodSpec{Containers: []corev1.Container{{
			Ports:     []corev1.ContainerPort{{HostPort: 666}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}},
		}}}
	}
	is := func(kind corev1.NodeConditionType, status corev1.ConditionStatus) []corev1.NodeCondition {
		return []corev1.NodeCondition{{Type: kind, Status: status}}
	}
	taint := func(key string, effect corev1.TaintEffect) []corev1.Taint {
		return []corev1.Taint{{Key: key, Effect: effect}}
	}
	pressures := append(append(taint(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule),
		taint(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule)...), taint(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule)...)

	tests := map[string]struct {
		spec          corev1.PodSpec
		labels        map[string]string
		taints        []corev1.Taint
		conditions    []corev1.NodeCondition
		unschedulable bool
		want          may
	}{
		"nothing is required":                          {want: start},
		"its name is required":                         {spec: corev1.PodSpec{NodeName: "n1"}, want: start},
		"another name is required":                     {spec: corev1.PodSpec{NodeName: "n10"}, want: none},
		"its labels are required":                      {spec: corev1.PodSpec{NodeSelector: blue}, labels: blue, want: start},
		"other labels are required":                    {spec: corev1.PodSpec{NodeSelector: blue}, labels: map[string]string{"color": "red"}, want: none},
		"name and labels":                              {spec: corev1.PodSpec{NodeName: "n1", NodeSelector: blue}, labels: blue, want: start},
		"its name, and labels that it has not":         {spec: corev1.PodSpec{NodeName: "n1", NodeSelector: blue}, want: none},
		"its labels, and another name":                 {spec: corev1.PodSpec{NodeName: "n2", NodeSelector: blue}, labels: blue, want: none},
		"its labels, by affinity":                      {spec: anyOf(color("blue")), labels: blue, want: start},
		"other labels, by affinity":                    {spec: anyOf(color("red")), labels: blue, want: none},
		"one of two terms: its name":                   {spec: anyOf(color("red"), named("n1")), labels: blue, want: start},
		"one of two terms: its labels":                 {spec: anyOf(color("blue"), named("n2")), labels: blue, want: start},
		"neither of two terms":                         {spec: anyOf(color("red"), named("n2")), labels: blue, want: none},
		"less room than requested":                     {spec: wanting("200M"), want: start},
		"NoSchedule":                                   {taints: []corev1.Taint{dedicated(corev1.TaintEffectNoSchedule)}, want: stay},
		"NoSchedule, tolerated":                        {spec: tolerant, taints: []corev1.Taint{dedicated(corev1.TaintEffectNoSchedule)}, want: start},
		"NoExecute":                                    {taints: []corev1.Taint{dedicated(corev1.TaintEffectNoExecute)}, want: none},
		"NoExecute, and NoSchedule alone is tolerated": {spec: tolerant, taints: []corev1.Taint{dedicated(corev1.TaintEffectNoExecute)}, want: none},
		"PreferNoSchedule":                             {taints: []corev1.Taint{dedicated(corev1.TaintEffectPreferNoSchedule)}, want: start},
		"a toleration without a taint":                 {spec: tolerant, want: start},
		"not ready, by condition":                      {conditions: is(corev1.NodeReady, corev1.ConditionFalse), want: start},
		"not ready, by taint":                          {taints: taint(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute), conditions: is(corev1.NodeReady, corev1.ConditionFalse), want: start},
		"unreachable":                                  {taints: taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute), conditions: is(corev1.NodeReady, corev1.ConditionUnknown), want: start},
		"disk, memory and PID pressure":                {taints: pressures, want: start},
		"cordoned":                                     {taints: taint(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule), unschedulable: true, want: start},
		"cordoned, and not tainted yet":                {unschedulable: true, want: start},
		"no network, by condition":                     {conditions: is(corev1.NodeNetworkUnavailable, corev1.ConditionTrue), want: start},
		"no network":                                   {taints: taint(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule), want: stay},
		"no network, for a daemon on the node's own":   {spec: corev1.PodSpec{HostNetwork: true}, taints: taint(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule), want: start},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: test.labels},
				Spec:       corev1.NodeSpec{Taints: test.taints, Unschedulable: test.unschedulable},
				Status: corev1.NodeStatus{
					Conditions:  test.conditions,
					Allocatable: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("100M")},
				},
			}
			got := NewRules(&corev1.PodTemplateSpec{Spec: test.spec}).Evaluate(node)
			if got.ShouldRun != (test.want == start) || got.ShouldContinue != (test.want != none) {
				t.Errorf("run %v, continue %v (%s)", got.ShouldRun, got.ShouldContinue, got.Message)
			}
		})
	}
}
