package registry

import (
	"context"
	"errors"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// A session is what the library knows of registries: how each wants to be authenticated with. The
// library also remembers an attempt to find out that failed, or that was interrupted, and would answer
// everything with it from then on; so the session begins anew then.
type session struct {
	options []remote.Option

	mu   sync.Mutex
	pull *remote.Puller
	push *remote.Pusher
}

func newSession(options []remote.Option) (*session, error) {
	s := &session{options: options}
	return s, s.begin()
}

func (s *session) begin() error {
	pull, err := remote.NewPuller(s.options...)
	if err != nil {
		return err
	}
	push, err := remote.NewPusher(s.options...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pull, s.push = pull, push
	return nil
}

func (s *session) puller() *remote.Puller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pull
}

func (s *session) pusher() *remote.Pusher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.push
}

// after looks at how a call ended, and returns its error.
func (s *session) after(err error) error {
	if err == nil || NotFound(err) {
		return err
	}
	if failed := s.begin(); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
