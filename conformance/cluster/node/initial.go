package node

import (
	"context"
	"log"
	"time"
)

// initialise runs the init containers one after another, each until it ends well, before any other container.
func (r *podRunner) initialise(ctx context.Context) {
	for index := range r.pod.Spec.InitContainers {
		wanted := &r.pod.Spec.InitContainers[index]
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
		r.lock.Lock()
		r.initialised++
		r.lock.Unlock()
	}
}
