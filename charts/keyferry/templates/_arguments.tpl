{{/* The command and its flags, one entry of a list a line. */}}
{{- define "keyferry.arguments" -}}
- run
- --metrics-addr=:{{ .Values.metrics.listen.port }}
- {{ printf "--live-addr=%s:%s" .Values.livenessProbe.spec.address (include "keyferry.livePort" .) | quote }}
- --loglevel={{ .Values.log.level }}
- --zap-time-encoding={{ .Values.log.timeEncoding }}
{{- with .Values.concurrent }}
- --concurrent={{ . }}
{{- end }}
{{- with .Values.controllerClass }}
- {{ printf "--controller-class=%s" . | quote }}
{{- end }}
{{- with include "keyferry.scope" . }}
- --namespace={{ . }}
{{- end }}
{{- if not .Values.processClusterStore }}
- --enable-cluster-store-reconciler=false
{{- end }}
{{- if not .Values.processSecretStore }}
- --enable-secret-store-reconciler=false
{{- end }}
{{- with .Values.storeRequeueInterval }}
- --store-requeue-interval={{ . }}
{{- end }}
{{- if .Values.extendedMetricLabels }}
- --enable-extended-metric-labels=true
{{- end }}
{{- if include "keyferry.elects" . }}
- --enable-leader-election=true
{{- with .Values.leaderElectionID }}
- --leader-election-id={{ . }}
{{- end }}
{{- with .Values.leaderElectionLeaseDuration }}
- --leader-election-lease-duration={{ . }}
{{- end }}
{{- with .Values.leaderElectionRenewDeadline }}
- --leader-election-renew-deadline={{ . }}
{{- end }}
{{- with .Values.leaderElectionRetryPeriod }}
- --leader-election-retry-period={{ . }}
{{- end }}
{{- end }}
{{- range $flag, $value := .Values.extraArgs }}
{{- if kindIs "invalid" $value }}
- --{{ $flag }}
{{- else }}
- {{ printf "--%s=%v" $flag $value | quote }}
{{- end }}
{{- end }}
{{- end -}}
