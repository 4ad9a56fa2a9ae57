package registry

import (
	"context"
	"errors"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// A session is what the library knows of repositories: how each wants to be authenticated with. The
// library also remembers an attempt to find out that failed, or that was interrupted, and would answer
// everything with it from then on; so a repository begins anew then.
type session struct {
	options []remote.Option

	mu    sync.Mutex
	peers map[name.Repository]peer
}

// A peer is the library's view of one repository.
type peer struct {
	*remote.Puller
	*remote.Pusher
}

func newSession(options []remote.Option) *session {
	return &session{options: options, peers: map[name.Repository]peer{}}
}

func (s *session) peer(repo name.Repository) (peer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.peers[repo]; ok {
		return p, nil
	}
	pull, err := remote.NewPuller(s.options...)
	if err != nil {
		return peer{}, err
	}
	push, err := remote.NewPusher(s.options...)
	if err != nil {
		return peer{}, err
	}
	s.peers[repo] = peer{pull, push}
	return s.peers[repo], nil
}

// with calls do with what is known of a repository, and looks at how that ended.
func with[T any](s *session, repo name.Repository, do func(peer) (T, error)) (T, error) {
	p, err := s.peer(repo)
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := do(p)
	if err != nil && !NotFound(err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.peers[repo] == p {
			delete(s.peers, repo)
		}
	}
	return v, err
}

func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
