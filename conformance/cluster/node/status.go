package node

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sekisho.dev/conformance/cluster/layout"
)

// status is the pod as it is at this moment; times of conditions that did not change are kept.
func (r *podRunner) status(before []corev1.PodCondition) corev1.PodStatus {
	r.lock.Lock()
	defer r.lock.Unlock()
	status := corev1.PodStatus{
		Phase:     corev1.PodPending,
		HostIP:    layout.BridgeAddress,
		HostIPs:   []corev1.HostIP{{IP: layout.BridgeAddress}},
		StartTime: &r.started,
	}
	if r.attachment != nil {
		status.PodIP = r.attachment.Address
		status.PodIPs = []corev1.PodIP{{IP: r.attachment.Address}}
	}
	ready := true
	for _, wanted := range sidecarsOf(r.pod) {
		one := r.containerStatus(&wanted)
		ready = ready && one.Ready
		status.InitContainerStatuses = append(status.InitContainerStatuses, one)
	}
	for index := range r.pod.Spec.Containers {
		one := r.containerStatus(&r.pod.Spec.Containers[index])
		if one.State.Running != nil {
			status.Phase = corev1.PodRunning
		}
		ready = ready && one.Ready
		status.ContainerStatuses = append(status.ContainerStatuses, one)
	}
	for kind, value := range map[corev1.PodConditionType]bool{
		corev1.PodScheduled: true, corev1.PodInitialized: r.initialised == len(r.pod.Spec.InitContainers), corev1.ContainersReady: ready, corev1.PodReady: ready,
	} {
		status.Conditions = append(status.Conditions, condition(kind, value, before))
	}
	return status
}

// containerStatus is called with the lock held.
func (r *podRunner) containerStatus(wanted *corev1.Container) corev1.ContainerStatus {
	state := r.containers[wanted.Name]
	started := state.state.Running != nil && state.startedUp
	return corev1.ContainerStatus{
		Name: wanted.Name, Image: wanted.Image, ImageID: wanted.Image, State: state.state, LastTerminationState: state.last,
		Ready: started && state.ready, Started: &started, RestartCount: state.restarts,
	}
}

func condition(kind corev1.PodConditionType, value bool, before []corev1.PodCondition) corev1.PodCondition {
	status := corev1.ConditionFalse
	if value {
		status = corev1.ConditionTrue
	}
	for _, earlier := range before {
		if earlier.Type == kind && earlier.Status == status {
			return earlier
		}
	}
	return corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: metav1.Now()}
}
