package daemon

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/bounded"
	"github.com/everynode/everynode/test/race"
)

// fuzzBudget is how long one input may take: those of the corpora take microseconds.
var fuzzBudget = race.Limit(2 * time.Second)

// inTime fails when something takes longer than the budget.
func inTime(t *testing.T, what func()) {
	t.Helper()
	begun := time.Now()
	what()
	if took := time.Since(begun); took > fuzzBudget {
		t.Errorf("it took %s, %s at most is expected", took, fuzzBudget)
	}
}

// The node that a pod's affinity pins it to, whoever wrote it, is the only one that upstream's matcher allows; and a rewrite changes nothing for
// the requested node and allows no other.
func FuzzTarget(f *testing.F) {
	f.Fuzz(func(t *testing.T, affinity []byte, node string) {
		var spec corev1.PodSpec
		if bounded.Unmarshal(affinity, &spec.Affinity) != nil || node == "" {
			return
		}
		inTime(t, func() { checkTarget(t, &spec, node) })
	})
}

func checkTarget(t *testing.T, spec *corev1.PodSpec, node string) {
	t.Helper()
	names := append(namedNodes(spec), node, node+"x")
	if pinned, ok := PinnedNode(spec); ok {
		for _, name := range names {
			if name != pinned && allows(spec, name) {
				t.Fatalf("the pod is pinned to %q and may run on %q", pinned, name)
			}
		}
	}
	pod := &corev1.Pod{Spec: *spec.DeepCopy()}
	pod.Spec.NodeName = node
	if _, err := Rewrite(pod, v1alpha1.PlacedByWebhook); err != nil {
		if pod.Spec.NodeName != node || pod.Annotations != nil {
			t.Fatalf("refused by %v, and changed: %+v", err, pod)
		}
		return
	}
	if target, ok := Target(pod); ok && target != node {
		t.Fatalf("the target is %q, %q was requested", target, node)
	}
	for _, name := range names {
		if want := name == node && allows(spec, name); allows(&pod.Spec, name) != want {
			t.Fatalf("rewritten for %q, the pod may run on %q: %v, want %v", node, name, !want, want)
		}
	}
}

// namedNodes are the nodes that an affinity names.
func namedNodes(spec *corev1.PodSpec) (names []string) {
	for _, term := range requiredTerms(spec) {
		for _, field := range term.MatchFields {
			names = append(names, field.Values...)
		}
	}
	return names[:min(len(names), 20)]
}

func allows(spec *corev1.PodSpec, node string) bool {
	match, _ := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: *spec}).Match(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
	return match
}

// The name of a pod of a valid DaemonSet and node is valid as a hostname too, and it is another one for another daemon, node or predecessor. For
// any other names it is no longer than a hostname may be.
func FuzzPodName(f *testing.F) {
	f.Fuzz(func(t *testing.T, uid, daemon, node, after string) {
		name := nameOf(uid, daemon, node, after, false)
		if len(name) > validation.DNS1123LabelMaxLength {
			t.Fatalf("%q is %d bytes long", name, len(name))
		}
		if len(validation.IsDNS1123Subdomain(daemon)) > 0 || len(validation.IsDNS1123Subdomain(node)) > 0 || strings.Contains(uid+after, "/") {
			return
		}
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			t.Fatalf("%q: %v", name, problems)
		}
		for what, other := range map[string]string{
			"another UID": nameOf(uid+"x", daemon, node, after, false), "another node": nameOf(uid, daemon, node+"x", after, false),
			"another predecessor": nameOf(uid, daemon, node, after+"x", false), "the spare name": nameOf(uid, daemon, node, after, true),
		} {
			if other == name {
				t.Fatalf("%s has the same name %q", what, name)
			}
		}
	})
}

