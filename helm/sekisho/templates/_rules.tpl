{{/*
What the controller may do, exactly what it calls. Objects of namespaces: once for all namespaces, or once for each of
watchNamespaces.
*/}}
{{- define "sekisho.namespacedRules" -}}
# Read, their status written.
- apiGroups: [gateway.networking.k8s.io]
  resources:
    [backendtlspolicies, gateways, grpcroutes, httproutes, listenersets, tcproutes, tlsroutes, udproutes]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources:
    - backendtlspolicies/status
    - gateways/status
    - grpcroutes/status
    - httproutes/status
    - listenersets/status
    - tcproutes/status
    - tlsroutes/status
    - udproutes/status
  verbs: [patch]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xbackends]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xbackends/status]
  verbs: [patch]
- apiGroups: [sekisho.dev]
  resources: [egresspolicies]
  verbs: [get, list, watch]
- apiGroups: [sekisho.dev]
  resources: [egresspolicies/status]
  verbs: [patch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
# Read alone. Secrets for their certificates and keys.
- apiGroups: [gateway.networking.k8s.io]
  resources: [referencegrants]
  verbs: [list, watch]
- apiGroups: [sekisho.dev]
  resources: [credentialinjections, externalauthorizationproviders, gatewayparameters]
  verbs: [list, watch]
- apiGroups: [security.istio.io]
  resources: [authorizationpolicies, requestauthentications]
  verbs: [list, watch]
{{- if .Values.mesh.enabled }}
# Workloads, and how they are to be reached.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [networking.istio.io]
  resources: [workloadentries]
  verbs: [list, watch]
- apiGroups: [security.istio.io]
  resources: [peerauthentications]
  verbs: [list, watch]
{{- end }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
# Created for each Gateway, in its namespace; Services and ConfigMaps are read for routes and policies as well.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, delete, get, list, patch, watch]
# What is created is owned by its Gateway, in a way that holds the Gateway's deletion up.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways/finalizers]
  verbs: [update]
{{- end }}

{{/* Objects of no namespace, and events about them, which are in the namespace "default". */}}
{{- define "sekisho.clusterRules" -}}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [patch]
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
# Who a gateway is that asks for a certificate.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- if and .Values.mesh.enabled .Values.mesh.injection.enabled }}
# What API servers know the webhook by.
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [{{ include "sekisho.injector" . }}]
  verbs: [get, patch]
{{- end }}
{{- end }}

{{/* In the controller's own namespace: who leads, and the authority's key, and join tokens. Creating cannot be bound to a name. */}}
{{- define "sekisho.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [sekisho-controller]
  verbs: [get, update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [sekisho-ca]
  verbs: [get]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [sekisho-join-tokens]
  verbs: [get, update]
{{- end }}
