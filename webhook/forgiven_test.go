package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A wrong is an error of a spec that may have been stored without validation.
type wrong struct {
	set  []string // the path, as keys and indices
	to   string   // JSON
	want string   // the field that a refusal names
}

var container = []string{"spec", "template", "spec", "containers", "0"}

func at(path ...string) []string { return append(slices.Clone(container), path...) }

// wrongs has every kind of error that a decoder or upstream's rules can report.
func wrongs() map[string]wrong {
	many := "[" + strings.Repeat(`{"name":"A"},`, listLimit) + `{"name":"A"}]`
	return map[string]wrong{
		"an int-or-string beyond 32 bits":      {[]string{"spec", "updateStrategy"}, `{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":5000000000}}`, "spec.updateStrategy.rollingUpdate.maxUnavailable"},
		"a number beyond 32 bits":              {[]string{"spec", "revisionHistoryLimit"}, `5000000000`, "spec.revisionHistoryLimit"},
		"a fraction":                           {[]string{"spec", "minReadySeconds"}, `1.5`, "spec.minReadySeconds"},
		"a string for a number":                {[]string{"spec", "template", "spec", "terminationGracePeriodSeconds"}, `"30"`, "spec.template.spec.terminationGracePeriodSeconds"},
		"a number for a string":                {at("image"), `7`, "spec.template.spec.containers[0].image"},
		"a quantity that takes long":           {at("resources"), `{"limits":{"cpu":"1e-40000000"}}`, "spec.template.spec.containers[0].resources.limits[cpu]"},
		"a number that takes long":             {at("resources"), `{"limits":{"cpu":1e40000000}}`, "spec.template.spec.containers[0].resources.limits[cpu]"},
		"a quantity that is too long":          {at("resources"), `{"requests":{"memory":"1e99999999999999999999"}}`, "spec.template.spec.containers[0].resources.requests[memory]"},
		"a word for a quantity":                {at("resources"), `{"requests":{"memory":"much"}}`, "spec.template.spec.containers[0].resources.requests[memory]"},
		"a list for a map":                     {[]string{"spec", "template", "spec", "nodeSelector"}, `["a"]`, "spec.template.spec.nodeSelector"},
		"a string for a list":                  {[]string{"spec", "template", "spec", "tolerations"}, `"all"`, "spec.template.spec.tolerations"},
		"a list for the pod":                   {[]string{"spec", "template", "spec"}, `[]`, "spec.template.spec"},
		"a word for a date":                    {[]string{"spec", "template", "metadata", "creationTimestamp"}, `"yesterday"`, "spec.template.metadata.creationTimestamp"},
		"a list that is too long":              {at("env"), many, "spec.template.spec.containers[0].env"},
		"numbers that would become containers": {[]string{"spec", "template", "spec", "initContainers"}, "[" + strings.Repeat("0,", 100_000) + "0]", "spec.template.spec.initContainers"},
		"a pod that apps/v1 refuses":           {at("livenessProbe"), `{"tcpSocket":{"port":80},"periodSeconds":-1}`, "spec.template.spec.containers[0].livenessProbe.periodSeconds"},
		"a container without a name":           {at("name"), `""`, "spec.template.spec.containers[0].name"},
	}
}

// with returns a DaemonSet with JSON values at the given paths.
func with(t testing.TB, object any, wrongs ...wrong) any {
	t.Helper()
	var copied any
	if err := json.Unmarshal(encode(t, object), &copied); err != nil {
		t.Fatal(err)
	}
	for _, w := range wrongs {
		copied = put(copied, w.set, json.RawMessage(w.to))
	}
	return copied
}

func put(in any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	switch in := in.(type) {
	case map[string]any:
		in[path[0]] = put(in[path[0]], path[1:], value)
		return in
	case []any:
		var i int
		_, _ = fmt.Sscan(path[0], &i)
		in[i] = put(in[i], path[1:], value)
		return in
	}
	return put(map[string]any{}, path, value)
}

