{{/* Rights that are needed in every namespace that is served. docs/install.md says what each is for. */}}
{{- define "keyferry.rules" -}}
- apiGroups: [external-secrets.io]
  resources: [externalsecrets, secretstores]
  verbs: [list, watch]
# Only to take ESO's finalizer off an object that is being deleted.
- apiGroups: [external-secrets.io]
  resources: [externalsecrets]
  verbs: [patch]
- apiGroups: [external-secrets.io]
  resources: [externalsecrets/status{{ if .Values.processSecretStore }}, secretstores/status{{ end }}]
  verbs: [patch]
{{- if include "keyferry.finalizers" . }}
# What the API server asks for before it lets a Secret name its owner. No request is made for it.
- apiGroups: [external-secrets.io]
  resources: [externalsecrets/finalizers]
  verbs: [update]
{{- end }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- if .Values.rbac.serviceAccountTokenCreate }}
{{ include "keyferry.tokenRules" (list) }}
{{- end }}
{{- end -}}

{{/* What a store asks for that names a ServiceAccount: of the accounts in the list; of all where it is empty. */}}
{{- define "keyferry.tokenRules" -}}
- apiGroups: [""]
  resources: [serviceaccounts]
  {{- with . }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
- apiGroups: [""]
  resources: [serviceaccounts/token]
  {{- with . }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [create]
{{- end -}}

{{/* Rights beside those, where all namespaces are served. */}}
{{- define "keyferry.clusterRules" -}}
{{- if .Values.processClusterStore }}
- apiGroups: [external-secrets.io]
  resources: [clustersecretstores]
  verbs: [list, watch]
- apiGroups: [external-secrets.io]
  resources: [clustersecretstores/status]
  verbs: [patch]
{{- end }}
# Conditions of ClusterSecretStores select namespaces, and one that is going away gets no Secret.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
# kopf looks which kinds there are.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
{{- end -}}

{{- define "keyferry.finalizers" -}}
{{- if eq (toString .Values.openshiftFinalizers) "auto" -}}
{{- include "keyferry.onOpenShift" . -}}
{{- else if .Values.openshiftFinalizers }}true{{ end -}}
{{- end -}}
