package webhook

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/everynode/everynode/api/v1alpha1"
)

// watching returns Others that have synced the objects.
func watching(t *testing.T, objects ...runtime.Object) *Others {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	others, err := newOthers(fake.NewSimpleDynamicClient(scheme, objects...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); others.Start(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	for _, informer := range others.informers {
		if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
			t.Fatal("the DaemonSets were not synced")
		}
	}
	return others
}

func labelled(labels map[string]string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Labels = labels }
}

func selecting(labels map[string]string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels} }
}

func called(namespace, name string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Namespace, set.Name = namespace, name }
}

func native(set *v1alpha1.DaemonSet) *appsv1.DaemonSet { return set.ToApps() }

func TestOverlapsAreWarnedOf(t *testing.T) {
	wide := map[string]string{"app": "agent", "part": "a"}
	tests := map[string]struct {
		there    []runtime.Object
		set, old *v1alpha1.DaemonSet
		want     []string
	}{
		"no others": {set: validSet()},
		"itself":    {there: []runtime.Object{validSet()}, set: validSet()},
		"a native one of the same labels": {
			there: []runtime.Object{native(validSet())}, set: validSet(),
			want: []string{"spec.selector: it matches the pods of DaemonSet.apps agent too"},
		},
		"one of everynode.dev whose pods have more labels": {
			there: []runtime.Object{validSet(called("ns", "other"), labelled(wide), selecting(map[string]string{"part": "a"}))}, set: validSet(),
			want: []string{"spec.selector: it matches the pods of DaemonSet.everynode.dev other too"},
		},
		"one whose selector is wider": {
			there: []runtime.Object{validSet(called("ns", "other"), labelled(map[string]string{"part": "a"}), selecting(map[string]string{"part": "a"}))},
			set:   validSet(labelled(wide)),
			want:  []string{"spec.template.metadata.labels: the selector of DaemonSet.everynode.dev other matches them too"},
		},
		"other labels":        {there: []runtime.Object{validSet(called("ns", "other"), labelled(map[string]string{"app": "b"}), selecting(map[string]string{"app": "b"}))}, set: validSet()},
		"another namespace":   {there: []runtime.Object{validSet(called("elsewhere", "other"))}, set: validSet()},
		"two, in their order": {there: []runtime.Object{validSet(called("ns", "c")), validSet(called("ns", "b"))}, set: validSet(), want: []string{"everynode.dev b", "everynode.dev c"}},
		"an update of what overlaps": {
			there: []runtime.Object{validSet(called("ns", "other")), validSet()}, set: validSet(image("new")), old: validSet(),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hook := &validator{others: watching(t, test.there...)}
			asked := createSet(encode(t, test.set))
			if test.old != nil {
				asked = updateSet(encode(t, test.set), encode(t, test.old))
			}
			response, _ := hook.answer(t.Context(), asked)
			if !response.Allowed {
				t.Fatalf("refused: %+v", response.Result)
			}
			checkWarnings(t, response.Warnings, test.want...)
		})
	}
}

// A kind that is not synced is not compared: a warning must not depend on the progress of a start.
func TestOthersNotSeenYet(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	others, err := newOthers(fake.NewSimpleDynamicClient(scheme, native(validSet())))
	if err != nil {
		t.Fatal(err)
	}
	response, _ := (&validator{others: others}).answer(t.Context(), createSet(encode(t, validSet())))
	if !response.Allowed || len(response.Warnings) > 0 {
		t.Errorf("allowed %v, warnings %q; want neither refusal nor warning", response.Allowed, response.Warnings)
	}
}

// Fields that others can write neither end the list nor are kept as a whole.
func TestOthersKeepLittle(t *testing.T) {
	many := map[string]string{}
	for i := range comparedLimit + 1 {
		many[fmt.Sprintf("k%d", i)] = "v"
	}
	strange := map[string]any{"labels": []any{"none"}}
	for name, metadata := range map[string]map[string]any{"labels that are not a map": strange, "many labels": {"labels": toAny(many)}} {
		kept, err := newOther(&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "everynode.dev/v1alpha1", "kind": "DaemonSet", "metadata": map[string]any{"namespace": "ns", "name": "n"},
			"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "agent"}}, "template": map[string]any{"metadata": metadata}},
		}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other := kept.(*other); len(other.labels) > 0 || other.selector.Matches(labels.Set{"app": "agent"}) {
			t.Errorf("%s: %d labels and selector %q are kept", name, len(other.labels), other.selector)
		}
	}
}

func toAny(labels map[string]string) map[string]any {
	values := map[string]any{}
	for key, value := range labels {
		values[key] = value
	}
	return values
}

// In a namespace of very many DaemonSets nothing is compared.
func TestOverlapsOfVeryManyAreNotLookedFor(t *testing.T) {
	wide := map[string]string{"app": "agent"}
	set := &v1alpha1.DaemonSet{}
	for _, change := range []func(*v1alpha1.DaemonSet){called("ns", "d"), selecting(wide), labelled(wide)} {
		change(set)
	}
	others := watching(t)
	for n := range comparedOthers + 1 {
		if n == comparedOthers && len(others.overlaps(set.ToApps())) != comparedOthers {
			t.Errorf("not all %d overlaps are warned of", comparedOthers)
		}
		one := &other{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint(n)}, selector: labels.SelectorFromSet(wide), labels: wide}
		if err := others.informers[0].GetIndexer().Add(one); err != nil {
			t.Fatal(err)
		}
	}
	if found := others.overlaps(set.ToApps()); len(found) > 0 {
		t.Errorf("%d warnings, want none", len(found))
	}
}
