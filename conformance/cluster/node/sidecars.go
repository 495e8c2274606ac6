package node

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const startUpPeriod = 50 * time.Millisecond

// sidecars are the init containers of a pod that go on beside its containers. They end after those.
type sidecars struct {
	context context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newSidecars(outer context.Context) *sidecars {
	// The containers, not the pod's end, decide how long they run.
	own, cancel := context.WithCancel(context.WithoutCancel(outer))
	return &sidecars{context: own, cancel: cancel}
}

func (s *sidecars) start(runner *podRunner, wanted *corev1.Container) {
	s.running.Add(1)
	go func() { defer s.running.Done(); runner.keepRunning(s.context, wanted) }()
}

// end returns when all of them have ended.
func (s *sidecars) end() {
	s.cancel()
	s.running.Wait()
}

func isSidecar(wanted *corev1.Container) bool {
	return wanted.RestartPolicy != nil && *wanted.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func sidecarsOf(pod *corev1.Pod) []corev1.Container {
	var found []corev1.Container
	for index := range pod.Spec.InitContainers {
		if isSidecar(&pod.Spec.InitContainers[index]) {
			found = append(found, pod.Spec.InitContainers[index])
		}
	}
	return found
}

func (r *podRunner) awaitStartUp(ctx context.Context, name string) {
	for ctx.Err() == nil {
		r.lock.Lock()
		startedUp := r.containers[name].startedUp
		r.lock.Unlock()
		if startedUp {
			return
		}
		sleep(ctx, startUpPeriod)
	}
}
