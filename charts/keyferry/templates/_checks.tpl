{{/* What the schema cannot say. Each message names the value and the remedy. */}}
{{- define "keyferry.checks" -}}
{{- if .Values.metrics.listen.secure.enabled -}}
{{- fail "metrics.listen.secure.enabled: metrics are served over plain HTTP only; switch it off, and restrict them by networkPolicy.ingress or a proxy" -}}
{{- end -}}
{{- if .Values.metrics.listen.auth.enabled -}}
{{- fail "metrics.listen.auth.enabled: metrics are served without authentication; switch it off, and restrict them by networkPolicy.ingress or a proxy" -}}
{{- end -}}
{{- $repository := include "keyferry.repository" . -}}
{{- if hasSuffix "/external-secrets" $repository -}}
{{- fail (printf "%s is the image of the External Secrets Operator: set image.repository, image.tag and global.repository to Keyferry's, or leave them out" $repository) -}}
{{- end -}}
{{- range $flag, $value := (dict
      "metrics-addr" "metrics.listen.port"
      "live-addr" "livenessProbe.spec.port"
      "namespace" "scopedNamespace"
      "enable-leader-election" "leaderElect"
      "leader-election-id" "leaderElectionID"
      "leader-election-namespace" "namespaceOverride"
      "enable-cluster-store-reconciler" "processClusterStore"
      "enable-secret-store-reconciler" "processSecretStore") -}}
{{- if hasKey $.Values.extraArgs $flag -}}
{{- fail (printf "extraArgs.%s: other objects of the chart depend on it; set %s instead" $flag $value) -}}
{{- end -}}
{{- end -}}
{{- range .Values.rbac.serviceAccountTokens -}}
{{- $scope := include "keyferry.scope" $ -}}
{{- if and $scope (not (has .namespace (splitList "," $scope))) -}}
{{- fail (printf "rbac.serviceAccountTokens: namespace %s is not served; add it to scopedNamespace" .namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
