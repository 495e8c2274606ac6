package node

import (
	"context"
	"log"
	"time"
)

const (
	refreshPeriod = 10 * time.Second
	// tokenAge is the part of a token's life after which it is replaced, as by a kubelet.
	tokenAge = 0.8
)

// keepVolumes writes the pod's volumes again, as long as it runs: Secrets and ConfigMaps change, tokens grow old.
func (r *podRunner) keepVolumes(ctx context.Context) {
	for {
		sleep(ctx, refreshPeriod)
		if ctx.Err() != nil {
			return
		}
		for index := range r.pod.Spec.Volumes {
			volume := &r.pod.Spec.Volumes[index]
			if volume.EmptyDir != nil {
				continue
			}
			// What is gone, or cannot be reached now, stays as it was.
			if _, err := r.writeVolume(ctx, volume); err != nil && ctx.Err() == nil {
				log.Printf("pod %s: refresh: %v", r.name(), err)
			}
		}
		if _, err := r.serviceAccountMount(ctx); err != nil && ctx.Err() == nil {
			log.Printf("pod %s: refresh: %v", r.name(), err)
		}
	}
}

// issued is a token of the pod's account for one audience.
type issued struct {
	text  []byte
	until time.Time
}

// tokenOf gives the token that the pod has for an audience, or a new one when that has grown old.
func (r *podRunner) tokenOf(ctx context.Context, audience string, lifetime *int64) ([]byte, error) {
	r.tokenLock.Lock()
	defer r.tokenLock.Unlock()
	if known, has := r.tokens[audience]; has && time.Now().Before(known.until) {
		return known.text, nil
	}
	wanted := tokenLifetime
	if lifetime != nil {
		wanted = *lifetime
	}
	text, err := r.token(ctx, audience, wanted)
	if err != nil {
		return nil, err
	}
	age := time.Duration(float64(wanted) * tokenAge * float64(time.Second))
	r.tokens[audience] = issued{text: text, until: time.Now().Add(age)}
	return text, nil
}
