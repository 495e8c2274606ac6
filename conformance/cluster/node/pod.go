package node

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sekisho.dev/conformance/cluster/network"
)

const (
	retryPeriod  = 500 * time.Millisecond
	longestPause = 30 * time.Second
	settledAfter = 10 * time.Second
	statusLimit  = 10 * time.Second
)

// podRunner is one pod from its binding to its end.
type podRunner struct {
	node       *Node
	pod        *corev1.Pod
	folder     string
	attachment *network.Attachment
	stopping   chan struct{}
	stopOnce   sync.Once

	lock       sync.Mutex
	started    metav1.Time
	containers map[string]*containerState
	// volumeLock is held while files of a volume are written.
	volumeLock sync.Mutex
	tokenLock  sync.Mutex
	tokens     map[string]issued
	// initialised counts the init containers that have ended well.
	initialised int
}

type containerState struct {
	state    corev1.ContainerState
	last     corev1.ContainerState
	ready    bool
	restarts int32
	// startedUp tells that the startup probe has succeeded since the last start, or that there is none.
	startedUp bool
}

func newPodRunner(node *Node, pod *corev1.Pod) *podRunner {
	runner := &podRunner{
		node: node, pod: pod.DeepCopy(), folder: node.files.Pods() + "/" + string(pod.UID),
		stopping: make(chan struct{}), started: metav1.Now(), containers: map[string]*containerState{},
		tokens: map[string]issued{},
	}
	for _, wanted := range append(sidecarsOf(pod), pod.Spec.Containers...) {
		runner.containers[wanted.Name] = &containerState{state: waitingState("ContainerCreating", "")}
	}
	return runner
}

func waitingState(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func (r *podRunner) stop() { r.stopOnce.Do(func() { close(r.stopping) }) }

func (r *podRunner) name() string { return r.pod.Namespace + "/" + r.pod.Name }

// run returns when every process of the pod has ended and its network is gone.
func (r *podRunner) run(outer context.Context) {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	go func() {
		select {
		case <-r.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	attachment, err := r.attach()
	if err != nil {
		log.Printf("pod %s: network: %v", r.name(), err)
		r.fail(ctx, err.Error())
		<-ctx.Done()
		return
	}
	r.attachment = attachment
	sidecars := newSidecars(outer)
	r.initialise(ctx, sidecars)
	var running sync.WaitGroup
	running.Add(1)
	go func() { defer running.Done(); r.keepVolumes(ctx) }()
	for index := range r.pod.Spec.Containers {
		running.Add(1)
		go func() { defer running.Done(); r.keepRunning(ctx, &r.pod.Spec.Containers[index]) }()
	}
	running.Wait()
	sidecars.end()
	if err := r.detach(); err != nil {
		log.Printf("pod %s: network: %v", r.name(), err)
	}
	if err := os.RemoveAll(r.folder); err != nil {
		log.Printf("pod %s: remove its folder: %v", r.name(), err)
	}
}

// keepRunning starts a container again whenever it ends, with a growing pause, until the pod ends.
func (r *podRunner) keepRunning(ctx context.Context, wanted *corev1.Container) {
	pause := time.Second
	for ctx.Err() == nil {
		process, err := r.start(ctx, wanted)
		if err != nil {
			r.record(ctx, wanted.Name, func(state *containerState) { state.state = waitingState("CreateContainerError", err.Error()) })
			sleep(ctx, retryPeriod)
			continue
		}
		began := metav1.Now()
		r.record(ctx, wanted.Name, func(state *containerState) {
			state.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}
			state.startedUp = wanted.StartupProbe == nil
			state.ready = state.startedUp && wanted.ReadinessProbe == nil
		})
		probing, stopProbing := context.WithCancel(ctx)
		go r.probe(probing, wanted, process)
		code := process.wait(ctx, r.grace(), r.node.ending)
		stopProbing()
		if ctx.Err() != nil {
			return
		}
		log.Printf("pod %s: container %s ended with code %d", r.name(), wanted.Name, code)
		r.record(ctx, wanted.Name, func(state *containerState) {
			ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: int32(code), StartedAt: began, FinishedAt: metav1.Now(), Reason: "Error",
			}}
			state.last, state.state, state.ready = ended, waitingState("CrashLoopBackOff", ""), false
			state.startedUp = false
			state.restarts++
		})
		if time.Since(began.Time) > settledAfter {
			pause = time.Second
		}
		sleep(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

func sleep(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

func (r *podRunner) grace() time.Duration {
	if r.pod.Spec.TerminationGracePeriodSeconds == nil {
		return 30 * time.Second
	}
	return time.Duration(*r.pod.Spec.TerminationGracePeriodSeconds) * time.Second
}

// record changes the state of one container and reports the pod, when anything is different.
func (r *podRunner) record(ctx context.Context, name string, change func(*containerState)) {
	r.lock.Lock()
	before := *r.containers[name]
	change(r.containers[name])
	same := before.ready == r.containers[name].ready && before.startedUp == r.containers[name].startedUp && sameState(before.state, r.containers[name].state)
	r.lock.Unlock()
	if !same {
		r.report(ctx)
	}
}

func sameState(one, other corev1.ContainerState) bool {
	if one.Waiting != nil && other.Waiting != nil {
		return *one.Waiting == *other.Waiting
	}
	return one.Running != nil && other.Running != nil
}

func (r *podRunner) fail(ctx context.Context, message string) {
	for name := range r.containers {
		r.record(ctx, name, func(state *containerState) { state.state = waitingState("CreateContainerError", message) })
	}
}

// report writes the pod's whole status, and tries again when another writer came between.
func (r *podRunner) report(outer context.Context) {
	ctx, cancel := context.WithTimeout(outer, statusLimit)
	defer cancel()
	for ctx.Err() == nil {
		err := r.reportOnce(ctx)
		if err == nil || apierrors.IsNotFound(err) {
			return
		}
		if !apierrors.IsConflict(err) && ctx.Err() == nil {
			log.Printf("pod %s: status: %v", r.name(), err)
			sleep(ctx, retryPeriod)
		}
	}
}

func (r *podRunner) reportOnce(ctx context.Context) error {
	pods := r.node.client.CoreV1().Pods(r.pod.Namespace)
	current, err := pods.Get(ctx, r.pod.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if current.UID != r.pod.UID {
		return apierrors.NewNotFound(corev1.Resource("pods"), r.pod.Name)
	}
	current.Status = r.status(current.Status.Conditions)
	_, err = pods.UpdateStatus(ctx, current, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	return nil
}
