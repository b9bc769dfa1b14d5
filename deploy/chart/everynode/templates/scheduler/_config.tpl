{{- define "everynode.scheduler.config" -}}
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
{{- if eq .Values.scheduler.install "primary" }}
# kube-scheduler's own lease: while the two change places only one of them works.
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
# A rollout over many nodes is not to be held up by the client.
clientConnection: {qps: 1000, burst: 2000}
profiles:
{{- if eq .Values.scheduler.install "primary" }}
# As Kubernetes ships it; besides, a daemon's pods that name this profile are held to one per
# node. Pods that no daemon owns never notice.
- schedulerName: default-scheduler
  plugins:
    multiPoint:
      enabled:
      - {name: EverynodeUniqueness}
  pluginConfig:
  - name: EverynodeUniqueness
    args: {otherPods: Ignore}
{{- end }}
# A daemon's pod has one node to go to: plugins that compare nodes (scores, topology spread)
# have nothing to do. Those named Everynode... look at that node alone, and let a pod that waits
# for it sleep through what happens to others.
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
