{{- define "everynode.scheduler.config" -}}
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
{{- if eq .Values.scheduler.install "primary" }}
# kube-scheduler's own lease: while one replaces the other only one of them is active.
leaderElection:
  leaderElect: true
  resourceNamespace: kube-system
  resourceName: kube-scheduler
{{- else }}
leaderElection:
  leaderElect: true
  resourceNamespace: everynode-system
  resourceName: everynode-scheduler
{{- end }}
# The client must not throttle a rollout over many nodes.
clientConnection: {qps: 1000, burst: 2000}
profiles:
{{- if eq .Values.scheduler.install "primary" }}
# As Kubernetes ships it. In addition, daemons' pods that name this profile are limited to one per
# node. Pods that no daemon owns are not affected.
- schedulerName: default-scheduler
  plugins:
    multiPoint:
      enabled:
      - {name: EverynodeUniqueness}
  pluginConfig:
  - name: EverynodeUniqueness
    args: {otherPods: Ignore}
{{- end }}
# A daemon's pod has only one candidate node, so plugins that compare nodes (scores, topology spread)
# are not needed. Plugins named Everynode... evaluate that node only, and events on other nodes do
# not wake a waiting pod.
- schedulerName: everynode-scheduler
  plugins:
    multiPoint:
      disabled:
      - {name: "*"}
      enabled:
      - {name: SchedulingGates}
      - {name: PrioritySort}
      - {name: EverynodeUniqueness}
      - {name: EverynodeNodeUnschedulable}
      - {name: EverynodeNodeAffinity}
      - {name: EverynodeTaintToleration}
      - {name: EverynodeNodePorts}
      - {name: EverynodeNodeResourcesFit}
      - {name: EverynodeNodeDeclaredFeatures}
      - {name: VolumeRestrictions}
      - {name: EverynodeNodeVolumeLimits}
      - {name: VolumeBinding}
      - {name: VolumeZone}
      - {name: EverynodeInterPodAffinity}
      - {name: DynamicResources}
      - {name: EverynodePreemption}
      - {name: DefaultBinder}
    preScore:
      disabled:
      - {name: "*"}
    score:
      disabled:
      - {name: "*"}
{{- end }}
