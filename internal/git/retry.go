package git

import (
	"context"
	"math/rand/v2"
	"regexp"
	"time"
)

const (
	// attempts is how often a remote is asked at most.
	attempts = 3
	// FirstWait is how long it is waited before the second attempt; the next wait is three times as long.
	FirstWait = time.Second
)

var (
	// transient are git's words for what may well work a moment later.
	transient = regexp.MustCompile(`(?i)connection (was )?reset|connection timed out|timed out|temporary failure|early EOF|unexpected disconnect|` +
		`hung up unexpectedly|Operation too slow|returned error: (429|500|502|503|504)|empty reply from server|` +
		`transfer closed|GnuTLS recv error|SSL_read|recv failure|send failure|connection refused|could not connect|kex_exchange_identification`)
	// lasting are those that come with transient ones, and won't go away.
	lasting = regexp.MustCompile(`(?i)permission denied|authentication failed|host key verification failed|not found|not allowed|not appear to be a git repository`)
)

// Repeat repeats what asks a remote while the network is to blame for its error, which passing tells.
func Repeat(ctx context.Context, wait time.Duration, passing func(error) bool, ask func() error) error {
	for attempt := 1; ; attempt++ {
		err := ask()
		if err == nil || ctx.Err() != nil || attempt == attempts || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait + rand.N(wait/2+1)):
		}
		wait *= 3
	}
}

// remote runs a git that talks to the remote.
func (r *Repository) remote(ctx context.Context, c call) (out string, err error) {
	r.watchSSH(ctx)
	err = Repeat(ctx, r.backoff, passing, func() error {
		out, err = r.do(ctx, c)
		return err
	})
	return out, err
}

// passing tells whether an error may well be gone a moment later.
func passing(err error) bool {
	return transient.MatchString(err.Error()) && !lasting.MatchString(err.Error())
}
