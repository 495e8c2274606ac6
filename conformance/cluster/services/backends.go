package services

import (
	"slices"
	"sync"
)

// backends is the changing list of endpoints behind one frontend, taken in turn.
type backends struct {
	lock   sync.Mutex
	places []string
	next   int
}

func (b *backends) set(places []string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.places = places
}

func (b *backends) has(place string) bool {
	b.lock.Lock()
	defer b.lock.Unlock()
	return slices.Contains(b.places, place)
}

// order gives every endpoint once, beginning with the one whose turn it is.
func (b *backends) order() []string {
	b.lock.Lock()
	defer b.lock.Unlock()
	if len(b.places) == 0 {
		return nil
	}
	b.next = (b.next + 1) % len(b.places)
	return append(slices.Clone(b.places[b.next:]), b.places[:b.next]...)
}
