package smoke

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const sidecarNamespace = "smoke-sidecar"

// sidecarPod has an init container that goes on beside the pod's container.
func sidecarPod() *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	port := func(http, h2c string) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "HTTP_PORT", Value: http}, {Name: "H2C_PORT", Value: h2c}}
	}
	probe := &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 60, ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(3100)},
	}}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pair", Namespace: sidecarNamespace},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{
				Name: "beside", Image: image, RestartPolicy: &always, Env: port("3100", "3101"), StartupProbe: probe,
			}},
			Containers: []corev1.Container{{Name: "main", Image: image, Env: port("3200", "3201")}},
		},
	}
}

func TestASidecarHasStartedUpBeforeTheContainersStart(t *testing.T) {
	ctx, client := context.Background(), connect(t)
	if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: sidecarNamespace},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := client.CoreV1().Pods(sidecarNamespace)
	if _, err := pods.Create(ctx, sidecarPod(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var status corev1.PodStatus
	eventually(t, "both containers are ready", func() error {
		pod, err := pods.Get(ctx, "pair", metav1.GetOptions{})
		if err != nil {
			return err
		}
		status = pod.Status
		if len(status.InitContainerStatuses) != 1 || !status.InitContainerStatuses[0].Ready || !status.ContainerStatuses[0].Ready {
			return fmt.Errorf("the pod is %s: %+v", status.Phase, status.Conditions)
		}
		return nil
	})
	beside, main := status.InitContainerStatuses[0].State.Running, status.ContainerStatuses[0].State.Running
	if beside == nil || main == nil || main.StartedAt.Before(&beside.StartedAt) {
		t.Errorf("the container started at %v, its sidecar at %v", main, beside)
	}
	if err := client.CoreV1().Namespaces().Delete(ctx, sidecarNamespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is gone", func() error {
		_, err := pods.Get(ctx, "pair", metav1.GetOptions{})
		if err != nil {
			return nil
		}
		return fmt.Errorf("it is still there")
	})
}
