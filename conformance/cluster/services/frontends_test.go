package services

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func pointer[T any](value T) *T { return &value }

func slice(name string, port int32, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: pointer(corev1.ProtocolTCP)}},
		Endpoints:   endpoints,
	}
}

func endpoint(address string, conditions discoveryv1.EndpointConditions) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: conditions}
}

func balancedService() *corev1.Service {
	return &corev1.Service{
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.3.4",
			Ports: []corev1.ServicePort{{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "10.250.0.1"}}}},
	}
}

func TestAServiceIsReachedAtItsClusterAndItsBalancersAddress(t *testing.T) {
	ready := discoveryv1.EndpointConditions{Ready: pointer(true)}
	found := frontendsOf(balancedService(), []*discoveryv1.EndpointSlice{
		slice("web", 8080, endpoint("10.244.0.3", ready), endpoint("10.244.0.2", ready)), slice("other", 9090, endpoint("10.244.0.4", ready)),
	})
	for _, address := range []string{"10.96.3.4", "10.250.0.1"} {
		places := found[frontend{address, 80, corev1.ProtocolTCP}]
		if !slices.Equal(places, []string{"10.244.0.2:8080", "10.244.0.3:8080"}) {
			t.Errorf("%s: %v", address, places)
		}
	}
	if len(found) != 2 {
		t.Errorf("more than two places: %v", found)
	}
}

func TestEndingEndpointsServeOnlyWhileThereIsNoReadyOne(t *testing.T) {
	ending := endpoint("10.244.0.2", discoveryv1.EndpointConditions{Ready: pointer(false), Serving: pointer(true), Terminating: pointer(true)})
	failing := endpoint("10.244.0.3", discoveryv1.EndpointConditions{Ready: pointer(false)})
	fresh := endpoint("10.244.0.4", discoveryv1.EndpointConditions{})
	port := corev1.ServicePort{Name: "web", Protocol: corev1.ProtocolTCP}
	if got := endpointsOf(port, []*discoveryv1.EndpointSlice{slice("web", 80, ending, failing)}); !slices.Equal(got, []string{"10.244.0.2:80"}) {
		t.Errorf("without a ready one: %v", got)
	}
	if got := endpointsOf(port, []*discoveryv1.EndpointSlice{slice("web", 80, ending, failing, fresh)}); !slices.Equal(got, []string{"10.244.0.4:80"}) {
		t.Errorf("with a ready one: %v", got)
	}
}

func TestNobodyListensForAServiceWithoutEndpointsOrAddress(t *testing.T) {
	headless := balancedService()
	headless.Spec.Type, headless.Spec.ClusterIP = corev1.ServiceTypeClusterIP, corev1.ClusterIPNone
	ready := slice("web", 80, endpoint("10.244.0.2", discoveryv1.EndpointConditions{}))
	if found := frontendsOf(headless, []*discoveryv1.EndpointSlice{ready}); len(found) != 0 {
		t.Errorf("headless: %v", found)
	}
	if found := frontendsOf(balancedService(), nil); len(found) != 0 {
		t.Errorf("without endpoints: %v", found)
	}
}