// Whatever a ControllerRevision contains, it is read in time. One that is served as a template has, when it is written again, the same
// content for each kind, and the revision of its template is a label.
func FuzzRevision(f *testing.F) {
	identity := &Template{Kind: Everynode, Namespace: "ns", Name: "d"}
	f.Fuzz(func(t *testing.T, data []byte) {
		object := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "d-x"}, Data: runtime.RawExtension{Raw: data}}
		inTime(t, func() {
			contents := ContentsOf(data)
			template, err := TemplateFromRecord(identity, object)
			if err != nil {
				return
			}
			again, err := NewRevision(template, "d-x", 1, nil)
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			if now := ContentsOf(again.Data.Raw); contents.For(Everynode) != now.For(Everynode) {
				t.Fatalf("the content was %q and is %q\n%s\n%s", contents.For(Everynode), now.For(Everynode), data, again.Data.Raw)
			}
			revision, err := Revision(&template.Pod)
			if problems := validation.IsValidLabelValue(revision); err != nil || revision == "" || len(problems) > 0 {
				t.Fatalf("revision %q, %v, %v", revision, err, problems)
			}
			if same, err := Revision(canonical(&template.Pod)); err != nil || same != revision {
				t.Fatalf("the canonical form has revision %q, %v, the template %q", same, err, revision)
			}
		})
	})
}

// A quantity that is decoded and served is compared, added and written in time, and it is the same however it is written.
func FuzzQuantity(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var limits struct {
			Limits corev1.ResourceList `json:"limits"`
		}
		inTime(t, func() {
			if bounded.Unmarshal([]byte(`{"limits":{"cpu":`+string(raw)+`}}`), &limits) != nil {
				return
			}
			quantity := limits.Limits[corev1.ResourceCPU]
			if checkQuantity("", quantity) != nil {
				return
			}
			again, err := resource.ParseQuantity(quantity.String())
			if err != nil || again.Cmp(quantity) != 0 {
				t.Fatalf("%q is written as %q, which is %s, %v", text, quantity.String(), again.AsDec(), err)
			}
			if one, other := sameQuantity(quantity), sameQuantity(again); one.String() != other.String() {
				t.Fatalf("%q has the forms %q and %q", text, one.String(), other.String())
			}
			sum := quantity.DeepCopy()
			sum.Add(again)
			sum.Sub(again)
			if sum.Cmp(quantity) != 0 {
				t.Fatalf("%q plus and minus itself is %s", text, sum.String())
			}
		})
	})
}

// Whatever a DaemonSet contains that is decoded, the rules either do not serve it, with a reason, or create pods of it in time: pods that admission
// pins to their node, or that no node may run.
func FuzzWorkload(f *testing.F) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid-n1"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		var set v1alpha1.DaemonSet
		if bounded.Unmarshal(data, &set) != nil {
			return
		}
		inTime(t, func() {
			w := FromEverynode(&set)
			_, problem := Selector(w)
			if problem != nil {
				if problem.Reason == "" || problem.Message == "" {
					t.Fatalf("a problem without a reason or a message: %+v", problem)
				}
				UnservedStatus(w, *problem, time.Unix(0, 0))
				return
			}
			checkPods(t, w, node)
		})
	})
}

// checkPods creates and rewrites a pod of a daemon that is served.
func checkPods(t *testing.T, w *Workload, node *corev1.Node) {
	t.Helper()
	if CheckTemplate(w.Template) != nil || CheckQuantities(w.Template) != nil {
		return
	}
	id, err := Identify(w)
	if err != nil {
		t.Fatalf("the template has no revision: %v", err)
	}
	template := NewTemplate(w, id.Revision)
	NewRules(w.Template).Evaluate(node)
	pod := NewPod(template, node, template.PodName(node.Name, "", false))
	if _, err := Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		return // a contradiction, or too many terms
	}
	if target, ok := Target(pod); ok && target != node.Name {
		t.Fatalf("the pod for %s is pinned to %s", node.Name, target)
	}
	if pod.Spec.NodeName != "" || pod.Spec.SchedulerName != v1alpha1.SchedulerName || allows(&pod.Spec, "n2") {
		t.Fatalf("nodeName %q, scheduler %q, affinity %+v", pod.Spec.NodeName, pod.Spec.SchedulerName, pod.Spec.Affinity)
	}
}
