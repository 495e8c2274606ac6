// Package manifests applies the YAML files of a folder by server-side apply with strict validation, and waits until
// the API server serves the kinds that they define.
package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	owner           = "one-machine-cluster"
	establishLimit  = 60 * time.Second
	establishPeriod = 100 * time.Millisecond
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Apply applies every object of the folder's .yaml files and returns how many there were.
func Apply(ctx context.Context, kubeconfig, folder string) (int, error) {
	configuration, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return 0, fmt.Errorf("read the kubeconfig: %w", err)
	}
	configuration.QPS, configuration.Burst = 100, 200
	client, err := dynamic.NewForConfig(configuration)
	if err != nil {
		return 0, err
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(configuration)
	if err != nil {
		return 0, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds))
	objects, err := read(folder)
	if err != nil {
		return 0, err
	}
	var defined []string
	for _, object := range objects {
		if err := apply(ctx, client, mapper, object); err != nil {
			return 0, fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if object.GetKind() == "CustomResourceDefinition" {
			defined = append(defined, object.GetName())
		}
	}
	return len(objects), established(ctx, client, defined)
}

func read(folder string) ([]*unstructured.Unstructured, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no .yaml files in %s", folder)
	}
	slices.Sort(paths)
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		// A kustomization lists files; it is not an object of the API.
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 64<<10)
		for {
			object := &unstructured.Unstructured{}
			if err := documents.Decode(object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("decode %s: %w", path, err)
			}
			if len(object.Object) > 0 {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}

func apply(
	ctx context.Context, client dynamic.Interface, mapper *restmapper.DeferredDiscoveryRESTMapper, object *unstructured.Unstructured,
) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(object)
	if err != nil {
		return err
	}
	force := true
	_, err = client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Patch(
		ctx, object.GetName(), types.ApplyPatchType, encoded,
		metav1.PatchOptions{FieldManager: owner, Force: &force, FieldValidation: metav1.FieldValidationStrict},
	)
	return err
}

func established(ctx context.Context, client dynamic.Interface, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, establishLimit)
	defer cancel()
	for _, name := range names {
		for {
			object, err := client.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			if isEstablished(object) {
				break
			}
			time.Sleep(establishPeriod)
		}
	}
	return nil
}

func isEstablished(object *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		condition, isMap := entry.(map[string]any)
		if isMap && condition["type"] == "Established" && condition["status"] == "True" {
			return true
		}
	}
	return false
}
