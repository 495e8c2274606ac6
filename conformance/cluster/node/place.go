package node

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"sekisho.dev/conformance/cluster/layout"
	"sekisho.dev/conformance/cluster/network"
)

// attach gives the pod its place in the network: a namespace of its own, or the node's when it asks for that.
func (r *podRunner) attach() (*network.Attachment, error) {
	if r.pod.Spec.HostNetwork {
		return &network.Attachment{Address: layout.BridgeAddress}, nil
	}
	return r.node.network.Attach()
}

func (r *podRunner) detach() error {
	if r.pod.Spec.HostNetwork {
		return nil
	}
	return r.node.network.Detach(r.attachment)
}

// sysctls are the network's. A pod in the node's own namespace may set none.
func (r *podRunner) sysctls() map[string]string {
	values := map[string]string{}
	if security := r.pod.Spec.SecurityContext; security != nil && !r.pod.Spec.HostNetwork {
		for _, sysctl := range security.Sysctls {
			values[sysctl.Name] = sysctl.Value
		}
	}
	return values
}

// resolver is the pod's /etc/resolv.conf by its DNS policy. The node itself knows only the cluster's name server too,
// so policies differ in the search list.
func (r *podRunner) resolver() string {
	spec := r.pod.Spec
	servers, options := []string{layout.DNSAddress}, []string{"ndots:5"}
	search := []string{r.pod.Namespace + ".svc." + layout.DNSDomain, "svc." + layout.DNSDomain, layout.DNSDomain}
	switch {
	case spec.DNSPolicy == corev1.DNSNone:
		servers, search, options = nil, nil, nil
	case spec.DNSPolicy == corev1.DNSDefault, spec.DNSPolicy == corev1.DNSClusterFirst && spec.HostNetwork:
		search, options = nil, nil
	}
	if own := spec.DNSConfig; own != nil {
		servers, search = append(servers, own.Nameservers...), append(search, own.Searches...)
		for _, option := range own.Options {
			text := option.Name
			if option.Value != nil {
				text += ":" + *option.Value
			}
			options = append(options, text)
		}
	}
	var lines strings.Builder
	for _, server := range servers {
		fmt.Fprintf(&lines, "nameserver %s\n", server)
	}
	if len(search) > 0 {
		fmt.Fprintf(&lines, "search %s\n", strings.Join(search, " "))
	}
	if len(options) > 0 {
		fmt.Fprintf(&lines, "options %s\n", strings.Join(options, " "))
	}
	return lines.String()
}
