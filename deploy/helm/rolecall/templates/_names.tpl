{{/* The release's name, with the chart's where it is not in it already. */}}
{{- define "rolecall.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "rolecall.labels" -}}
app.kubernetes.io/name: {{ include "rolecall.name" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* What tells the pods of one workload from others; never changed, because selectors cannot be. */}}
{{- define "rolecall.selector" -}}
app.kubernetes.io/name: {{ include "rolecall.name" . }}
app.kubernetes.io/component: {{ lower .Values.workload }}
{{- end -}}

{{- define "rolecall.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Whether the pods ask their own cluster for mappings. */}}
{{- define "rolecall.readsCluster" -}}
{{- if and (or (has "EKSConfigMap" .Values.server.backendModes) (has "CRD" .Values.server.backendModes)) (not .Values.kubeconfigSecret) -}}
true
{{- end -}}
{{- end -}}
