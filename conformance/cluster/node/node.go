// Package node stands in for a Kubernetes node: it binds every pending pod to itself, runs the containers as local
// processes in the pod's network namespace, reports their state, and serves their logs. It pulls no images: a list
// says which local program stands for each. It knows nothing of gateways or of the suite.
package node

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"sekisho.dev/conformance/cluster/layout"
	"sekisho.dev/conformance/cluster/network"
	"sekisho.dev/conformance/cluster/services"
)

const (
	requestsPerSecond = 500
	resync            = 30 * time.Second
	stopLimit         = 40 * time.Second
	shortGrace        = 3 * time.Second
)

// Node is the stand-in. Its pods are keyed by UID: a pod deleted and made again under one name is another pod.
type Node struct {
	client  kubernetes.Interface
	files   layout.Files
	images  Images
	podinit string
	network *network.Pods

	lock    sync.Mutex
	runners map[types.UID]*podRunner
	waiting sync.WaitGroup
	// ending tells that the whole cluster ends: nobody is left for whom a pod would take its time.
	ending chan struct{}
}

// New connects to the API server by the kubeconfig of the state folder. `podinit` is the path of that program.
func New(files layout.Files, images Images, podinit string) (*Node, error) {
	configuration, err := clientcmd.BuildConfigFromFlags("", files.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	configuration.QPS, configuration.Burst = requestsPerSecond, 2*requestsPerSecond
	client, err := kubernetes.NewForConfig(configuration)
	if err != nil {
		return nil, fmt.Errorf("make the API client: %w", err)
	}
	return &Node{
		client: client, files: files, images: images, podinit: podinit,
		network: &network.Pods{}, runners: map[types.UID]*podRunner{}, ending: make(chan struct{}),
	}, nil
}

// Run serves until the context ends, and then ends every container.
func (n *Node) Run(ctx context.Context) error {
	if err := n.register(ctx); err != nil {
		return err
	}
	if err := n.offerAPIServer(ctx); err != nil {
		return err
	}
	server, err := n.logServer()
	if err != nil {
		return fmt.Errorf("prepare the log endpoint: %w", err)
	}
	failed := make(chan error, 1)
	go func() {
		failed <- server.ListenAndServeTLS(n.files.Certificate("kubelet"), n.files.PrivateKey("kubelet"))
	}()
	factory := informers.NewSharedInformerFactory(n.client, resync)
	pods := factory.Core().V1().Pods().Informer()
	if err := watch(pods, func(object any, gone bool) { n.observe(ctx, object.(*corev1.Pod), gone) }); err != nil {
		return err
	}
	proxy, err := services.New(n.client, factory)
	if err != nil {
		return fmt.Errorf("prepare the services: %w", err)
	}
	factory.Start(ctx.Done())
	n.inBackground(func() { proxy.Run(ctx) })
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("log endpoint: %w", err)
	}
	if closing := server.Close(); closing != nil && !errors.Is(closing, http.ErrServerClosed) {
		log.Printf("closing the log endpoint: %v", closing)
	}
	n.stopAll()
	return err
}

func watch(informer cache.SharedIndexInformer, observe func(object any, gone bool)) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { observe(object, false) },
		UpdateFunc: func(_, object any) { observe(object, false) },
		DeleteFunc: func(object any) {
			if last, unknown := object.(cache.DeletedFinalStateUnknown); unknown {
				object = last.Obj
			}
			observe(object, true)
		},
	})
	return err
}

func (n *Node) register(ctx context.Context) error {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods: resource.MustParse("10000"),
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: layout.NodeName, Labels: map[string]string{"kubernetes.io/hostname": layout.NodeName, "kubernetes.io/os": "linux"},
	}}
	created, err := n.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		created, err = n.client.CoreV1().Nodes().Get(ctx, layout.NodeName, metav1.GetOptions{})
	}
	if err != nil {
		return fmt.Errorf("register the node: %w", err)
	}
	now := metav1.Now()
	created.Status = corev1.NodeStatus{
		Capacity: capacity, Allocatable: capacity,
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: layout.BridgeAddress}, {Type: corev1.NodeHostName, Address: layout.NodeName},
		},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: layout.KubeletPort}},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Running",
			LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}
	if _, err := n.client.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("report the node's status: %w", err)
	}
	return nil
}

// observe is told of every pod: new ones are bound, bound ones run, deleted ones end.
func (n *Node) observe(ctx context.Context, pod *corev1.Pod, gone bool) {
	n.lock.Lock()
	defer n.lock.Unlock()
	runner := n.runners[pod.UID]
	switch {
	case gone || pod.DeletionTimestamp != nil:
		if runner != nil {
			runner.stop()
		} else if !gone {
			n.inBackground(func() { n.forget(pod) })
		}
	case pod.Spec.NodeName == "":
		n.inBackground(func() { n.bind(ctx, pod) })
	case runner == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed:
		runner = newPodRunner(n, pod)
		n.runners[pod.UID] = runner
		n.inBackground(func() { n.run(ctx, runner) })
	}
}

func (n *Node) inBackground(work func()) {
	n.waiting.Add(1)
	go func() { defer n.waiting.Done(); work() }()
}

func (n *Node) run(ctx context.Context, runner *podRunner) {
	runner.run(ctx)
	n.lock.Lock()
	delete(n.runners, runner.pod.UID)
	n.lock.Unlock()
	n.forget(runner.pod)
}

func (n *Node) bind(ctx context.Context, pod *corev1.Pod) {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: layout.NodeName},
	}
	err := n.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	// A conflict is a second sight of a pod that is bound by now; every other failure is tried again at the resync.
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		log.Printf("pod %s/%s: bind: %v", pod.Namespace, pod.Name, err)
	}
}

// forget removes the object of a pod whose processes are gone, which is what the API server waits for.
func (n *Node) forget(pod *corev1.Pod) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	now := int64(0)
	err := n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
		log.Printf("pod %s/%s: delete: %v", pod.Namespace, pod.Name, err)
	}
}

func (n *Node) stopAll() {
	close(n.ending)
	n.lock.Lock()
	for _, runner := range n.runners {
		runner.stop()
	}
	n.lock.Unlock()
	ended := make(chan struct{})
	go func() { n.waiting.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(stopLimit):
		log.Printf("some pods did not end in %s", stopLimit)
	}
}
