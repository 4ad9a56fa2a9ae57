package registry

import (
	"context"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Memo returns a client like c that asks only once for each reference in [Client.Head], also when
// many ask at the same time, and answers from memory then. A registry that doesn't answer at all isn't
// asked for anything else. It is meant for one run: what others push in the meantime is not seen.
func (c *Client) Memo() *Client {
	n := *c
	n.memo = &memo{heads: map[string]*head{}, dead: map[string]error{}}
	return &n
}

type memo struct {
	mu    sync.Mutex
	heads map[string]*head
	// dead has the errors of hosts that didn't answer.
	dead map[string]error
}

type head struct {
	done chan struct{}
	desc *v1.Descriptor
	err  error
}

// once returns what ask returned for ref, now or earlier. That a caller's context ended is its own
// matter: then the next one asks again.
func (m *memo) once(ctx context.Context, ref name.Reference, ask func() (*v1.Descriptor, error)) (*v1.Descriptor, error) {
	for {
		h, mine := m.entry(ref.Name())
		if mine {
			h.desc, h.err = ask()
			if interrupted(h.err) {
				m.forget(ref.Name())
			}
			close(h.done)
			return h.desc, h.err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-h.done:
		}
		if !interrupted(h.err) {
			return h.desc, h.err
		}
	}
}

// entry returns the entry of a reference, and whether the caller has made it and has to fill it.
func (m *memo) entry(ref string) (*head, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h, ok := m.heads[ref]; ok {
		return h, false
	}
	h := &head{done: make(chan struct{})}
	m.heads[ref] = h
	return h, true
}

func (m *memo) forget(ref string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.heads, ref)
}

// unlessDead asks a host, unless it is known not to answer. Without a memo it always asks.
func unlessDead[T any](m *memo, host string, ask func() (T, error)) (T, error) {
	if m == nil {
		return ask()
	}
	m.mu.Lock()
	err := m.dead[host]
	m.mu.Unlock()
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := ask()
	if err != nil && dead(err) {
		m.mu.Lock()
		m.dead[host] = err
		m.mu.Unlock()
	}
	return v, err
}
