package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/apis/core"
	internalv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	upstream "k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/plugin/pkg/admission/runtimeclass"
	"pgregory.net/rapid"
)

func TestRuntimeClassJoinsTheRulesForStarting(t *testing.T) {
	node := func(labels map[string]string, taints ...corev1.Taint) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}}
	}
	taint := func(effect corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: "sandbox", Value: "yes", Effect: effect}
	}
	sandbox := map[string]string{"sandbox": "yes"}
	scheduling := &nodev1.Scheduling{NodeSelector: sandbox, Tolerations: []corev1.Toleration{{Key: "sandbox", Operator: corev1.TolerationOpExists}}}
	many := &nodev1.Scheduling{NodeSelector: sandbox, Tolerations: make([]corev1.Toleration, MaxRequirements)}
	type want struct {
		run, goOn bool
		reason    Reason
	}
	eligible := want{true, true, ReasonEligible}
	tests := map[string]struct {
		class      string
		selector   map[string]string // of the template
		scheduling *nodev1.Scheduling
		node       *corev1.Node
		want       want
	}{
		"a node of the class":                               {"sandboxed", nil, scheduling, node(sandbox), eligible},
		"its taint is tolerated":                            {"sandboxed", nil, scheduling, node(sandbox, taint(corev1.TaintEffectNoSchedule)), eligible},
		"its taint is tolerated, to the end":                {"sandboxed", nil, scheduling, node(sandbox, taint(corev1.TaintEffectNoExecute)), eligible},
		"another node":                                      {"sandboxed", nil, scheduling, node(nil), want{false, true, ReasonRuntimeClass}},
		"a class that is not there":                         {"sandboxed", nil, nil, node(nil), eligible},
		"a class without scheduling":                        {"sandboxed", nil, &nodev1.Scheduling{}, node(nil), eligible},
		"a class that disappeared from a node with a taint": {"sandboxed", nil, nil, node(sandbox, taint(corev1.TaintEffectNoExecute)), want{false, true, ReasonNoExecuteTaint}},
		"no class":                      {"", nil, nil, node(nil, taint(corev1.TaintEffectNoExecute)), want{false, false, ReasonNoExecuteTaint}},
		"a class that is not requested": {"", nil, scheduling, node(nil), eligible},
		"the template's own selector":   {"sandboxed", map[string]string{"disk": "ssd"}, scheduling, node(sandbox), want{false, false, ReasonNodeSelector}},
		"both select the node":          {"sandboxed", sandbox, scheduling, node(sandbox), eligible},
		"a conflict, which is refused":  {"sandboxed", map[string]string{"sandbox": "no"}, scheduling, node(map[string]string{"sandbox": "no"}), eligible},
		"more than is served":           {"sandboxed", nil, many, node(nil), eligible},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeSelector: test.selector}}
			if test.class != "" {
				template.Spec.RuntimeClassName = &test.class
			}
			got := NewRules(template).WithScheduling(template, test.scheduling).Evaluate(test.node)
			if diff := cmp.Diff(test.want, want{got.ShouldRun, got.ShouldContinue, got.Reason}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s (-want, +got):\n%s", got.Message, diff)
			}
		})
	}
}

// The plugin that merges scheduling into pods is the oracle, and upstream's predicate about the pod that it makes.
func TestRuntimeClassAgreesWithAdmission(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, spec, class := drawNode(t), drawSpec(t), "class"
		spec.NodeName, spec.RuntimeClassName = "", &class
		template := corev1.PodTemplateSpec{Spec: spec}
		scheduling := &nodev1.Scheduling{NodeSelector: rapid.MapOfN(drawKey, drawValue, 0, 2).Draw(t, "selector"), Tolerations: drawSpec(t).Tolerations}

		merged, err := admitted(t, template, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Handler: "runc", Scheduling: scheduling})
		if err != nil { // a conflict: nothing is merged, and the API server refuses the pods
			merged = template
		}
		want, _ := upstream.NodeShouldRunDaemonPod(klog.Background(), node, &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: merged}})
		got := NewRules(&template).WithScheduling(&template, scheduling).Evaluate(node)
		if got.ShouldRun != want {
			t.Fatalf("run %v (%s), want %v after %v\nnode: %+v\nspec: %+v\nscheduling: %+v", got.ShouldRun, got.Message, want, err, node, spec, scheduling)
		}
		if before := NewRules(&template).Evaluate(node); before.ShouldContinue && !got.ShouldContinue {
			t.Fatalf("the class ends a pod: %s\nnode: %+v\nspec: %+v\nscheduling: %+v", got.Message, node, spec, scheduling)
		}
	})
}

// admitted is a template as the plugin changes the pods that are made of it.
func admitted(t *rapid.T, template corev1.PodTemplateSpec, class *nodev1.RuntimeClass) (corev1.PodTemplateSpec, error) {
	objects := informers.NewSharedInformerFactory(nil, 0)
	if err := objects.Node().V1().RuntimeClasses().Informer().GetIndexer().Add(class); err != nil {
		t.Fatal(err)
	}
	plugin := runtimeclass.NewRuntimeClass()
	plugin.SetExternalKubeInformerFactory(objects)
	plugin.SetExternalKubeClientSet(fake.NewClientset())
	plugin.SetReadyFunc(func() bool { return true })
	var pod core.Pod
	if err := internalv1.Convert_v1_PodSpec_To_core_PodSpec(template.Spec.DeepCopy(), &pod.Spec, nil); err != nil {
		t.Fatal(err)
	}
	attributes := admission.NewAttributesRecord(&pod, nil, core.Kind("Pod").WithVersion("version"), "ns", "pod", core.Resource("pods").WithVersion("version"), "", admission.Create, runtime.Object(nil), false, nil)
	if err := plugin.Admit(t.Context(), attributes, nil); err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	merged := template
	if err := internalv1.Convert_core_PodSpec_To_v1_PodSpec(&pod.Spec, &merged.Spec, nil); err != nil {
		t.Fatal(err)
	}
	return merged, nil
}
