package node

import (
	"context"
	"log"
	"time"
)

// initialise runs the init containers one after another, each until it ends well, before any other container. One that
// is to be started again whenever it ends is a sidecar: it is waited for until it has started up.
func (r *podRunner) initialise(ctx context.Context, sidecars *sidecars) {
	for index := range r.pod.Spec.InitContainers {
		wanted := &r.pod.Spec.InitContainers[index]
		if isSidecar(wanted) {
			sidecars.start(r, wanted)
			r.awaitStartUp(ctx, wanted.Name)
			r.countInitialised(ctx)
			continue
		}
		pause := time.Second
		for ctx.Err() == nil {
			process, err := r.start(ctx, wanted)
			if err != nil {
				log.Printf("pod %s: init container %s: %v", r.name(), wanted.Name, err)
				sleep(ctx, retryPeriod)
				continue
			}
			code := process.wait(ctx, r.grace(), r.node.ending)
			if code == 0 {
				break
			}
			log.Printf("pod %s: init container %s ended with code %d", r.name(), wanted.Name, code)
			sleep(ctx, pause)
			pause = min(2*pause, longestPause)
		}
		r.countInitialised(ctx)
	}
}

func (r *podRunner) countInitialised(ctx context.Context) {
	r.lock.Lock()
	r.initialised++
	r.lock.Unlock()
	r.report(ctx)
}