func annotated(set *v1alpha1.DaemonSet) { set.Annotations = map[string]string{"a": "b"} }

func finalized(set *v1alpha1.DaemonSet) { set.Finalizers = []string{"foregroundDeletion"} }

// Errors of a stored object prevent neither its correction nor its deletion.
func TestValidationForgivesWhatIsStored(t *testing.T) {
	for name, wrong := range wrongs() {
		other := wrongs()["a number beyond 32 bits"]
		if name == "a number beyond 32 bits" {
			other = wrongs()["a fraction"]
		}
		stored := encode(t, with(t, validSet(finalized), wrong))
		both := encode(t, with(t, validSet(), wrong, other))
		for operation, asked := range map[string]struct {
			*request
			refused string // the field; "" if the update has to pass
		}{
			"create":                        {createSet(stored), wrong.want},
			"introduce it":                  {updateSet(stored, encode(t, validSet())), wrong.want},
			"introduce another":             {updateSet(both, stored), other.want},
			"correct it":                    {updateSet(encode(t, validSet()), stored), ""},
			"correct one of two":            {updateSet(stored, both), ""},
			"correct the other of two":      {updateSet(encode(t, with(t, validSet(), other)), both), ""},
			"set an annotation":             {updateSet(encode(t, with(t, validSet(annotated), wrong)), stored), ""},
			"delete it, finalizers removed": {updateSet(encode(t, with(t, validSet(), wrong)), stored), ""},
			"change something else":         {updateSet(encode(t, with(t, validSet(func(set *v1alpha1.DaemonSet) { set.Spec.Template.Labels["b"] = "c" }), wrong)), stored), ""},
		} {
			t.Run(name+"/"+operation, func(t *testing.T) {
				response := validated(t, asked.request)
				switch {
				case asked.refused == "" && !response.Allowed:
					t.Errorf("refused: %s", response.Result.Message)
				case asked.refused != "":
					if diff := cmp.Diff([]string{asked.refused}, fields(response)); diff != "" {
						t.Errorf("allowed %v, fields (-want, +got):\n%s", response.Allowed, diff)
					}
				}
			})
		}
	}
}

// A list that gets shorter moves its errors to other indices, which is not an error.
func TestValidationForgivesByKind(t *testing.T) {
	named := func(images ...string) []byte {
		containers := make([]map[string]any, len(images))
		for i, image := range images {
			containers[i] = map[string]any{"name": fmt.Sprintf("c%d", i), "image": image, "resources": json.RawMessage(`{"limits":{"cpu":"1e400"}}`)}
		}
		return encode(t, with(t, validSet(), wrong{set: []string{"spec", "template", "spec", "containers"}, to: string(encode(t, containers))}))
	}
	tests := map[string]struct {
		set, old []byte
		want     []string
	}{
		"one of two is removed":    {named(""), named("a", ""), nil},
		"another one is added":     {named("", ""), named("a", ""), []string{"spec.template.spec.containers[0].image"}},
		"a third one is added too": {named("", "", ""), named("", ""), []string{"spec.template.spec.containers[2].resources.limits[cpu]"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := validated(t, updateSet(test.set, test.old))
			if diff := cmp.Diff(test.want, fields(response)); diff != "" || response.Allowed != (test.want == nil) {
				t.Errorf("allowed %v, fields (-want, +got):\n%s", response.Allowed, diff)
			}
		})
	}
}

// An unreadable old object excuses no errors, and blocks no update.
func TestValidationOfAnUnknownOldObject(t *testing.T) {
	for _, old := range []string{``, `7`, `null`, `[]`, `{}`, `{"spec":7}`} {
		if response := validated(t, updateSet(encode(t, validSet()), []byte(old))); !response.Allowed {
			t.Errorf("old object %q: refused: %+v", old, response.Result)
		}
		if response := validated(t, updateSet(encode(t, validSet(image(""))), []byte(old))); response.Allowed && old != `{"spec":7}` && old != `{}` {
			t.Errorf("old object %q: a mistake is allowed", old)
		}
	}
}
