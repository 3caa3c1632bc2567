{{/* What NOTES.txt tells besides the next step, one line each. */}}
{{- define "keyferry.warnings" -}}
{{- $none := list }}
{{- range $name := list "webhook" "certController" }}
{{- if and (get $.Values $name) (dig "create" true (get $.Values $name)) }}{{ $none = append $none $name }}{{ end }}
{{- end }}
{{- if dig "enabled" false (get .Values "bitwarden-sdk-server") }}{{ $none = append $none "bitwarden-sdk-server" }}{{ end }}
{{- if .Values.crds.conversion.enabled }}{{ $none = append $none "crds.conversion" }}{{ end }}
{{- if .Values.enableHTTP2 }}{{ $none = append $none "enableHTTP2" }}{{ end }}
{{- if .Values.vault.enableTokenCache }}{{ $none = append $none "vault.enableTokenCache" }}{{ end }}
{{- if .Values.genericTargets.enabled }}{{ $none = append $none "genericTargets" }}{{ end }}
{{- if .Values.image.flavour }}{{ $none = append $none "image.flavour" }}{{ end }}
{{- with $none }}
- These values of ESO's chart have no effect here (docs/install.md says why): {{ join ", " . }}.
{{- end }}
{{- if and (not .Values.leaderElect) (gt (int .Values.replicaCount) 1) }}
- replicaCount is {{ .Values.replicaCount }}: leader election is on although leaderElect is not.
{{- end }}
{{- if eq (toString .Values.concurrent) "1" }}
- concurrent is 1, ESO's default. Keyferry's is 64: leave it out, or new objects wait for slow stores.
{{- end }}
{{- if and .Values.podDisruptionBudget.enabled (lt (int .Values.replicaCount) 2) (kindIs "invalid" .Values.podDisruptionBudget.maxUnavailable) }}
- podDisruptionBudget is on with one pod: its node cannot be drained. Set replicaCount: 2.
{{- end }}
{{- if and .Values.networkPolicy.enabled .Values.hostNetwork }}
- networkPolicy has no effect on a pod in the node's network.
{{- end }}
{{- if eq (include "keyferry.repository" .) "keyferry" }}
- No registry is named: the image {{ include "keyferry.image" . }} has to be on the nodes. Set image.repository to where yours is.
{{- end }}
{{- range $name, $kind := dict "serviceMonitor" "ServiceMonitor" "prometheusRule" "PrometheusRule" }}
{{- $values := get $.Values $name }}
{{- if and (eq (toString $values.enabled) "true") (not (include "keyferry.monitors" (list $ $values $kind))) }}
- {{ $name }} is enabled, but the cluster has no monitoring.coreos.com/v1/{{ $kind }}: left out.
{{- end }}
{{- end }}
{{- $foreign := list }}
{{- if .Values.installCRDs }}
{{- range $path, $bytes := .Files.Glob "files/crds/*.yaml" }}
{{- $name := printf "%s.external-secrets.io" ($path | base | trimSuffix ".yaml" | splitList "_" | last) }}
{{- if not (include "keyferry.ownsCRD" (list $ $name)) }}{{ $foreign = append $foreign $name }}{{ end }}
{{- end }}
{{- end }}
{{- with $foreign }}
- These CRDs were not installed by this release, and are not upgraded by it (docs/install.md says how to hand them over):
  {{ join ", " . }}
{{- end }}
{{- if not .Values.rbac.serviceAccountTokenCreate }}
{{- $waiting := include "keyferry.wantTokens" . | trim }}
{{- with $waiting }}
- These stores name a ServiceAccount, whose token Keyferry may not make unless rbac.serviceAccountTokens has it, or
  rbac.serviceAccountTokenCreate is true:
{{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Stores that name a ServiceAccount, one a line. Who may grant the rights of the profile may list stores too; where rights
are not granted here, nothing is asked.
*/}}
{{- define "keyferry.wantTokens" -}}
{{- if and .Values.rbac.create (.Capabilities.APIVersions.Has "external-secrets.io/v1/SecretStore") }}
{{- $scope := include "keyferry.scope" . }}
{{- $stores := list }}
{{- range splitList "," $scope }}
{{- $stores = concat $stores ((lookup "external-secrets.io/v1" "SecretStore" . "").items | default list) }}
{{- end }}
{{- if and (not $scope) .Values.processClusterStore (.Capabilities.APIVersions.Has "external-secrets.io/v1/ClusterSecretStore") }}
{{- $stores = concat $stores ((lookup "external-secrets.io/v1" "ClusterSecretStore" "" "").items | default list) }}
{{- end }}
{{- $granted := list }}
{{- range .Values.rbac.serviceAccountTokens }}
{{- $granted = concat $granted (list .name (printf "%s/%s" .namespace .name)) }}
{{- end }}
{{- range $stores }}
{{- $store := . }}
{{- $waits := false }}
{{- range regexFindAll "\"serviceAccount(Ref)?\":\\{[^}]*\\}" (toJson .spec.provider) -1 }}
{{- $name := regexFind "\"name\":\"[^\"]*" . | trimPrefix "\"name\":\"" }}
{{- /* A ClusterSecretStore may take the account from any namespace. */}}
{{- $account := $name }}
{{- with $store.metadata.namespace }}{{ $account = printf "%s/%s" . $name }}{{ end }}
{{- if not (has $account $granted) }}{{ $waits = true }}{{ end }}
{{- end }}
{{- if $waits }}
  {{ .kind }} {{ with .metadata.namespace }}{{ . }}/{{ end }}{{ .metadata.name }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
