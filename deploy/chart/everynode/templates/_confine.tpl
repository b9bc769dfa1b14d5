{{/*
The head of a ValidatingAdmissionPolicy that confines an account: its name, the account, and as JSON lists the operations, the API groups and
the resources. variables and validations follow, then everynode.confine.binding with the same argument.
*/}}
{{- define "everynode.confine" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels: {{- include "everynode.labels" .account | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    matchPolicy: Equivalent
    namespaceSelector: {}
    objectSelector: {}
    resourceRules:
    - {apiGroups: {{ .groups }}, apiVersions: [{{ .version | default "v1" }}], operations: {{ .operations }}, resources: {{ .resources }}, scope: {{ .scope | default "Namespaced" }}}
  matchConditions:
  - name: by-{{ .account }}
    expression: request.userInfo.username == 'system:serviceaccount:everynode-system:{{ .account }}'
{{- end }}

{{- define "everynode.confine.binding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{- include "everynode.labels" .account | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end }}

{{/*
A variable: the metadata of the object before and after, without the fields that the API server manages and the listed fields (", 'labels'"). On
creation the old metadata is empty.
*/}}
{{- define "everynode.confine.metadata" -}}
- name: metadata
  expression: >-
    [oldObject, object].map(o, o == null ? {} : dyn(o).metadata.transformMap(key, value, !(key in
    ['name', 'generateName', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds',
    'generation', 'resourceVersion', 'managedFields', 'selfLink'{{ . }}]), value))
{{- end }}

{{/* A variable: the rest of the object before and after, without the listed fields ("'data'"). */}}
{{- define "everynode.confine.rest" -}}
- name: rest
  expression: "[oldObject, object].map(o, dyn(o).transformMap(key, value, !(key in ['metadata', {{ . }}]), value))"
{{- end }}

{{/* Whether an owner reference is that of a DaemonSet whose pods Everynode places, in CEL. */}}
{{- define "everynode.confine.daemon" -}}
owner.kind == 'DaemonSet' && (owner.apiVersion.startsWith('everynode.dev/') || owner.apiVersion.startsWith('apps/'))
{{- end }}

{{/*
Variables: the owner references of the object before and after, split into controllers and other owners. A reference that is a
controller's on either side counts as a controller's on both.
*/}}
{{- define "everynode.confine.owners" -}}
- name: owners
  expression: "[oldObject, object].map(o, o == null ? [] : o.metadata.?ownerReferences.orValue([]))"
- name: controllers
  expression: variables.owners.map(owners, owners.filter(owner, owner.?controller.orValue(false)))
- name: otherOwners
  expression: >-
    variables.owners.map(owners, owners.filter(owner, !variables.controllers.exists(controllers, controllers.exists(controller,
    controller.uid == owner.uid && controller.kind == owner.kind && controller.name == owner.name))))
{{- end }}

{{/* Events: a dict of the account, the names under which it reports (a list in CEL), and the lease it holds, with its namespace. */}}
{{- define "everynode.confine.events" -}}
variables:
{{ include "everynode.confine.metadata" "" }}
validations:
- expression: >-
    [oldObject, object].all(o, o == null ||
    [o.?reportingComponent.orValue(''), o.?source.?component.orValue('')].exists(by, by in {{ .reporters }}) &&
    [o.?reportingComponent.orValue(''), o.?source.?component.orValue('')].all(by, by == '' || by in {{ .reporters }}) ||
    o.involvedObject.?kind.orValue('') == 'Lease' && o.involvedObject.?namespace.orValue('') == '{{ .namespace }}' && o.involvedObject.?name.orValue('') == '{{ .lease }}')
  reason: Forbidden
  message: "{{ .account }} may only write events that it reports itself"
- expression: request.operation == 'CREATE' || variables.metadata[0] == variables.metadata[1]
  reason: Forbidden
  message: "{{ .account }} must not change the metadata of an event"
{{- end }}

{{/* Leases: a dict of the account, and the lease it holds, with its namespace. */}}
{{- define "everynode.confine.leases" -}}
variables:
{{ include "everynode.confine.metadata" "" }}
validations:
- expression: object.metadata.?name.orValue('') == '{{ .lease }}' && object.metadata.namespace == '{{ .namespace }}'
  reason: Forbidden
  message: "{{ .account }} may only write the lease {{ .namespace }}/{{ .lease }}"
- expression: variables.metadata[0] == variables.metadata[1]
  reason: Forbidden
  message: "{{ .account }} may only write the spec of its lease, not its metadata"
{{- end }}
