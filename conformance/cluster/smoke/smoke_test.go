// Package smoke checks the one-machine cluster itself, from inside: what a test of a gateway takes for granted must
// hold before any gateway is judged on it. `conformance/run smoke` runs it.
package smoke

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	namespace = "smoke"
	image     = "registry.k8s.io/gateway-api/echo-basic:v1.5.1"
	limit     = 60 * time.Second
)

func connect(t *testing.T) kubernetes.Interface {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("KUBECONFIG is not set: run this check by conformance/run smoke")
	}
	configuration, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	begun := time.Now()
	var problem error
	for time.Since(begun) < limit {
		if problem = check(); problem == nil {
			t.Logf("%s: %.1f s", what, time.Since(begun).Seconds())
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s: not after %s: %v", what, limit, problem)
}

func deployment() *appsv1.Deployment {
	replicas := int32(2)
	labels := map[string]string{"app": "echo"}
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{
						Name: "echo", Image: image,
						Env: []corev1.EnvVar{
							{Name: "POD_NAME", ValueFrom: field("metadata.name")},
							{Name: "NAMESPACE", ValueFrom: field("metadata.namespace")},
							{Name: "TLS_SERVER_CERT", Value: "/etc/pair/tls.crt"},
							{Name: "TLS_SERVER_PRIVKEY", Value: "/etc/pair/tls.key"},
							{Name: "HTTP_PORT", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
								LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Key: "port",
							}}},
						},
						VolumeMounts: []corev1.VolumeMount{{Name: "pair", MountPath: "/etc/pair"}},
					}},
					Volumes: []corev1.Volume{{Name: "pair", VolumeSource: corev1.VolumeSource{
						Secret: &corev1.SecretVolumeSource{SecretName: "pair"},
					}}},
				},
			},
		},
	}
}

func TestPodsRunAsProcessesAndLeaveNothingBehind(t *testing.T) {
	ctx, client := context.Background(), connect(t)
	create(t, ctx, client)
	awaitEndpoints(t, ctx, client)
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) != 2 {
		t.Fatalf("two pods expected: %d, %v", len(pods.Items), err)
	}
	for index := range pods.Items {
		checkAnswer(t, &pods.Items[index])
		checkLogs(t, ctx, client, &pods.Items[index])
	}
	if err := client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace and everything in it is gone", func() error {
		_, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there: %v", err)
	})
	for _, pod := range pods.Items {
		if _, err := get(&pod, "3100"); err == nil {
			t.Errorf("pod %s still answers after its end", pod.Name)
		}
	}
}

func create(t *testing.T, ctx context.Context, client kubernetes.Interface) {
	t.Helper()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}))
	must(client.AppsV1().Deployments(namespace).Create(ctx, deployment(), metav1.CreateOptions{}))
	must(client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "echo"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "echo"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{}))
	// What the pods mount comes after them, as in the upstream suite.
	must(client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"port": "3100"},
	}, metav1.CreateOptions{}))
	certificate, key := pair(t)
	must(client.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "pair"}, Data: map[string][]byte{"tls.crt": certificate, "tls.key": key},
	}, metav1.CreateOptions{}))
}

func awaitEndpoints(t *testing.T, ctx context.Context, client kubernetes.Interface) {
	t.Helper()
	eventually(t, "the Service has two ready endpoints", func() error {
		slices, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=echo",
		})
		if err != nil {
			return err
		}
		ready := 0
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					ready++
				}
			}
		}
		if ready != 2 {
			return fmt.Errorf("%d are ready", ready)
		}
		return nil
	})
}

func get(pod *corev1.Pod, port string) ([]byte, error) {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + pod.Status.PodIP + ":" + port + "/smoke-" + pod.Name)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

func checkAnswer(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	var body []byte
	eventually(t, "pod "+pod.Name+" answers", func() (err error) {
		body, err = get(pod, "3100")
		return err
	})
	var echoed struct{ Namespace, Pod string }
	if err := json.Unmarshal(body, &echoed); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if echoed.Namespace != namespace || echoed.Pod != pod.Name {
		t.Errorf("pod %s says that it is %s/%s", pod.Name, echoed.Namespace, echoed.Pod)
	}
}

func checkLogs(t *testing.T, ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) {
	t.Helper()
	logs := func(since *metav1.Time) string {
		content, err := client.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: "echo", SinceTime: since}).DoRaw(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	if content := logs(nil); !strings.Contains(content, "/smoke-"+pod.Name) || !strings.Contains(content, "https") {
		t.Errorf("the log of %s has neither its request nor its start: %q", pod.Name, content)
	}
	future := metav1.NewTime(time.Now().Add(time.Hour))
	if content := bytes.TrimSpace([]byte(logs(&future))); len(content) > 0 {
		t.Errorf("the log of %s has lines of the future: %q", pod.Name, content)
	}
}
