{{/*
The rewrite of daemon.Rewrite (internal/daemon/pin.go) in CEL: the variables that the mutation and the refusal share.
*/}}
{{- define "everynode.policy.variables" -}}
- name: node
  expression: object.spec.nodeName
- name: owned
  expression: >-
    object.metadata.?ownerReferences.orValue([]).exists(owner,
    owner.?controller.orValue(false) && owner.kind == 'DaemonSet' &&
    (owner.apiVersion.startsWith('everynode.dev/') || owner.apiVersion.startsWith('apps/')))
# The required terms, which are ORed, and those of them that have requirements: a term without
# requirements matches no node, and a pin would make it match one.
- name: terms
  expression: >-
    object.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms
    .optMap(terms, terms == null ? [] : terms).orValue([])
- name: filled
  expression: >-
    variables.terms.filter(term,
    size(term.?matchExpressions.orValue([])) + size(term.?matchFields.orValue([])) > 0)
# The pins of each term with requirements to other nodes. If every such term has one, no
# scheduler can place the pod.
- name: elsewhere
  expression: >-
    variables.filled.map(term, term.?matchFields.orValue([]).filter(field,
    field.key == 'metadata.name' && field.operator == 'In' && size(field.?values.orValue([])) == 1 &&
    field.values[0] != variables.node))
- name: contradicts
  expression: size(variables.filled) > 0 && variables.elsewhere.all(pins, size(pins) > 0)
{{- end }}

{{/* Variables and mutations of the rewrite. */}}
{{- define "everynode.policy.mutations" -}}
variables:
{{ include "everynode.policy.variables" . }}
- name: requires
  expression: object.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.hasValue()
# The terms to pin: all that have requirements and do not begin with the pin, or the one that is
# created when there is no required affinity.
- name: unpinned
  expression: >-
    !variables.requires ? [0] : variables.terms.transformList(i, term,
    size(term.?matchExpressions.orValue([])) + size(term.?matchFields.orValue([])) > 0 &&
    !(term.?matchFields[?0].?key.orValue('') == 'metadata.name' &&
    term.matchFields[0].operator == 'In' && term.matchFields[0].?values.orValue([]) == [variables.node]), i)
- name: gates
  expression: object.spec.?schedulingGates.orValue([])
- name: others
  expression: variables.gates.filter(gate, gate.name != 'everynode.dev/placement')
- name: required
  expression: "'/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution'"
# The parents of required affinity that do not exist yet.
- name: missing
  expression: >-
    (object.spec.?affinity.hasValue() ? [] : ['/spec/affinity']) +
    (object.spec.?affinity.?nodeAffinity.hasValue() ? [] : ['/spec/affinity/nodeAffinity'])
# A pod that contradicts itself stays unchanged: a mutating policy cannot refuse it, the validating
# policy does. The operations are applied in this order.
mutations:
- patchType: JSONPatch
  jsonPatch:
    expression: >-
      variables.contradicts ? [] :
      [JSONPatch{op: "remove", path: "/spec/nodeName"}] +
      variables.missing.map(path, JSONPatch{op: "add", path: path, value: {}}) +
      (variables.requires ? [] :
      [JSONPatch{op: "add", path: variables.required, value: {"nodeSelectorTerms": [{"matchFields": []}]}}]) +
      variables.unpinned.filter(i, variables.requires && size(variables.terms[i].?matchFields.orValue([])) == 0).map(i,
      JSONPatch{op: "add", path: variables.required + "/nodeSelectorTerms/" + string(i) + "/matchFields", value: []}) +
      variables.unpinned.map(i,
      JSONPatch{op: "add", path: variables.required + "/nodeSelectorTerms/" + string(i) + "/matchFields/0",
      value: {"key": dyn("metadata.name"), "operator": dyn("In"), "values": dyn([variables.node])}}) +
      (size(variables.others) == size(variables.gates) ? [] :
      size(variables.others) == 0 ? [JSONPatch{op: "remove", path: "/spec/schedulingGates"}] :
      [JSONPatch{op: "replace", path: "/spec/schedulingGates", value: variables.others.map(gate, {"name": gate.name})}]) +
      (variables.owned ? [JSONPatch{op: "add", path: "/spec/schedulerName", value: "everynode-scheduler"}] : []) +
      [size(object.metadata.?annotations.orValue({})) == 0 ?
      JSONPatch{op: "add", path: "/metadata/annotations", value: {"everynode.dev/placed-by": "policy"}} :
      JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("everynode.dev/placed-by"), value: "policy"}]
{{- end }}
