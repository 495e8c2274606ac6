// Package services makes Services reachable, as kube-proxy and a cloud's load balancers do together: it listens at
// every ClusterIP and every load balancer's address, which are local to the node, and passes connections and datagrams
// on to the endpoints of the EndpointSlices. It also hands out the addresses of load balancers. It knows nothing of
// pods and their processes.
package services

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	connectionsAtMost = 20000
	retryPeriod       = 500 * time.Millisecond
	callLimit         = 5 * time.Second
	byService         = "service"
)

type server interface {
	set(places []string)
	close()
}

// Proxy serves all Services of the cluster. Everything but the servers themselves runs on one goroutine, Run's.
type Proxy struct {
	balancer *balancer
	services cache.SharedIndexInformer
	slices   cache.SharedIndexInformer
	places   chan struct{}
	running  sync.WaitGroup
	servers  map[string]map[frontend]server
	uids     map[string]types.UID

	lock  sync.Mutex
	dirty map[string]struct{}
	wake  chan struct{}
}

// New attaches the proxy to informers that the caller starts.
func New(client kubernetes.Interface, factory informers.SharedInformerFactory) (*Proxy, error) {
	proxy := &Proxy{
		balancer: newBalancer(client),
		services: factory.Core().V1().Services().Informer(),
		slices:   factory.Discovery().V1().EndpointSlices().Informer(),
		places:   make(chan struct{}, connectionsAtMost),
		servers:  map[string]map[frontend]server{},
		uids:     map[string]types.UID{},
		dirty:    map[string]struct{}{},
		wake:     make(chan struct{}, 1),
	}
	err := proxy.slices.AddIndexers(cache.Indexers{byService: func(object any) ([]string, error) {
		return []string{serviceOf(object.(*discoveryv1.EndpointSlice))}, nil
	}})
	if err != nil {
		return nil, err
	}
	watched := map[cache.SharedIndexInformer]func(object any) string{
		proxy.services: func(object any) string { key, _ := cache.MetaNamespaceKeyFunc(object); return key },
		proxy.slices:   func(object any) string { return serviceOf(object.(*discoveryv1.EndpointSlice)) },
	}
	for informer, name := range watched {
		mark := func(object any) {
			if last, unknown := object.(cache.DeletedFinalStateUnknown); unknown {
				object = last.Obj
			}
			proxy.mark(name(object))
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: mark, DeleteFunc: mark, UpdateFunc: func(_, object any) { mark(object) },
		}); err != nil {
			return nil, err
		}
	}
	return proxy, nil
}

func serviceOf(slice *discoveryv1.EndpointSlice) string {
	return slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]
}

func (p *Proxy) mark(key string) {
	p.lock.Lock()
	p.dirty[key] = struct{}{}
	p.lock.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Proxy) take() []string {
	p.lock.Lock()
	defer p.lock.Unlock()
	keys := slices.Sorted(maps.Keys(p.dirty))
	clear(p.dirty)
	return keys
}

// Run serves until the context ends, and returns when every connection has.
func (p *Proxy) Run(ctx context.Context) {
	defer p.running.Wait()
	if !cache.WaitForCacheSync(ctx.Done(), p.services.HasSynced, p.slices.HasSynced) {
		return
	}
	for _, object := range p.services.GetStore().List() {
		p.balancer.adopt(object.(*corev1.Service))
	}
	for {
		select {
		case <-ctx.Done():
			for key := range p.servers {
				p.serve(ctx, key, nil)
			}
			return
		case <-p.wake:
		}
		for _, key := range p.take() {
			if err := p.settle(ctx, key); err != nil && ctx.Err() == nil {
				log.Printf("service %s: %v", key, err)
				time.AfterFunc(retryPeriod, func() { p.mark(key) })
			}
		}
	}
}

func (p *Proxy) settle(outer context.Context, key string) error {
	object, exists, err := p.services.GetStore().GetByKey(key)
	if err != nil {
		return err
	}
	var service *corev1.Service
	if exists {
		service = object.(*corev1.Service)
	}
	// A Service made again under its name is another one, with an address of its own.
	if before, known := p.uids[key]; known && (service == nil || service.UID != before) {
		p.balancer.forget(before)
		delete(p.uids, key)
	}
	if service == nil {
		return p.serve(outer, key, nil)
	}
	p.uids[key] = service.UID
	ctx, cancel := context.WithTimeout(outer, callLimit)
	defer cancel()
	settled := p.balancer.settle(ctx, service)
	objects, err := p.slices.GetIndexer().ByIndex(byService, key)
	if err != nil {
		return err
	}
	endpointSlices := make([]*discoveryv1.EndpointSlice, 0, len(objects))
	for _, object := range objects {
		endpointSlices = append(endpointSlices, object.(*discoveryv1.EndpointSlice))
	}
	if err := p.serve(outer, key, frontendsOf(service, endpointSlices)); err != nil {
		return err
	}
	return settled
}

// serve opens and closes servers until they are the wanted ones.
func (p *Proxy) serve(ctx context.Context, key string, wanted map[frontend][]string) error {
	current := p.servers[key]
	for place, server := range current {
		if _, still := wanted[place]; !still {
			server.close()
			delete(current, place)
		}
	}
	var problem error
	for place, endpoints := range wanted {
		if current[place] == nil {
			opened, err := p.open(ctx, place)
			if err != nil {
				problem = fmt.Errorf("listen at %s: %w", place, err)
				continue
			}
			if opened == nil {
				continue
			}
			if current == nil {
				current = map[frontend]server{}
			}
			current[place] = opened
		}
		current[place].set(endpoints)
	}
	if len(current) == 0 {
		delete(p.servers, key)
	} else {
		p.servers[key] = current
	}
	return problem
}

func (p *Proxy) open(ctx context.Context, place frontend) (server, error) {
	address := net.JoinHostPort(place.address, strconv.Itoa(int(place.port)))
	switch place.protocol {
	case corev1.ProtocolTCP:
		return newTCPServer(ctx, address, p.places, &p.running)
	case corev1.ProtocolUDP:
		return newUDPServer(ctx, address, &p.running)
	}
	return nil, nil // SCTP is not passed on.
}
