// Package servers holds the three processes of the control plane: etcd, the Kubernetes API server and the
// controller manager, each linked in as a library and run in a process of its own by the supervisor.
// It owns their flags. It knows nothing of pods, namespaces or the suite.
package servers

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"sekisho.dev/conformance/cluster/layout"
)

// Controllers are the loops of the controller manager that a Gateway API implementation depends on. There is no
// scheduler and no service-account token controller: the node stand-in does the part of both that is needed.
var Controllers = []string{
	"deployment-controller",
	"replicaset-controller",
	"endpointslice-controller",
	"namespace-controller",
	"garbage-collector-controller",
	"pod-garbage-collector-controller",
}

const etcdStartLimit = 60 * time.Second

// Etcd serves the store until the context ends.
func Etcd(ctx context.Context, files layout.Files) error {
	configuration := embed.NewConfig()
	configuration.Dir = files.EtcdData()
	configuration.LogLevel = "warn"
	configuration.UnsafeNoFsync = true
	client := url.URL{Scheme: "http", Host: layout.EtcdClientAddress}
	peer := url.URL{Scheme: "http", Host: layout.EtcdPeerAddress}
	configuration.ListenClientUrls, configuration.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	configuration.ListenPeerUrls, configuration.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	configuration.InitialCluster = configuration.InitialClusterFromName(configuration.Name)
	server, err := embed.StartEtcd(configuration)
	if err != nil {
		return fmt.Errorf("start etcd in %s: %w", configuration.Dir, err)
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(etcdStartLimit):
		return fmt.Errorf("etcd did not become ready in %s", etcdStartLimit)
	case <-ctx.Done():
		return nil
	}
	select {
	case err := <-server.Err():
		return fmt.Errorf("etcd stopped: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// APIServer runs the API server until a signal ends the process, and returns its exit code.
func APIServer(files layout.Files) int {
	command := apiserver.NewAPIServerCommand()
	command.SetArgs([]string{
		"--etcd-servers=http://" + layout.EtcdClientAddress,
		"--bind-address=0.0.0.0",
		"--advertise-address=" + layout.BridgeAddress,
		fmt.Sprintf("--secure-port=%d", layout.APIServerPort),
		"--tls-cert-file=" + files.Certificate("apiserver"),
		"--tls-private-key-file=" + files.PrivateKey("apiserver"),
		"--client-ca-file=" + files.Certificate("ca"),
		"--kubelet-certificate-authority=" + files.Certificate("ca"),
		"--kubelet-client-certificate=" + files.Certificate("apiserver"),
		"--kubelet-client-key=" + files.PrivateKey("apiserver"),
		"--kubelet-preferred-address-types=InternalIP",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + layout.ServiceRange,
		"--token-auth-file=" + files.Tokens(),
		"--authorization-mode=RBAC",
		"--disable-admission-plugins=ServiceAccount",
		"--allow-privileged=true",
		"--service-account-issuer=" + layout.ServiceAccountIssuer,
		"--service-account-key-file=" + files.Certificate("service-account"),
		"--service-account-signing-key-file=" + files.PrivateKey("service-account"),
	})
	return cli.Run(command)
}

// ControllerManager runs the chosen controllers until a signal ends the process, and returns its exit code.
func ControllerManager(files layout.Files) int {
	command := controllers.NewControllerManagerCommand()
	command.SetArgs([]string{
		"--kubeconfig=" + files.Kubeconfig(),
		"--authentication-kubeconfig=" + files.Kubeconfig(),
		"--authorization-kubeconfig=" + files.Kubeconfig(),
		"--controllers=" + strings.Join(Controllers, ","),
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--cluster-cidr=" + layout.PodRange,
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	})
	return cli.Run(command)
}
