package lease

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// keep renews the lock until it is released or lost. Until then it outlives ctx: what runs under it
// may take a moment to stop.
func (l *Lease) keep(ctx context.Context) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		if !l.renewing(ctx) {
			close(l.lost)
		}
	}()
}

// renewing returns whether the lock was held until ctx ended.
func (l *Lease) renewing(ctx context.Context) bool {
	next := renewal
	for {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(next):
		}
		next = renewal
		if err := l.renew(ctx); err != nil && ctx.Err() == nil {
			if !l.stillMine(ctx, err) {
				return false
			}
			next = poll
		}
	}
}

// deadline is until when nobody else takes the lock.
func (l *Lease) deadline() time.Time { return l.written.Add(duration - surrender) }

func (l *Lease) renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, l.deadline())
	defer cancel()
	begun := time.Now()
	at := metav1.NewMicroTime(begun)
	next := l.held.DeepCopy()
	next.Spec.RenewTime = &at
	next, err := l.api.Update(ctx, next, metav1.UpdateOptions{})
	if err == nil {
		l.held, l.written = next, begun
	}
	return err
}

// stillMine tells whether a lock that couldn't be renewed is held all the same.
func (l *Lease) stillMine(ctx context.Context, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if apierrors.IsConflict(err) {
		ctx, cancel := context.WithDeadline(ctx, l.deadline())
		defer cancel()
		now, err := l.api.Get(ctx, l.opts.Name, metav1.GetOptions{})
		if err == nil {
			if !l.mine(now) {
				l.held = nil
				return false
			}
			l.held = now
		}
	}
	if apierrors.IsNotFound(err) {
		l.held = nil
		return false
	}
	return time.Now().Before(l.deadline())
}
