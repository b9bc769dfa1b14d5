package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	upstream "k8s.io/kubernetes/pkg/controller/daemon"
	daemonutil "k8s.io/kubernetes/pkg/controller/daemon/util"
	"pgregory.net/rapid"
)

func TestEvaluateReasons(t *testing.T) {
	taint := func(effect corev1.TaintEffect) []corev1.Taint {
		return []corev1.Taint{{Key: "dedicated", Value: "db", Effect: effect}}
	}
	tests := map[string]struct {
		spec        corev1.PodSpec
		node        corev1.Node
		want        Verdict
		wantMessage string // a part of it
	}{
		"eligible":      {want: Verdict{ShouldRun: true, ShouldContinue: true, Reason: ReasonEligible}},
		"another node":  {spec: corev1.PodSpec{NodeName: "n2"}, want: Verdict{Reason: ReasonOtherNode}, wantMessage: "names node n2"},
		"selector":      {spec: corev1.PodSpec{NodeSelector: map[string]string{"disk": "ssd"}}, want: Verdict{Reason: ReasonNodeSelector}, wantMessage: "nodeSelector"},
		"NoSchedule":    {node: corev1.Node{Spec: corev1.NodeSpec{Taints: taint(corev1.TaintEffectNoSchedule)}}, want: Verdict{ShouldContinue: true, Reason: ReasonNoScheduleTaint}, wantMessage: "dedicated=db:NoSchedule"},
		"NoExecute":     {node: corev1.Node{Spec: corev1.NodeSpec{Taints: taint(corev1.TaintEffectNoExecute)}}, want: Verdict{Reason: ReasonNoExecuteTaint}, wantMessage: "dedicated=db:NoExecute"},
		"unschedulable": {node: corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}}}, want: Verdict{ShouldRun: true, ShouldContinue: true, Reason: ReasonEligible}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.node.Name = "n1"
			got := NewRules(&corev1.PodTemplateSpec{Spec: test.spec}).Evaluate(&test.node)
			if !strings.Contains(got.Message, test.wantMessage) {
				t.Errorf("message %q, want it to contain %q", got.Message, test.wantMessage)
			}
			got.Message = ""
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("verdict (-want, +got):\n%s", diff)
			}
		})
	}
}

// Upstream's own predicate is the oracle.
func TestEvaluateAgreesWithUpstream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := drawNode(t)
		template := corev1.PodTemplateSpec{Spec: drawSpec(t)}
		ds := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template}}
		wantRun, wantContinue := upstream.NodeShouldRunDaemonPod(klog.Background(), node, ds)
		got := NewRules(&template).Evaluate(node)
		if got.ShouldRun != wantRun || got.ShouldContinue != wantContinue {
			t.Fatalf("Evaluate = run %v, continue %v (%s); upstream returns %v, %v\nnode: %+v\nspec: %+v",
				got.ShouldRun, got.ShouldContinue, got.Message, wantRun, wantContinue, node, template.Spec)
		}
	})
}

func TestAddTolerationsAgreesWithUpstream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := drawSpec(t)
		want := *got.DeepCopy()
		daemonutil.AddOrUpdateDaemonPodTolerations(&want)
		AddTolerations(&got)
		if diff := cmp.Diff(want.Tolerations, got.Tolerations); diff != "" {
			t.Fatalf("tolerations (-upstream, +got):\n%s", diff)
		}
	})
}

var (
	drawKey    = rapid.SampledFrom([]string{"zone", "disk", corev1.TaintNodeNotReady, corev1.TaintNodeUnschedulable, corev1.TaintNodeNetworkUnavailable})
	drawValue  = rapid.SampledFrom([]string{"", "a", "b", "3", "not valid!"})
	drawEffect = rapid.SampledFrom([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute})
)

func drawNode(t *rapid.T) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"),
		Labels: rapid.MapOfN(drawKey, drawValue, 0, 3).Draw(t, "labels"),
	}}
	node.Spec.Taints = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Taint {
		return corev1.Taint{Key: drawKey.Draw(t, "key"), Value: drawValue.Draw(t, "value"), Effect: drawEffect.Draw(t, "effect")}
	}), 0, 3).Draw(t, "taints")
	return node
}

func drawSpec(t *rapid.T) corev1.PodSpec {
	spec := corev1.PodSpec{
		NodeName:     rapid.SampledFrom([]string{"", "", "", "n1", "n2"}).Draw(t, "nodeName"),
		HostNetwork:  rapid.Bool().Draw(t, "hostNetwork"),
		NodeSelector: rapid.MapOfN(drawKey, drawValue, 0, 1).Draw(t, "nodeSelector"),
	}
	spec.Tolerations = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Toleration {
		toleration := corev1.Toleration{
			Key:      rapid.OneOf(rapid.Just(""), drawKey).Draw(t, "key"),
			Operator: rapid.SampledFrom([]corev1.TolerationOperator{"", corev1.TolerationOpEqual, corev1.TolerationOpExists}).Draw(t, "operator"),
			Effect:   rapid.OneOf(rapid.Just(corev1.TaintEffect("")), drawEffect).Draw(t, "effect"),
		}
		if toleration.Operator != corev1.TolerationOpExists {
			toleration.Value = drawValue.Draw(t, "value")
		}
		if rapid.Bool().Draw(t, "bounded") {
			seconds := rapid.Int64Range(0, 3).Draw(t, "seconds")
			toleration.TolerationSeconds = &seconds
		}
		return toleration
	}), 0, 4).Draw(t, "tolerations")
	if rapid.Bool().Draw(t, "withAffinity") {
		spec.Affinity = drawAffinity(t)
	}
	return spec
}

func drawAffinity(t *rapid.T) *corev1.Affinity {
	requirement := rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{
			Key:      drawKey.Draw(t, "key"),
			Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"}).Draw(t, "operator"),
			Values:   rapid.SliceOfN(drawValue, 0, 2).Draw(t, "values"),
		}
	})
	field := rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{
			Key:      metav1.ObjectNameField,
			Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn"}).Draw(t, "operator"),
			Values:   rapid.SliceOfN(rapid.SampledFrom([]string{"n1", "n2"}), 1, 2).Draw(t, "values"),
		}
	})
	terms := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{
			MatchExpressions: rapid.SliceOfN(requirement, 0, 2).Draw(t, "expressions"),
			MatchFields:      rapid.SliceOfN(field, 0, 2).Draw(t, "fields"),
		}
	}), 0, 3).Draw(t, "terms")
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}
}
