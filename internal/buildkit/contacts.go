package buildkit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"strake.dev/strake/stages"
)

// deadFor is how long a daemon that didn't answer isn't asked again.
const deadFor = 10 * time.Second

// A goneError tells that a daemon doesn't answer, or not any more.
type goneError struct {
	daemon Daemon
	what   string
	err    error
	// known is set when the daemon wasn't asked because it hadn't answered shortly before.
	known bool
}

func gone(d Daemon, what string, err error) error {
	hint := stages.Hint(err)
	if hint == "" {
		hint = "is it running? Otherwise " + addressHint
	}
	return stages.WithHint(&goneError{daemon: d, what: what, err: err}, "%s", hint)
}

func (e *goneError) Error() string {
	return fmt.Sprintf("BuildKit daemon at %s %s: %v", e.daemon, e.what, e.err)
}

func (e *goneError) Unwrap() error { return e.err }

// contacts remembers which daemons didn't answer, so that not every source of a run waits for them.
type contacts struct {
	mu sync.Mutex
	by map[string]*contact
}

type contact struct {
	// first is held by whoever asks a daemon that hasn't answered yet.
	first chan struct{}

	mu    sync.Mutex
	met   bool
	until time.Time
	err   error
}

func (c *contacts) of(d Daemon) *contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]*contact{}
	}
	if c.by[d.Address] == nil {
		c.by[d.Address] = &contact{first: make(chan struct{}, 1)}
	}
	return c.by[d.Address]
}

// dead returns why a daemon isn't asked at present; nil if it is.
func (c *contacts) dead(d Daemon) error {
	k := c.of(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil || time.Now().After(k.until) {
		return nil
	}
	return k.err
}

// bury remembers that a daemon didn't answer.
func (c *contacts) bury(d Daemon, err error) {
	k := c.of(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.met, k.err, k.until = false, err, time.Now().Add(deadFor)
}

func (c *contacts) greet(d Daemon) {
	k := c.of(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.met, k.err = true, nil
}

func (c *contacts) hasMet(d Daemon) bool {
	k := c.of(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.met
}

// meet connects to a daemon. One that hasn't answered yet is asked by one caller at a time, and the
// others learn from that.
func (c *Client) meet(ctx context.Context, d Daemon) (*connection, error) {
	if !c.met.hasMet(d) {
		k := c.met.of(d)
		select {
		case k.first <- struct{}{}:
			defer func() { <-k.first }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := c.met.dead(d); err != nil {
			lost, _ := errors.AsType[*goneError](err)
			again := *lost
			again.known = true
			return nil, stages.WithHint(&again, "%s", stages.Hint(err))
		}
	}
	conn, err := c.connect(ctx, d)
	switch {
	case err == nil:
		c.met.greet(d)
	case ctx.Err() == nil:
		c.met.bury(d, err)
	}
	return conn, err
}
