{{/* Names. */}}

{{- define "sekisho.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sekisho.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "sekisho.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "sekisho.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sekisho.controller" -}}
{{- printf "%s-controller" (include "sekisho.fullname" .) }}
{{- end }}

{{/* Gateways reach the controller by this name, and its certificate is for it: it does not follow the release's name. */}}
{{- define "sekisho.service" -}}
sekisho-controller
{{- end }}

{{/* Of objects without a namespace, which two releases of one name in two namespaces would fight for. */}}
{{- define "sekisho.clusterName" -}}
{{- printf "%s-%s" (include "sekisho.controller" .) .Release.Namespace }}
{{- end }}

{{/* The configuration by which API servers ask for sidecars; its caBundle is the controller's to write. */}}
{{- define "sekisho.injector" -}}
{{- printf "%s-injector-%s" (include "sekisho.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "sekisho.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "sekisho.controller" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Labels. */}}

{{- define "sekisho.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "sekisho.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sekisho
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sekisho.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sekisho.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{/* An image by its parts: `image` over `base`, the version of the chart where neither names one. A digest wins. */}}
{{- define "sekisho.image" -}}
{{- $own := .image }}
{{- $base := .base }}
{{- $repository := $own.repository | default $base.repository }}
{{- $registry := $own.registry | default $base.registry }}
{{- $name := ternary (printf "%s/%s" $registry $repository) $repository (ne $registry "") }}
{{- if $own.digest }}
{{- printf "%s@%s" $name $own.digest }}
{{- else if $own.tag }}
{{- printf "%s:%s" $name $own.tag }}
{{- else if and $base.digest (eq $repository $base.repository) }}
{{- printf "%s@%s" $name $base.digest }}
{{- else }}
{{- printf "%s:%s" $name ($base.tag | default .version) }}
{{- end }}
{{- end }}

{{- define "sekisho.controllerImage" -}}
{{- include "sekisho.image" (dict "image" .Values.image "base" .Values.image "version" .Chart.AppVersion) }}
{{- end }}

{{- define "sekisho.gatewayImage" -}}
{{- include "sekisho.image" (dict "image" .Values.gateway.image "base" .Values.image "version" .Chart.AppVersion) }}
{{- end }}

{{/* The namespaces that are watched, as JSON; empty for all. What the classes refer to is among them. */}}
{{- define "sekisho.watchNamespaces" -}}
{{- $namespaces := .Values.watchNamespaces }}
{{- if $namespaces }}
{{- with .Values.gatewayClass }}
{{- if or .parameters .parametersRef.name }}
{{- $namespaces = append $namespaces (.parametersRef.namespace | default $.Release.Namespace) }}
{{- end }}
{{- end }}
{{- with .Values.ingressClass.gateway }}
{{- if or .create .name }}
{{- $namespaces = append $namespaces (.namespace | default $.Release.Namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- uniq $namespaces | toJson }}
{{- end }}

{{/* The Gateway API this release is tested with. */}}

{{- define "sekisho.gatewayAPI" -}}
v1.6.3
{{- end }}

{{- define "sekisho.gatewayAPIManifest" -}}
https://github.com/kubernetes-sigs/gateway-api/releases/download/{{ include "sekisho.gatewayAPI" . }}/standard-install.yaml
{{- end }}
