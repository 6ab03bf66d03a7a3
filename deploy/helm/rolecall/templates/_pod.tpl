{{/* The template of the pods, of either workload. */}}
{{- define "rolecall.pod" -}}
{{- $daemon := eq .Values.workload "DaemonSet" -}}
{{- $own := ternary .Values.daemonSet .Values.deployment $daemon -}}
metadata:
  labels:
    {{- include "rolecall.selector" . | nindent 4 }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "rolecall.name" . }}
  automountServiceAccountToken: {{ eq (include "rolecall.readsCluster" .) "true" }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $daemon }}
  hostNetwork: true
  dnsPolicy: Default
  {{- else }}
  topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "rolecall.selector" $ | nindent 8 }}
  {{- end }}
  {{- end }}
  priorityClassName: {{ ternary "system-node-critical" "system-cluster-critical" $daemon }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ ternary 30 35 $daemon }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ int .Values.runAsUser }}
    runAsGroup: {{ int .Values.runAsUser }}
    {{- if or (not $daemon) .Values.kubeconfigSecret }}
    fsGroup: {{ int .Values.runAsUser }}
    {{- end }}
    seccompProfile:
      type: RuntimeDefault
  containers:
  - {{- include "rolecall.container" . | nindent 4 }}
  volumes:
    {{- include "rolecall.volumes" . | nindent 4 }}
{{- end -}}
