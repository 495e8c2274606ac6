package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sekisho.dev/conformance/cluster/podinit/container"
)

const (
	serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenLifetime        = int64(24 * 3600)
)

// writeVolume makes the folder of one volume, and returns it. A Secret or ConfigMap that does not exist yet is an
// error that the caller retries: the suite creates Secrets after the Deployments that mount them.
func (r *podRunner) writeVolume(ctx context.Context, volume *corev1.Volume) (string, error) {
	folder := filepath.Join(r.folder, "volumes", volume.Name)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return "", err
	}
	if volume.EmptyDir != nil {
		// The umask must not keep the container's user out of its own folder.
		return folder, os.Chmod(folder, 0o777)
	}
	r.volumeLock.Lock()
	defer r.volumeLock.Unlock()
	files, err := r.volumeContents(ctx, volume)
	if err != nil {
		return "", fmt.Errorf("volume %s: %w", volume.Name, err)
	}
	return folder, files.write(folder)
}

func (r *podRunner) volumeContents(ctx context.Context, volume *corev1.Volume) (contents, error) {
	switch {
	case volume.Secret != nil:
		return r.secret(ctx, volume.Secret.SecretName, volume.Secret.Items, volume.Secret.Optional)
	case volume.ConfigMap != nil:
		return r.configMap(ctx, volume.ConfigMap.Name, volume.ConfigMap.Items, volume.ConfigMap.Optional)
	case volume.DownwardAPI != nil:
		return r.downward(volume.DownwardAPI.Items)
	case volume.Projected != nil:
		return r.projected(ctx, volume.Projected.Sources)
	}
	return nil, fmt.Errorf("this kind of volume is not known")
}

func (r *podRunner) projected(ctx context.Context, sources []corev1.VolumeProjection) (contents, error) {
	all := contents{}
	for _, source := range sources {
		var part contents
		var err error
		switch {
		case source.Secret != nil:
			part, err = r.secret(ctx, source.Secret.Name, source.Secret.Items, source.Secret.Optional)
		case source.ConfigMap != nil:
			part, err = r.configMap(ctx, source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional)
		case source.DownwardAPI != nil:
			part, err = r.downward(source.DownwardAPI.Items)
		case source.ServiceAccountToken != nil:
			var token []byte
			token, err = r.tokenOf(ctx, source.ServiceAccountToken.Audience, source.ServiceAccountToken.ExpirationSeconds)
			part = contents{source.ServiceAccountToken.Path: token}
		default:
			err = fmt.Errorf("this kind of projected source is not known")
		}
		if err != nil {
			return nil, err
		}
		for name, data := range part {
			all[name] = data
		}
	}
	return all, nil
}

func (r *podRunner) secret(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) (contents, error) {
	object, err := r.node.client.CoreV1().Secrets(r.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if errors.IsNotFound(err) && optional != nil && *optional {
		return contents{}, nil
	}
	if err != nil {
		return nil, err
	}
	return choose(object.Data, items)
}

func (r *podRunner) configMap(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) (contents, error) {
	object, err := r.node.client.CoreV1().ConfigMaps(r.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if errors.IsNotFound(err) && optional != nil && *optional {
		return contents{}, nil
	}
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for key, value := range object.Data {
		data[key] = []byte(value)
	}
	for key, value := range object.BinaryData {
		data[key] = value
	}
	return choose(data, items)
}

func (r *podRunner) downward(items []corev1.DownwardAPIVolumeFile) (contents, error) {
	files := contents{}
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("downward file %s: only fieldRef is known", item.Path)
		}
		value, err := r.field(item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		files[item.Path] = []byte(value)
	}
	return files, nil
}

func (r *podRunner) token(ctx context.Context, audience string, lifetime int64) ([]byte, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &lifetime,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: r.pod.Name, UID: r.pod.UID},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	answer, err := r.node.client.CoreV1().ServiceAccounts(r.pod.Namespace).
		CreateToken(ctx, r.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("token of service account %s: %w", r.pod.Spec.ServiceAccountName, err)
	}
	return []byte(answer.Status.Token), nil
}

// serviceAccountMount does what the admission plugin and the kubelet do together in a cluster: the account's
// token, the authority and the namespace, at the place where every client library looks for them.
func (r *podRunner) serviceAccountMount(ctx context.Context) ([]container.Mount, error) {
	automount := r.pod.Spec.AutomountServiceAccountToken
	if r.pod.Spec.ServiceAccountName == "" || (automount != nil && !*automount) {
		return nil, nil
	}
	token, err := r.tokenOf(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(r.node.files.Certificate("ca"))
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(r.folder, "service-account")
	files := contents{"token": token, "ca.crt": authority, "namespace": []byte(r.pod.Namespace)}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	r.volumeLock.Lock()
	defer r.volumeLock.Unlock()
	if err := files.write(folder); err != nil {
		return nil, err
	}
	return []container.Mount{{Source: folder, Target: serviceAccountFolder, ReadOnly: true}}, nil
}

// mounts prepares every volume of the pod once, and maps them to the container's paths.
func (r *podRunner) mounts(ctx context.Context, wanted *corev1.Container) ([]container.Mount, error) {
	mounts, err := r.serviceAccountMount(ctx)
	if err != nil {
		return nil, err
	}
	volumes := map[string]*corev1.Volume{}
	for index := range r.pod.Spec.Volumes {
		volumes[r.pod.Spec.Volumes[index].Name] = &r.pod.Spec.Volumes[index]
	}
	for _, mount := range wanted.VolumeMounts {
		volume, known := volumes[mount.Name]
		if !known {
			return nil, fmt.Errorf("volume %s is not in the pod", mount.Name)
		}
		folder, err := r.writeVolume(ctx, volume)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, container.Mount{
			Source: filepath.Join(folder, mount.SubPath), Target: mount.MountPath, ReadOnly: mount.ReadOnly || volume.EmptyDir == nil,
		})
	}
	return mounts, nil
}
