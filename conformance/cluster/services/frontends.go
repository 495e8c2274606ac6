package services

import (
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// frontend is one place that clients connect to.
type frontend struct {
	address  string
	port     int32
	protocol corev1.Protocol
}

func (f frontend) String() string {
	return string(f.protocol) + " " + net.JoinHostPort(f.address, strconv.Itoa(int(f.port)))
}

// frontendsOf gives every place at which a Service is reached, with the endpoints behind it. A place without an
// endpoint is not among them, so that nobody listens there and clients are refused, as by a real node.
func frontendsOf(service *corev1.Service, endpointSlices []*discoveryv1.EndpointSlice) map[frontend][]string {
	wanted := map[frontend][]string{}
	for _, port := range service.Spec.Ports {
		endpoints := endpointsOf(port, endpointSlices)
		if len(endpoints) == 0 {
			continue
		}
		for _, address := range addressesOf(service) {
			wanted[frontend{address, port.Port, port.Protocol}] = endpoints
		}
	}
	return wanted
}

func addressesOf(service *corev1.Service) []string {
	var addresses []string
	if service.Spec.Type != corev1.ServiceTypeExternalName && service.Spec.ClusterIP != "" && service.Spec.ClusterIP != corev1.ClusterIPNone {
		addresses = append(addresses, service.Spec.ClusterIP)
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if ingress.IP != "" && balanced(service) {
			addresses = append(addresses, ingress.IP)
		}
	}
	return addresses
}

// endpointsOf prefers ready endpoints. While there is none, those that are ending but still serve are better than
// nothing, as for kube-proxy.
func endpointsOf(port corev1.ServicePort, endpointSlices []*discoveryv1.EndpointSlice) []string {
	var ready, ending []string
	for _, slice := range endpointSlices {
		number := portOf(port, slice)
		if number == 0 || slice.AddressType != discoveryv1.AddressTypeIPv4 {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				place := net.JoinHostPort(address, strconv.Itoa(int(number)))
				switch conditions := endpoint.Conditions; {
				case conditions.Ready == nil || *conditions.Ready:
					ready = append(ready, place)
				case isTrue(conditions.Terminating) && isTrue(conditions.Serving):
					ending = append(ending, place)
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = ending
	}
	slices.Sort(ready)
	return slices.Compact(ready)
}

func isTrue(value *bool) bool { return value != nil && *value }

// portOf is the number by which a slice's endpoints serve a port of the Service: they are matched by name.
func portOf(port corev1.ServicePort, slice *discoveryv1.EndpointSlice) int32 {
	for _, candidate := range slice.Ports {
		name, protocol := "", corev1.ProtocolTCP
		if candidate.Name != nil {
			name = *candidate.Name
		}
		if candidate.Protocol != nil {
			protocol = *candidate.Protocol
		}
		if name == port.Name && protocol == port.Protocol && candidate.Port != nil {
			return *candidate.Port
		}
	}
	return 0
}
