package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

func TestParseVerb(t *testing.T) {
	tests := map[string]struct {
		value string
		want  Verb
	}{
		"none":                    {"", Verb{}},
		"a revision":              {"abc", Verb{"abc", "abc", ""}},
		"a revision and its wave": {"abc/canary", Verb{"abc/canary", "abc", "canary"}},
		"no revision":             {"/canary", Verb{}},
		"an empty wave":           {"abc/", Verb{}},
		"too many parts":          {"abc/canary/Passed", Verb{}},
		"a long revision":         {strings.Repeat("a", 64), Verb{}},
		"a long wave":             {"a/" + strings.Repeat("a", 64), Verb{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set := &v1alpha1.DaemonSet{}
			set.Annotations = map[string]string{v1alpha1.PromoteAnnotation: test.value}
			if diff := cmp.Diff(test.want, FromEverynode(set).PromoteVerb()); diff != "" {
				t.Errorf("verb (-want, +got):\n%s", diff)
			}
		})
	}
	native := &appsv1.DaemonSet{}
	native.Annotations = map[string]string{v1alpha1.PromoteAnnotation: "abc"}
	if got := FromApps(native).PromoteVerb(); got != (Verb{}) {
		t.Errorf("a native DaemonSet has verb %+v", got)
	}
}

func TestCheckOutcome(t *testing.T) {
	for value, want := range map[string]Outcome{
		"abc/canary/Passed": Passed, "abc/canary/Failed": Failed, "abc/canary/passed": NoOutcome, "abc/canary/": NoOutcome, "": NoOutcome,
		"abd/canary/Passed": NoOutcome, "abc/half/Failed": NoOutcome, "abc/Passed": NoOutcome, "abc/canary/Passed/": NoOutcome,
	} {
		w := &Workload{Annotations: map[string]string{v1alpha1.CheckAnnotationPrefix + "smoke": value}}
		if got := w.CheckOutcome("smoke", "abc", "canary"); got != want {
			t.Errorf("%q is outcome %q, want %q", value, got, want)
		}
	}
}
