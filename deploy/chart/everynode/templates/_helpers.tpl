{{/* Labels of every object; the argument is the component's name. */}}
{{- define "everynode.labels" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/part-of: everynode
{{- end }}

{{/* Whether the webhook is installed: not with placement by a policy or by the controller alone. */}}
{{- define "everynode.webhook" -}}
{{- if eq .Values.placement.admission "webhook" }}true{{ end }}
{{- end }}

{{/* Whether the controller manages the webhook's certificate. */}}
{{- define "everynode.certifies" -}}
{{- if and (include "everynode.webhook" .) (ne .Values.certificates.source "files") }}true{{ end }}
{{- end }}

{{/* The image of a program: a list of its name and the root. */}}
{{- define "everynode.image" -}}
{{- $name := first . }}{{ $root := last . }}
{{- with $root.Values.images }}
{{- with .registry }}{{ . | trimSuffix "/" }}/{{ end }}everynode/{{ $name }}:{{ .tag | default $root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The part of the pod spec that all three components share: a list of the component's name and the root. */}}
{{- define "everynode.pod" -}}
{{- $name := first . }}{{ $root := last . }}
serviceAccountName: {{ $name }}
priorityClassName: {{ $root.Values.priorityClassName }}
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
- {name: {{ . }}}
{{- end }}
{{- end }}
# Spread where the cluster is large enough, together where it is small.
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ . }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {app.kubernetes.io/name: {{ $name }}}}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* Node selection of a component that needs the network. */}}
{{- define "everynode.nodes" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Node selection of a component that the network may depend on. */}}
{{- define "everynode.nodes.bootstrap" -}}
{{- if not .Values.bootstrap.enabled }}
{{- include "everynode.nodes" . }}
{{- else }}
hostNetwork: true
{{- $own := dict }}
{{- if not .Values.bootstrap.apiServer.host }}
{{- $own = dict "node-role.kubernetes.io/control-plane" "" }}
{{- end }}
nodeSelector: {{ merge $own .Values.nodeSelector | toJson }}
tolerations:
{{- range list "node-role.kubernetes.io/control-plane" "node.kubernetes.io/not-ready" "node.kubernetes.io/network-unavailable" "node.cloudprovider.kubernetes.io/uninitialized" }}
- {key: {{ . }}, operator: Exists}
{{- end }}
{{- with .Values.tolerations }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The environment of a program: a list of its values, whether the network may depend on it, and the root. */}}
{{- define "everynode.env" -}}
{{- $all := list (include "everynode.env.bootstrap" (list (index . 1) (last .)) | trim) (include "everynode.env.memory" (first .) | trim) | compact }}
{{- with $all }}
env:
{{ join "\n" . }}
{{- end }}
{{- end }}

{{/*
Nine tenths of the container's memory limit: Go's runtime collects garbage more aggressively near this value; the rest is for memory
that it does not account for (https://go.dev/doc/gc-guide). Only limits written as a number and a suffix are supported.
*/}}
{{- define "everynode.env.memory" -}}
{{- $limit := dig "limits" "memory" "" (.resources | default dict) }}
{{- if not (kindIs "string" $limit) }}{{ $limit = int64 $limit | toString }}{{ end }}
{{- if regexMatch "^[0-9]+([.][0-9]+)?([kMGT]|[KMGT]i)?$" $limit }}
{{- $units := dict "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $number := regexFind "^[0-9.]+" $limit }}
{{- $unit := get $units (trimPrefix $number $limit) | default 1 }}
- {name: GOMEMLIMIT, value: {{ mulf (float64 $number) $unit 0.9 | int64 | quote }}}
{{- end }}
{{- end }}

{{/* Whether the webhook serves metrics: checking clients needs a token. */}}
{{- define "everynode.webhook.metrics" -}}
{{- if and (include "everynode.webhook" .) (or (include "everynode.certifies" .) (not .Values.metrics.secure)) }}true{{ end }}
{{- end }}

{{/* The API server's address, for use before kube-proxy implements the Service kubernetes: a list of whether it is needed, and the root. */}}
{{- define "everynode.env.bootstrap" -}}
{{- $needed := first . }}
{{- with (last .).Values.bootstrap }}
{{- if and $needed .enabled }}
{{- if .apiServer.host }}
- {name: KUBERNETES_SERVICE_HOST, value: {{ .apiServer.host | quote }}}
{{- else }}
- {name: KUBERNETES_SERVICE_HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
{{- end }}
- {name: KUBERNETES_SERVICE_PORT, value: {{ .apiServer.port | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* The host that the kubelet probes: loopback where the pod uses the host network. */}}
{{- define "everynode.probe.bootstrap" -}}
{{- if .Values.bootstrap.enabled }}host: 127.0.0.1{{ end }}
{{- end }}

{{/* A pod is deleted when its successor is ready. */}}
{{- define "everynode.strategy" -}}
{type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
{{- end }}

{{/* In the host network a new pod cannot use its port before the old one releases it. */}}
{{- define "everynode.strategy.bootstrap" -}}
{{- if .Values.bootstrap.enabled -}}
{type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
{{- else -}}
{{ include "everynode.strategy" . }}
{{- end }}
{{- end }}

{{/* The part of the container that all three components share: a list of the program's name, its values and the root. */}}
{{- define "everynode.container" -}}
{{- $root := last . }}
image: {{ include "everynode.image" (list (first .) $root) }}
imagePullPolicy: {{ $root.Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- with (index . 1).resources }}
resources: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Arguments of all three programs: a list of the program's values and the root. They come last. */}}
{{- define "everynode.args" -}}
{{- $logging := (last .).Values.logging -}}
- --logging-format={{ $logging.format }}
- --v={{ $logging.verbosity }}
{{- range (first .).extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}
