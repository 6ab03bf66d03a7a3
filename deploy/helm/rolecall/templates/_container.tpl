{{/* The arguments of `rolecall server`. */}}
{{- define "rolecall.args" -}}
{{- $daemon := eq .Values.workload "DaemonSet" -}}
- server
- --config=/etc/aws-iam-authenticator/config.yaml
- "--backend-mode={{ join "," .Values.server.backendModes }}"
- "--address={{ .Values.server.address | default (ternary "127.0.0.1" "0.0.0.0" $daemon) }}"
- "--port={{ int .Values.server.port }}"
{{- if $daemon }}
- --healthz-port=21363
- "--state-dir={{ .Values.daemonSet.stateDir }}"
- "--generate-kubeconfig={{ .Values.daemonSet.kubeconfigDir }}/kubeconfig.yaml"
{{- else }}
- --healthz-port=0
- --tls-cert-file=/etc/rolecall/tls/tls.crt
- --tls-private-key-file=/etc/rolecall/tls/tls.key
- --kubeconfig-pregenerated=true
{{- end }}
- "--workers={{ int .Values.server.workers }}"
- "--log-format={{ .Values.server.logFormat }}"
- "--log-verbosity={{ .Values.server.logLevel }}"
{{- with .Values.server.auditLog }}
- "--audit-log={{ . }}"
{{- end }}
{{- if .Values.kubeconfigSecret }}
- --kubeconfig=/etc/rolecall/kubeconfig/kubeconfig
{{- end }}
{{- range .Values.server.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* A request to the webhook's own port; kubelets do not check its certificate. */}}
{{- define "rolecall.probe" -}}
httpGet:
  scheme: HTTPS
  {{- if eq .root.Values.workload "DaemonSet" }}
  {{- /* A wildcard is no address that can be asked. */}}
  {{- $address := .root.Values.server.address }}
  host: {{ ternary "127.0.0.1" $address (has $address (list "" "0.0.0.0" "::")) | quote }}
  {{- end }}
  port: webhook
  path: {{ .path }}
{{- end -}}

{{- define "rolecall.container" -}}
{{- $daemon := eq .Values.workload "DaemonSet" -}}
name: rolecall
image: {{ include "rolecall.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
{{ include "rolecall.args" . }}
env:
- name: KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID
  valueFrom:
    configMapKeyRef:
      name: {{ include "rolecall.name" . }}
      key: clusterID
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
ports:
- name: webhook
  containerPort: {{ int .Values.server.port }}
  protocol: TCP
startupProbe:
  {{- include "rolecall.probe" (dict "root" . "path" "/healthz") | nindent 2 }}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  {{- include "rolecall.probe" (dict "root" . "path" "/healthz") | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  {{- include "rolecall.probe" (dict "root" . "path" "/readyz") | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
{{- if not $daemon }}
# Connections that the Service still sends while it forgets the pod are answered.
lifecycle:
  preStop:
    exec:
      command: [sleep, "5"]
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
- name: config
  mountPath: /etc/aws-iam-authenticator
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if $daemon }}
- name: state
  mountPath: {{ .Values.daemonSet.stateDir | quote }}
- name: webhook-kubeconfig
  mountPath: {{ .Values.daemonSet.kubeconfigDir | quote }}
{{- else }}
- name: tls
  mountPath: /etc/rolecall/tls
  readOnly: true
{{- end }}
{{- if .Values.kubeconfigSecret }}
- name: kubeconfig
  mountPath: /etc/rolecall/kubeconfig
  readOnly: true
{{- end }}
{{- end -}}

{{- define "rolecall.volumes" -}}
- name: config
  configMap:
    name: {{ include "rolecall.name" . }}
    items:
    - key: config.yaml
      path: config.yaml
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 32Mi
{{- if eq .Values.workload "DaemonSet" }}
- name: state
  hostPath:
    path: {{ .Values.daemonSet.stateDir | quote }}
    type: Directory
- name: webhook-kubeconfig
  hostPath:
    path: {{ .Values.daemonSet.kubeconfigDir | quote }}
    type: Directory
{{- else }}
- name: tls
  secret:
    secretName: {{ .Values.deployment.tlsSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.kubeconfigSecret }}
- name: kubeconfig
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- end -}}
