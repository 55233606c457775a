{{- define "highwater.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "highwater.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "highwater.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The full name with a suffix, as one valid name: (list . "suffix"). */ -}}
{{- define "highwater.suffixed" -}}
{{- $suffix := index . 1 -}}
{{- printf "%s-%s" (include "highwater.fullname" (index . 0) | trunc (int (sub 62 (len $suffix))) | trimSuffix "-") $suffix -}}
{{- end -}}

{{- define "highwater.selectorLabels" -}}
app.kubernetes.io/name: {{ include "highwater.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "highwater.labels" -}}
{{- $own := dict -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/name" (include "highwater.name" .) -}}
{{- $_ := set $own "app.kubernetes.io/instance" .Release.Name -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/component" "node-agent" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- toYaml (merge $own .Values.commonLabels) -}}
{{- end -}}

{{- define "highwater.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "highwater.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* Chart.yaml's home is the one place that names the repository. */ -}}
{{- define "highwater.image" -}}
{{- $repository := default (.Chart.Home | lower | replace "https://github.com/" "ghcr.io/") .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "highwater.runbookBaseUrl" -}}
{{- default (printf "%s/blob/v%s/docs/runbooks" .Chart.Home .Chart.AppVersion) .Values.prometheusRule.runbookBaseUrl | trimSuffix "/" -}}
{{- end -}}

{{- /* full and reduced are a DaemonSet; sidecar is what a test pod takes in. */ -}}
{{- define "highwater.onNodes" -}}
{{- if ne .Values.profile "sidecar" }}true{{ end -}}
{{- end -}}

{{- /* /proc/1/root is read only on a node without a known runtime: each layer is read through the process that runs it. */ -}}
{{- define "highwater.paths" -}}
{{- if eq .Values.profile "reduced" }} --path.procfs=/host/proc --path.rootfs=/host/root
{{- else if eq .Values.profile "full" }} --path.procfs=/proc --path.rootfs=/proc/1/root
{{- end -}}
{{- end -}}

{{- define "highwater.args" -}}
- run
{{- range include "highwater.paths" . | trim | splitList " " }}
{{- if . }}
- {{ . }}
{{- end }}
{{- end }}
- --web.listen-address=:{{ .Values.service.port }}
{{- if .Values.config }}
- --config.file=/etc/highwater/config/highwater.yaml
{{- end }}
{{- if .Values.web.configSecret }}
- --web.config.file=/etc/highwater/web/web.yml
{{- end }}
{{- if and .Values.storage.hostPath (include "highwater.onNodes" .) }}
- --storage.path=/var/lib/highwater
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Unconfined where other containers are looked into, which the runtimes' default profile forbids. */ -}}
{{- define "highwater.appArmorProfile" -}}
{{- default (eq .Values.profile "reduced" | ternary "RuntimeDefault" "Unconfined") .Values.appArmorProfile -}}
{{- end -}}

{{- define "highwater.appArmorField" -}}
{{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version }}true{{ end -}}
{{- end -}}

{{- /* As the annotation of releases before 1.30 has it. */ -}}
{{- define "highwater.appArmorAnnotation" -}}
{{- $profile := include "highwater.appArmorProfile" . -}}
{{- if hasPrefix "Localhost/" $profile -}}
localhost/{{ trimPrefix "Localhost/" $profile }}
{{- else -}}
{{ eq $profile "Unconfined" | ternary "unconfined" "runtime/default" }}
{{- end -}}
{{- end -}}

{{- /*
User 0 without capabilities of its own: root's files and sockets are opened by ownership, other containers' roots through
SYS_PTRACE (/proc/PID/root), other users' folders through DAC_READ_SEARCH.
*/ -}}
{{- define "highwater.securityContext" -}}
{{- $capabilities := eq .Values.profile "reduced" | ternary (list "DAC_READ_SEARCH") (list "SYS_PTRACE" "DAC_READ_SEARCH") -}}
{{- $own := dict
  "runAsUser" 0
  "runAsGroup" 0
  "runAsNonRoot" false
  "privileged" false
  "allowPrivilegeEscalation" false
  "readOnlyRootFilesystem" true
  "capabilities" (dict "drop" (list "ALL") "add" $capabilities)
  "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if include "highwater.appArmorField" . -}}
{{- $profile := include "highwater.appArmorProfile" . -}}
{{- if hasPrefix "Localhost/" $profile -}}
{{- $_ := set $own "appArmorProfile" (dict "type" "Localhost" "localhostProfile" (trimPrefix "Localhost/" $profile)) -}}
{{- else -}}
{{- $_ := set $own "appArmorProfile" (dict "type" $profile) -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $own .Values.securityContext) -}}
{{- end -}}

{{- /* spc_t may look into other containers; container_t may not. */ -}}
{{- define "highwater.seLinuxOptions" -}}
{{- $default := .Values.openshift.enabled | ternary (dict "type" "spc_t") dict -}}
{{- toYaml (mergeOverwrite $default .Values.seLinuxOptions) -}}
{{- end -}}

{{- define "highwater.probes" -}}
livenessProbe:
  {{- if .Values.web.configSecret }}
  # The kubelet has neither password nor client certificate.
  tcpSocket:
    port: metrics
  {{- else }}
  httpGet:
    path: /-/healthy
    port: metrics
  {{- end }}
  initialDelaySeconds: 5
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- if .Values.web.configSecret }}
  tcpSocket:
    port: metrics
  {{- else }}
  httpGet:
    path: /-/ready
    port: metrics
  {{- end }}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}

{{- /* GKE admits the system priority classes outside kube-system only where a quota allows it. */ -}}
{{- define "highwater.resourceQuota" -}}
{{- $wanted := .Values.resourceQuota.enabled -}}
{{- if kindIs "string" $wanted -}}
{{- $wanted = and (contains "-gke." .Capabilities.KubeVersion.Version) (hasPrefix "system-" .Values.priorityClassName) (ne .Release.Namespace "kube-system") -}}
{{- end -}}
{{- if and $wanted (include "highwater.onNodes" .) }}true{{ end -}}
{{- end -}}

{{- /* A duration of Prometheus in milliseconds. */ -}}
{{- define "highwater.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 "y" 31536000000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[smhdwy])" . -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $sum = add $sum (mul (atoi (trimSuffix $unit .)) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- /* What ServiceMonitor and PodMonitor say of an endpoint: (list . VALUES-OF-THE-MONITOR "key"). */ -}}
{{- define "highwater.endpoint" -}}
{{- $root := index . 0 -}}
{{- $monitor := index . 1 -}}
{{- $key := index . 2 -}}
{{- if gt (include "highwater.milliseconds" $monitor.scrapeTimeout | int64) (include "highwater.milliseconds" $monitor.interval | int64) -}}
{{- fail (printf "%s.scrapeTimeout is %s, but must be at most %s.interval, which is %s" $key $monitor.scrapeTimeout $key $monitor.interval) -}}
{{- end -}}
port: metrics
path: /metrics
interval: {{ $monitor.interval }}
scrapeTimeout: {{ $monitor.scrapeTimeout }}
{{- if eq $monitor.scheme "https" }}
scheme: https
{{- end }}
{{- with $monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.proxyUrl }}
proxyUrl: {{ . | quote }}
{{- end }}
# A layer's own `pod` label is the pod it runs in, not the agent's.
honorLabels: true
relabelings:
  # The alerts know an agent that never came up by this job, whatever the release is called.
  - targetLabel: job
    replacement: highwater
  {{- if include "highwater.onNodes" $root }}
  # The node's name stays the same when the agent's pod is replaced, and so do the alerts.
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: instance
  {{- end }}
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: node
  {{- with $root.Values.cluster }}
  - targetLabel: cluster
    replacement: {{ . | quote }}
  {{- end }}
  {{- with $monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* What they say around it. */ -}}
{{- define "highwater.monitor" -}}
{{- $root := index . 0 -}}
{{- $monitor := index . 1 -}}
namespaceSelector:
  {{- if include "highwater.onNodes" $root }}
  matchNames:
    - {{ $root.Release.Namespace }}
  {{- else }}
  any: true
  {{- end }}
{{- with $monitor.sampleLimit }}
sampleLimit: {{ . }}
{{- end }}
{{- with $monitor.podTargetLabels }}
podTargetLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.attachMetadata }}
attachMetadata:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Labels of an object of the Operator: (list . VALUES-OF-THE-OBJECT). */ -}}
{{- define "highwater.operatorLabels" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- $own := include "highwater.labels" $root | fromYaml -}}
{{- toYaml (mergeOverwrite $own $root.Values.operatorLabels $object.labels) -}}
{{- end -}}
