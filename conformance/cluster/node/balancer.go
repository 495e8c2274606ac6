package node

import (
	"context"
	"log"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// balancer stands in for a cloud's load balancers: a Service of that type gets the address of one of its ready
// pods. It therefore expects a pod to listen on the Service's ports themselves.
type balancer struct {
	client   kubernetes.Interface
	pods     cache.Store
	services cache.Store
	wake     chan struct{}
}

func (b *balancer) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *balancer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
		for _, object := range b.services.List() {
			service := object.(*corev1.Service)
			if service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.DeletionTimestamp == nil {
				b.settle(ctx, service)
			}
		}
	}
}

func (b *balancer) settle(ctx context.Context, service *corev1.Service) {
	addresses := b.readyAddresses(service)
	current := ""
	if len(service.Status.LoadBalancer.Ingress) > 0 {
		current = service.Status.LoadBalancer.Ingress[0].IP
	}
	for _, address := range addresses {
		if address == current {
			return
		}
	}
	// Without any ready pod a load balancer keeps its address.
	if len(addresses) == 0 {
		return
	}
	changed := service.DeepCopy()
	mode := corev1.LoadBalancerIPModeVIP
	changed.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: addresses[0], IPMode: &mode}}
	_, err := b.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		if !apierrors.IsConflict(err) {
			log.Printf("service %s/%s: status: %v", service.Namespace, service.Name, err)
		}
		time.AfterFunc(retryPeriod, b.poke)
	}
}

func (b *balancer) readyAddresses(service *corev1.Service) []string {
	if len(service.Spec.Selector) == 0 {
		return nil
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	var addresses []string
	for _, object := range b.pods.List() {
		pod := object.(*corev1.Pod)
		if pod.Namespace != service.Namespace || pod.DeletionTimestamp != nil || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				addresses = append(addresses, pod.Status.PodIP)
			}
		}
	}
	sort.Strings(addresses)
	return addresses
}
