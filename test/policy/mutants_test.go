package policy

import (
	"strings"
	"testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
)

// mutants are mistakes that the policies might contain: a text of the manifest, and its
// replacement.
var mutants = map[string]struct{ text, instead string }{
	"an additional term instead of a pin in each": {
		`string(i) + "/matchFields/0",` + "\n" + `        value: {"key": dyn("metadata.name"), "operator": dyn("In"), "values": dyn([variables.node])}}) +`,
		`"-",` + "\n" + `        value: {"matchFields": [{"key": dyn("metadata.name"), "operator": dyn("In"), "values": dyn([variables.node])}]}}) +`},
	"only the first term is pinned":                  {"!variables.requires ? [0] : variables.terms.transformList(", "!variables.requires || size(variables.terms) > 0 ? [0] : variables.terms.transformList("},
	"the pin comes last":                             {`"/matchFields/0"`, `"/matchFields/-"`},
	"a term is created where there are none":         {"!variables.requires ? [0]", "size(variables.terms) == 0 ? [0]"},
	"a term without requirements gets a pin":         {"size(term.?matchExpressions.orValue([])) + size(term.?matchFields.orValue([])) > 0 &&\n      !(", "!("},
	"any first field counts as the pin":              {"term.?matchFields[?0].?key.orValue('') == 'metadata.name' &&\n", "term.?matchFields[?0].hasValue() &&\n"},
	"NotIn counts as the pin":                        {"term.matchFields[0].operator == 'In' && ", ""},
	"the pin may hold another name":                  {"== [variables.node]), i)", "!= []), i)"},
	"pod affinity is lost":                           {"(object.spec.?affinity.hasValue() ? [] : ['/spec/affinity'])", "['/spec/affinity']"},
	"preferences are lost":                           {"(object.spec.?affinity.?nodeAffinity.hasValue() ? [] : ['/spec/affinity/nodeAffinity'])", "['/spec/affinity/nodeAffinity']"},
	"every gate is removed":                          {"variables.gates.filter(gate, gate.name != 'everynode.dev/placement')", "variables.gates.filter(gate, false)"},
	"no gate is removed":                             {"gate.name != 'everynode.dev/placement'", "true"},
	"gates of others are replaced":                   {`value: variables.others.map`, `value: variables.gates.map`},
	"every pod gets our scheduler":                   {"(variables.owned ? [JSONPatch", "(true ? [JSONPatch"},
	"daemons keep their scheduler":                   {"(variables.owned ? [JSONPatch", "(false ? [JSONPatch"},
	"annotations of others are lost":                 {"size(object.metadata.?annotations.orValue({})) == 0 ?", "true ?"},
	"the key of the annotation is a path":            {`jsonpatch.escapeKey("everynode.dev/placed-by")`, `"everynode.dev/placed-by"`},
	"the annotation placed-by is missing":            {`value: "policy"}]`, `value: "webhook"}]`},
	"a contradiction is placed":                      {"variables.contradicts ? [] :\n        [JSONPatch", "false ? [] :\n        [JSONPatch"},
	"one term that contradicts is enough":            {"variables.elsewhere.all(", "variables.elsewhere.exists("},
	"terms without requirements contradict":          {"size(variables.filled) > 0 && variables.elsewhere", "variables.elsewhere"},
	"a pin to two nodes contradicts":                 {"size(field.?values.orValue([])) == 1", "size(field.?values.orValue([])) >= 1"},
	"NotIn contradicts":                              {"field.operator == 'In' && ", ""},
	"fields of another key contradict":               {"field.key == 'metadata.name' && ", ""},
	"another node is named":                          {"variables.elsewhere[size(variables.elsewhere) - 1][0].values[0]", "variables.elsewhere[0][0].values[0]"},
	"no pod is refused":                              {`expression: "!variables.asks"`, `expression: "true"`},
	"pods of namespaces that opt in are not refused": {"||\n      namespaceObject.metadata.?labels[?'everynode.dev/placement'].orValue('') == 'scheduler'", ""},
	"pods that do not opt in are refused":            {`expression: "!variables.asks"`, `expression: "!variables.contradicts"`},
	"owners that are not controllers count":          {"owner.?controller.orValue(false) && ", ""},
	"owners of any kind count":                       {"owner.kind == 'DaemonSet' &&", ""},
	"any group that begins so counts":                {"'apps/'", "'apps'"},
	"native daemons do not count":                    {"|| owner.apiVersion.startsWith('apps/')", ""},
	"any value of the label opts in":                 {"object.metadata.?labels[?'everynode.dev/placement'].orValue('') == 'scheduler'", "object.metadata.?labels[?'everynode.dev/placement'].hasValue()"},
	"any value of a namespace's label opts in":       {"matchLabels: {everynode.dev/placement: scheduler}\n      matchExpressions:", "matchExpressions:\n      - {key: everynode.dev/placement, operator: Exists}"},
	"Everynode's own namespace":                      {"values: [everynode-system]", "values: [everynode]"},
	"mirror pods are placed":                         {"kubernetes.io/config.mirror", "kubernetes.io/config.hash"},
	"kubelets' pods are placed":                      {"'system:nodes' in", "'system:nobody' in"},
	"members of another group are kubelets":          {"'system:nodes' in", "'system:authenticated' in"},
}

// mutantTries is how many random pods may be needed to distinguish a mutant from the policies.
const mutantTries = 3000

// The random pods and the comparison detect each of these mistakes.
func TestMutantsAreFound(t *testing.T) {
	for name, mutant := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := string(deploy.Policy)
			if !strings.Contains(whole, mutant.text) {
				t.Fatalf("the manifest does not contain %q any more: update the mutant", mutant.text)
			}
			server := newAPIServer(t, []byte(strings.ReplaceAll(whole, mutant.text, mutant.instead)), namespaces...)
			for seed := range mutantTries {
				if agree(t.Context(), v1alpha1.PlacedByPolicy, server, drawRequest.Example(seed)) != nil {
					return
				}
			}
			t.Errorf("%d random pods do not distinguish it from the policies", mutantTries)
		})
	}
}
