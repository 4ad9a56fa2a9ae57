package kapp

import (
	"sync"

	"strake.dev/strake/stages"
)

// A gate passes events on until it is closed. Parts of kapp's library may run on for a moment after
// the call that started them has returned, and must not be heard then.
type gate struct {
	to     stages.Observer
	mu     sync.Mutex
	closed bool
}

// Observe passes an event on.
func (g *gate) Observe(e stages.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.to.Observe(e)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}
