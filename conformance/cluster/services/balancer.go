package services

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"sekisho.dev/conformance/cluster/layout"
)

// balancer does what a cloud does for Services of type LoadBalancer: it gives each an address, keeps it as long as the
// Service lives, and tells of one that cannot be given in an Event.
type balancer struct {
	client kubernetes.Interface
	pool   *pool
	// told remembers which refusals have been told, so that each is told once.
	told map[types.UID]string
}

func newBalancer(client kubernetes.Interface) *balancer {
	return &balancer{client: client, pool: newPool(layout.GatewayRange), told: map[types.UID]string{}}
}

// balanced tells whether the stand-in's cloud is responsible: a class names somebody else.
func balanced(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil
}

// adopt takes over what an earlier process has handed out.
func (b *balancer) adopt(service *corev1.Service) {
	if current := ingressOf(service); current != "" && balanced(service) {
		if _, err := b.pool.claim(service.UID, current); err != nil {
			log.Printf("service %s/%s: %v", service.Namespace, service.Name, err)
		}
	}
}

func ingressOf(service *corev1.Service) string {
	if len(service.Status.LoadBalancer.Ingress) == 0 {
		return ""
	}
	return service.Status.LoadBalancer.Ingress[0].IP
}

func (b *balancer) forget(owner types.UID) {
	b.pool.release(owner)
	delete(b.told, owner)
}

// settle writes the address into the Service's status. An error is worth another try.
func (b *balancer) settle(ctx context.Context, service *corev1.Service) error {
	if !balanced(service) {
		if _, owns := b.pool.owned[service.UID]; !owns {
			return nil
		}
		b.forget(service.UID)
		return b.write(ctx, service, "")
	}
	address, problem := b.pool.claim(service.UID, service.Spec.LoadBalancerIP)
	if problem != nil {
		b.pool.release(service.UID)
		b.tell(ctx, service, problem.Error())
		return b.write(ctx, service, "")
	}
	return b.write(ctx, service, address.String())
}

func (b *balancer) write(ctx context.Context, service *corev1.Service, address string) error {
	if ingressOf(service) == address {
		return nil
	}
	var ingress []corev1.LoadBalancerIngress
	if address != "" {
		mode := corev1.LoadBalancerIPModeVIP
		ingress = []corev1.LoadBalancerIngress{{IP: address, IPMode: &mode}}
	}
	// A patch, because what else has changed since this Service was read is of no interest here.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": service.UID},
		"status":   map[string]any{"loadBalancer": map[string]any{"ingress": ingress}},
	})
	if err != nil {
		return err
	}
	_, err = b.client.CoreV1().Services(service.Namespace).Patch(
		ctx, service.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	// Gone, or another one under the same name: nothing is left to write.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (b *balancer) tell(ctx context.Context, service *corev1.Service, problem string) {
	if b.told[service.UID] == problem {
		return
	}
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: service.Name + ".", Namespace: service.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Service", Namespace: service.Namespace, Name: service.Name, UID: service.UID,
		},
		Type: corev1.EventTypeWarning, Reason: "SyncLoadBalancerFailed",
		Message:        fmt.Sprintf("Error syncing load balancer: %s", problem),
		Source:         corev1.EventSource{Component: "service-controller"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if _, err := b.client.CoreV1().Events(service.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		log.Printf("service %s/%s: event: %v", service.Namespace, service.Name, err)
		return
	}
	b.told[service.UID] = problem
}
