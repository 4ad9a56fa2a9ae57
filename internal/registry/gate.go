package registry

import (
	"context"
	"sync"
	"time"
)

// perHost is how many requests to one host may be under way at the same time. Requests that send
// something don't count, as they may need others to go on; the library sends few at a time.
const perHost = 32

// gates hold the requests to each host back.
type gates struct {
	mu     sync.Mutex
	byHost map[string]*gate
}

func (g *gates) of(host string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byHost[host] == nil {
		if g.byHost == nil {
			g.byHost = map[string]*gate{}
		}
		g.byHost[host] = &gate{limit: perHost}
	}
	return g.byHost[host]
}

// A gate lets only so many requests to a host at a time, fewer after the host has asked for less, and
// more again when all goes well.
type gate struct {
	mu    sync.Mutex
	limit int
	busy  int
	// turnedAway wait before the others: the host has refused them before.
	turnedAway, waiting []chan struct{}
	// until is when the host wants to hear of us again.
	until time.Time
	// cut is when the limit was lowered, good how many requests went well since it last changed.
	cut  time.Time
	good int
}

// enter waits for a place. It returns an error only when ctx ends, and then there is no place to leave.
func (g *gate) enter(ctx context.Context, again bool) error {
	g.mu.Lock()
	if g.busy < g.limit {
		g.busy++
		g.mu.Unlock()
	} else {
		turn := make(chan struct{})
		queue := &g.waiting
		if again {
			queue = &g.turnedAway
		}
		*queue = append(*queue, turn)
		g.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			g.giveUp(turn)
			return ctx.Err()
		}
	}
	if err := g.pause(ctx); err != nil {
		g.leave()
		return err
	}
	return nil
}

// pause waits until the host wants to hear of us.
func (g *gate) pause(ctx context.Context) error {
	for {
		g.mu.Lock()
		wait := time.Until(g.until)
		g.mu.Unlock()
		if wait <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// leave gives a place back.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	g.admit()
}

// admit gives free places to those who wait. The caller has the lock.
func (g *gate) admit() {
	for _, queue := range []*[]chan struct{}{&g.turnedAway, &g.waiting} {
		for len(*queue) > 0 && g.busy < g.limit {
			g.busy++
			close((*queue)[0])
			*queue = (*queue)[1:]
		}
	}
}

// giveUp takes back a wait for a turn, which may have come at that very moment.
func (g *gate) giveUp(turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, queue := range []*[]chan struct{}{&g.turnedAway, &g.waiting} {
		for i, t := range *queue {
			if t == turn {
				*queue = append((*queue)[:i:i], (*queue)[i+1:]...)
				return
			}
		}
	}
	g.busy--
	g.admit()
}

// wentWell allows one more request at a time once all that were allowed went well.
func (g *gate) wentWell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.good++; g.good < g.limit || g.limit == perHost {
		return
	}
	g.limit++
	g.good = 0
	g.admit()
}

// tooMany halves the limit, once for all requests that were under way then, and lets everybody wait.
func (g *gate) tooMany(began time.Time, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := time.Now().Add(wait); until.After(g.until) {
		g.until = until
	}
	if began.Before(g.cut) {
		return
	}
	g.cut, g.good = time.Now(), 0
	g.limit = max(1, g.limit/2)
}
