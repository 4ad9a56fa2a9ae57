package lease

import (
	"context"
	"fmt"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"strake.dev/strake/stages"
)

// observed is what a waiting deployer knows of the Lease. Whether it has expired counts from when
// its last renewal was first seen, not from the time in it, because clocks of machines differ; that is
// how client-go's leader election does it.
type observed struct {
	uid     types.UID
	version string
	since   time.Time
	// told is the holder that was told of.
	told stages.HeldError
}

// await looks until the Lease is gone, and then returns nil, or is free to be taken.
func (l *Lease) await(ctx context.Context, seen *observed) (*coordination.Lease, error) {
	var held *stages.HeldError
	for {
		now, err := l.api.Get(ctx, l.opts.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil, nil
		case ctx.Err() != nil && held != nil:
			return nil, fmt.Errorf("%w (%w)", held, context.Cause(ctx))
		case held != nil && passing(err):
		case err != nil:
			return nil, fmt.Errorf("lock of %s: %w", l.opts.App, err)
		default:
			if now.UID != seen.uid || now.ResourceVersion != seen.version {
				seen.uid, seen.version, seen.since = now.UID, now.ResourceVersion, time.Now()
			}
			if holder(now) == "" || time.Since(seen.since) > length(now) {
				return now, nil
			}
			held = l.heldBy(now)
			if l.opts.NoWait {
				return nil, stages.WithHint(held, "try again later; a deployer that was killed loses the lock after %s", length(now))
			}
			if *held != seen.told {
				seen.told = *held
				if l.opts.Waiting != nil {
					l.opts.Waiting(held)
				}
			}
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", held, context.Cause(ctx))
		}
	}
}

func (l *Lease) heldBy(now *coordination.Lease) *stages.HeldError {
	held := &stages.HeldError{App: l.opts.App, Holder: holder(now)}
	if at := now.Spec.AcquireTime; at != nil {
		held.Since = at.Time
	}
	return held
}

// passing tells whether a question may be asked again.
func passing(err error) bool {
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

// holder is who holds a Lease; empty if nobody does.
func holder(l *coordination.Lease) string {
	if h := l.Spec.HolderIdentity; h != nil {
		return *h
	}
	return ""
}

// length is how long a Lease holds without being renewed.
func length(l *coordination.Lease) time.Duration {
	if s := l.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		return time.Duration(*s) * time.Second
	}
	return duration
}
