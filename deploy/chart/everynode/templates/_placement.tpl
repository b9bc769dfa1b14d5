{{/* Which of the pods that ask are placed at all, in CEL of the API server: matchConditions of webhook and policy. */}}
{{- define "everynode.placement.conditions" -}}
- name: names-a-node
  expression: has(object.spec.nodeName) && object.spec.nodeName != ""
- name: not-a-mirror-pod
  expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
- name: not-from-a-kubelet
  expression: "!has(request.userInfo.groups) || !('system:nodes' in request.userInfo.groups)"
{{- end }}

{{/* No pod of Everynode's own, which placement needs. */}}
{{- define "everynode.placement.notOurs" -}}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [everynode-system]}
{{- end }}

{{/* Creations of pods. */}}
{{- define "everynode.placement.creations" -}}
- {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
{{- end }}
