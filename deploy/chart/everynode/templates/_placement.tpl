{{/* matchConditions of webhook and policies: the pods that placement applies to if they opt in. */}}
{{- define "everynode.placement.conditions" -}}
- name: names-a-node
  expression: has(object.spec.nodeName) && object.spec.nodeName != ""
- name: not-a-mirror-pod
  expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
- name: not-from-a-kubelet
  expression: "!has(request.userInfo.groups) || !('system:nodes' in request.userInfo.groups)"
{{- end }}

{{/* Excludes Everynode's own pods, which placement depends on. */}}
{{- define "everynode.placement.notOurs" -}}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [everynode-system]}
{{- end }}

{{/* Creations of pods. */}}
{{- define "everynode.placement.creations" -}}
- {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
{{- end }}
