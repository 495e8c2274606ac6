// Package layout names what the parts of the one-machine cluster share: addresses, ports and the places of
// files under the state folder. It opens and writes nothing.
package layout

import "path/filepath"

const (
	EtcdClientAddress = "127.0.0.1:2379"
	EtcdPeerAddress   = "127.0.0.1:2380"
	APIServerPort     = 6443
	APIServerURL      = "https://127.0.0.1:6443"
	// KubeletPort is where the API server asks for the logs of pods.
	KubeletPort          = 10250
	ServiceAccountIssuer = "https://kubernetes.default.svc"

	ServiceRange = "10.96.0.0/16"
	// APIServiceAddress is the first of ServiceRange: the API server gives it to the Service "kubernetes".
	APIServiceAddress = "10.96.0.1"
	APIServicePort    = 443
	// DNSAddress is where the cluster's names are resolved. The API server hands out addresses that low only when asked.
	DNSAddress = "10.96.0.10"
	DNSDomain  = "cluster.local"
	PodRange   = "10.244.0.0/16"
	// BridgeAddress is the node's own address: pods reach the node by it, and nothing else.
	BridgeAddress = "10.244.0.1"
	BridgeName    = "cni0"
	NodeName      = "one-machine"
	// GatewayRange is local to the node. Load balancers get addresses of its first half, and any that a Service asks
	// for; a data plane outside pods may bind others.
	GatewayRange = "10.250.0.0/16"
)

// Files is the state folder of one run.
type Files string

func (f Files) path(parts ...string) string {
	return filepath.Join(append([]string{string(f)}, parts...)...)
}

func (f Files) EtcdData() string               { return f.path("etcd") }
func (f Files) Tokens() string                 { return f.path("tokens.csv") }
func (f Files) Kubeconfig() string             { return f.path("kubeconfig") }
func (f Files) Certificate(name string) string { return f.path("certificates", name+".crt") }
func (f Files) PrivateKey(name string) string  { return f.path("certificates", name+".key") }
func (f Files) Log(process string) string      { return f.path("logs", process+".log") }
func (f Files) Pods() string                   { return f.path("pods") }
func (f Files) PodLogs(parts ...string) string {
	return f.path(append([]string{"pod-logs"}, parts...)...)
}
func (f Files) NameServer() string    { return f.path("name-server.conf") }
func (f Files) Resolver() string      { return f.path("resolv.conf") }
func (f Files) ControlSocket() string { return f.path("control") }
