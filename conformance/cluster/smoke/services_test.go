package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

const servicesNamespace = "smoke-services"

// nameServer is a pod that listens on one low port over UDP, as a user that may only by the pod's sysctl.
func nameServer() *appsv1.Deployment {
	user, labels := int64(65532), map[string]string{"app": "names"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "names", Namespace: servicesNamespace},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					SecurityContext: &corev1.PodSecurityContext{
						RunAsUser: &user, Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}},
					},
					Containers: []corev1.Container{{
						Name: "names", Image: "registry.k8s.io/coredns/coredns:v1", Args: []string{"-conf", "/etc/names/Corefile"},
						VolumeMounts: []corev1.VolumeMount{{Name: "names", MountPath: "/etc/names"}},
					}},
					Volumes: []corev1.Volume{{Name: "names", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: "names"},
					}}}},
				},
			},
		},
	}
}

func service(name string, kind corev1.ServiceType, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: servicesNamespace},
		Spec:       corev1.ServiceSpec{Type: kind, Selector: map[string]string{"app": "names"}, Ports: ports},
	}
}

func TestServicesAreReachedByTheirAddressesAndNames(t *testing.T) {
	ctx, client := context.Background(), connect(t)
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: servicesNamespace},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.CoreV1().Namespaces().Delete(ctx, servicesNamespace, metav1.DeleteOptions{}) })
	names := client.CoreV1().ConfigMaps(servicesNamespace)
	if _, err := names.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "names"}, Data: map[string]string{
		"Corefile": ".:53 {\n template IN A {\n answer \"{{ .Name }} 60 IN A 192.0.2.77\"\n }\n health :8080\n}\n",
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AppsV1().Deployments(servicesNamespace).Create(ctx, nameServer(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	web := corev1.ServicePort{Name: "web", Port: 80, TargetPort: intstr.FromInt32(8080)}
	dns := corev1.ServicePort{Name: "dns", Port: 5353, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(53)}
	asked, outside := service("asked", corev1.ServiceTypeLoadBalancer, web), service("outside", corev1.ServiceTypeLoadBalancer, web)
	asked.Spec.LoadBalancerIP, outside.Spec.LoadBalancerIP = "10.250.200.1", "192.0.2.1"
	for _, made := range []*corev1.Service{service("inner", corev1.ServiceTypeClusterIP, web), service("outer", corev1.ServiceTypeLoadBalancer, web, dns), asked, outside} {
		if _, err := client.CoreV1().Services(servicesNamespace).Create(ctx, made, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a ClusterIP answers by its name", func() error {
		return answers("http://inner." + servicesNamespace + ".svc.cluster.local/health")
	})
	address := ingress(t, ctx, client, "outer")
	eventually(t, "a load balancer answers over TCP", func() error { return answers("http://" + address + "/health") })
	eventually(t, "a load balancer answers over UDP", func() error { return resolves(ctx, address+":5353") })
	eventually(t, "a load balancer has the address that was asked for", func() error { return answers("http://10.250.200.1/health") })
	checkRefusal(t, ctx, client)
	checkOutage(t, ctx, client, address)
	checkFault(t, address)
}

func answers(target string) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(target)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && string(body) != "OK" {
		err = fmt.Errorf("%s answered %q", target, body)
	}
	return err
}

func resolves(ctx context.Context, server string) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server)
	}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	found, err := resolver.LookupNetIP(ctx, "ip4", "anything.test.")
	if err == nil && (len(found) != 1 || found[0].String() != "192.0.2.77") {
		err = fmt.Errorf("found %v", found)
	}
	return err
}

func ingress(t *testing.T, ctx context.Context, client kubernetes.Interface, name string) (address string) {
	t.Helper()
	eventually(t, "Service "+name+" has an address", func() error {
		found, err := client.CoreV1().Services(servicesNamespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(found.Status.LoadBalancer.Ingress) != 1 {
			return errors.New("it has none")
		}
		address = found.Status.LoadBalancer.Ingress[0].IP
		return nil
	})
	return address
}

func checkRefusal(t *testing.T, ctx context.Context, client kubernetes.Interface) {
	t.Helper()
	eventually(t, "an address that is not the cloud's is refused in an Event", func() error {
		events, err := client.CoreV1().Events(servicesNamespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if event.InvolvedObject.Name == "outside" && strings.Contains(event.Message, "192.0.2.1 is not in the range") {
				return nil
			}
		}
		return fmt.Errorf("none among %d events", len(events.Items))
	})
	found, err := client.CoreV1().Services(servicesNamespace).Get(ctx, "outside", metav1.GetOptions{})
	if err != nil || len(found.Status.LoadBalancer.Ingress) != 0 {
		t.Errorf("a refused Service has %v, %v", found.Status.LoadBalancer.Ingress, err)
	}
}

// checkOutage takes the pods away and gives them back: the address stays, and clients are refused meanwhile.
func checkOutage(t *testing.T, ctx context.Context, client kubernetes.Interface, address string) {
	t.Helper()
	scale := func(replicas int) {
		t.Helper()
		patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
		if _, err := client.AppsV1().Deployments(servicesNamespace).Patch(
			ctx, "names", "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	scale(0)
	eventually(t, "clients are refused while there is no pod", func() error {
		if err := answers("http://" + address + "/health"); err == nil || !strings.Contains(err.Error(), "refused") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	scale(1)
	eventually(t, "the same address answers again", func() error { return answers("http://" + address + "/health") })
}

// checkFault stops the API server alone: what is served goes on, and the node comes back to it.
func checkFault(t *testing.T, address string) {
	t.Helper()
	for _, order := range []string{"stop", "start"} {
		begun := time.Now()
		if output, err := exec.Command("cluster", "part", order, "apiserver").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", order, err, output)
		}
		t.Logf("%s apiserver: %.1f s", order, time.Since(begun).Seconds())
		if err := answers("http://" + address + "/health"); err != nil {
			t.Errorf("after %s: %v", order, err)
		}
	}
	if output, err := exec.Command("cluster", "part", "start", "scheduler").CombinedOutput(); err == nil {
		t.Errorf("an unknown part was started: %s", output)
	}
}
