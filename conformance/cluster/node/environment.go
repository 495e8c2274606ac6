package node

import (
	"context"
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sekisho.dev/conformance/cluster/layout"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment resolves a container's variables in the order in which a kubelet would.
func (r *podRunner) environment(ctx context.Context, image Image, wanted *corev1.Container) (map[string]string, error) {
	pod := r.pod
	values := map[string]string{
		"PATH":                    defaultPath,
		"HOME":                    "/",
		"HOSTNAME":                pod.Name,
		"KUBERNETES_SERVICE_HOST": layout.APIServiceAddress,
		"KUBERNETES_SERVICE_PORT": fmt.Sprint(layout.APIServicePort),
	}
	for name, value := range image.Environment {
		values[name] = value
	}
	for _, source := range wanted.EnvFrom {
		data, err := r.environmentSource(ctx, source)
		if err != nil {
			return nil, err
		}
		for key, value := range data {
			values[source.Prefix+key] = value
		}
	}
	for _, variable := range wanted.Env {
		value, set, err := r.variable(ctx, variable, wanted, values)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
		}
		if set {
			values[variable.Name] = value
		}
	}
	return values, nil
}

func (r *podRunner) environmentSource(ctx context.Context, source corev1.EnvFromSource) (map[string]string, error) {
	data := map[string]string{}
	switch {
	case source.ConfigMapRef != nil:
		object, err := r.node.client.CoreV1().ConfigMaps(r.pod.Namespace).Get(ctx, source.ConfigMapRef.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		data = object.Data
	case source.SecretRef != nil:
		object, err := r.node.client.CoreV1().Secrets(r.pod.Namespace).Get(ctx, source.SecretRef.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for key, value := range object.Data {
			data[key] = string(value)
		}
	}
	return data, nil
}

func (r *podRunner) variable(
	ctx context.Context, variable corev1.EnvVar, wanted *corev1.Container, earlier map[string]string,
) (string, bool, error) {
	source := variable.ValueFrom
	if source == nil {
		return expand(variable.Value, earlier), true, nil
	}
	switch {
	case source.FieldRef != nil:
		value, err := r.field(source.FieldRef.FieldPath)
		return value, true, err
	case source.ResourceFieldRef != nil:
		value, err := quantity(source.ResourceFieldRef, wanted)
		return value, true, err
	case source.SecretKeyRef != nil:
		object, err := r.node.client.CoreV1().Secrets(r.pod.Namespace).Get(ctx, source.SecretKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			return "", false, err
		}
		value, present := object.Data[source.SecretKeyRef.Key]
		return string(value), present, nil
	case source.ConfigMapKeyRef != nil:
		object, err := r.node.client.CoreV1().ConfigMaps(r.pod.Namespace).Get(ctx, source.ConfigMapKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			return "", false, err
		}
		value, present := object.Data[source.ConfigMapKeyRef.Key]
		return value, present, nil
	}
	return "", false, fmt.Errorf("this kind of source is not known")
}

// field gives the value of a downward API path.
func (r *podRunner) field(path string) (string, error) {
	pod := r.pod
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return listing(pod.Labels), nil
	case "metadata.annotations":
		return listing(pod.Annotations), nil
	case "spec.nodeName":
		return layout.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return r.attachment.Address, nil
	case "status.hostIP", "status.hostIPs":
		return layout.BridgeAddress, nil
	}
	for prefix, from := range map[string]map[string]string{"metadata.labels": pod.Labels, "metadata.annotations": pod.Annotations} {
		if key, found := strings.CutPrefix(path, prefix+"['"); found {
			return from[strings.TrimSuffix(key, "']")], nil
		}
	}
	return "", fmt.Errorf("field %s is not known", path)
}

func quantity(selector *corev1.ResourceFieldSelector, wanted *corev1.Container) (string, error) {
	list, name, found := strings.Cut(selector.Resource, ".")
	if !found {
		return "", fmt.Errorf("resource %s is not known", selector.Resource)
	}
	quantities := wanted.Resources.Requests
	if list == "limits" {
		quantities = wanted.Resources.Limits
	}
	amount := quantities[corev1.ResourceName(name)]
	divisor := selector.Divisor.Value()
	if divisor < 1 {
		divisor = 1
	}
	return fmt.Sprint((amount.Value() + divisor - 1) / divisor), nil
}

func listing(values map[string]string) string {
	lines := make([]string, 0, len(values))
	for key, value := range values {
		lines = append(lines, fmt.Sprintf("%s=%q", key, value))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// expand replaces $(NAME) by a variable defined earlier; $$ is a dollar sign and unknown names stay as they are.
func expand(text string, values map[string]string) string {
	var result strings.Builder
	for position := 0; position < len(text); position++ {
		rest := text[position:]
		switch {
		case strings.HasPrefix(rest, "$$"):
			result.WriteByte('$')
			position++
		case strings.HasPrefix(rest, "$("):
			end := strings.IndexByte(rest, ')')
			if end < 0 {
				result.WriteString(rest)
				return result.String()
			}
			if value, known := values[rest[2:end]]; known {
				result.WriteString(value)
			} else {
				result.WriteString(rest[:end+1])
			}
			position += end
		default:
			result.WriteByte(text[position])
		}
	}
	return result.String()
}

func expandAll(texts []string, values map[string]string) []string {
	expanded := make([]string, len(texts))
	for index, text := range texts {
		expanded[index] = expand(text, values)
	}
	return expanded
}
