{{- define "keyferry.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "keyferry.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "keyferry.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "keyferry.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (list . "metrics"): the release's name with a suffix, of at most 63 characters together. */}}
{{- define "keyferry.named" -}}
{{- $suffix := printf "-%s" (last .) -}}
{{- $room := int (sub 63 (len $suffix)) -}}
{{- printf "%s%s" (include "keyferry.fullname" (first .) | trunc $room | trimSuffix "-") $suffix -}}
{{- end -}}

{{- define "keyferry.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "keyferry.selector" -}}
app.kubernetes.io/name: {{ include "keyferry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keyferry.labels" -}}
{{ include "keyferry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "keyferry.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "keyferry.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "keyferry.repository" -}}
{{- .Values.global.repository | default .Values.image.repository -}}
{{- end -}}

{{- define "keyferry.image" -}}
{{- if .Values.image.digest -}}
{{ include "keyferry.repository" . }}@{{ .Values.image.digest }}
{{- else -}}
{{ include "keyferry.repository" . }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The namespaces to serve, separated by commas; "" for all. ESO's scopedRBAC alone means the release's own. */}}
{{- define "keyferry.scope" -}}
{{- $names := list -}}
{{- if kindIs "slice" .Values.scopedNamespace -}}
{{- $names = .Values.scopedNamespace -}}
{{- else -}}
{{- $names = splitList "," (.Values.scopedNamespace | nospace) -}}
{{- end -}}
{{- $names = without $names "" | uniq -}}
{{- if and .Values.scopedRBAC (not $names) -}}
{{- $names = list (include "keyferry.namespace" .) -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{/* "true" where one pod has to be chosen. */}}
{{- define "keyferry.elects" -}}
{{- if or .Values.leaderElect (gt (int .Values.replicaCount) 1) }}true{{ end -}}
{{- end -}}

{{- define "keyferry.lease" -}}
{{- .Values.leaderElectionID | default "keyferry" -}}
{{- end -}}

{{/* The port of /healthz and /readyz. As in ESO's chart, a number in the liveness probe's httpGet beats spec.port. */}}
{{- define "keyferry.livePort" -}}
{{- $probe := .Values.livenessProbe.spec -}}
{{- if kindIs "string" $probe.httpGet.port }}{{ $probe.port }}{{ else }}{{ $probe.httpGet.port }}{{ end -}}
{{- end -}}

{{- define "keyferry.onOpenShift" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}true{{ end -}}
{{- end -}}

{{/* (list . <securityContext>): without "enabled", and without what OpenShift chooses. "" where there is none. */}}
{{- define "keyferry.securityContext" -}}
{{- $context := omit (last .) "enabled" -}}
{{- $adapt := (first .).Values.global.compatibility.openshift.adaptSecurityContext -}}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") (include "keyferry.onOpenShift" (first .))) -}}
{{- $context = omit $context "fsGroup" "runAsUser" "runAsGroup" -}}
{{- end -}}
{{- if and (last .).enabled $context }}{{ toYaml $context }}{{ end -}}
{{- end -}}

{{/* (list . <values of the object> <kind of monitoring.coreos.com/v1>): "true" where it is to be rendered. */}}
{{- define "keyferry.monitors" -}}
{{- $values := index . 1 -}}
{{- $kind := printf "monitoring.coreos.com/v1/%s" (last .) -}}
{{- $there := (first .).Capabilities.APIVersions.Has $kind -}}
{{- if eq (toString $values.enabled) "auto" -}}
{{- if $there }}true{{ end -}}
{{- else if $values.enabled -}}
{{- if and (eq $values.renderMode "failIfMissing") (not $there) -}}
{{- fail (printf "the cluster has no %s: install the Prometheus Operator's CRDs, or set renderMode: skipIfMissing" $kind) -}}
{{- end -}}
{{- if or $there (eq $values.renderMode "alwaysRender") }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* Subjects of every binding. */}}
{{- define "keyferry.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "keyferry.serviceAccount" . }}
    namespace: {{ include "keyferry.namespace" . }}
{{- end -}}

{{/* (list . <name>): "true" where the CRD is not there, or is this release's. Helm would not take another's. */}}
{{- define "keyferry.ownsCRD" -}}
{{- $release := (first .).Release -}}
{{- $there := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (last .) -}}
{{- $owner := dig "metadata" "annotations" dict ($there | default dict) -}}
{{- $ours := and (eq (get $owner "meta.helm.sh/release-name") $release.Name) (eq (get $owner "meta.helm.sh/release-namespace") $release.Namespace) -}}
{{- if or (not $there) $ours }}true{{ end -}}
{{- end -}}
