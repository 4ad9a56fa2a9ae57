package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"strake.dev/strake/stages"
)

const (
	// duration is how long a holder may go without renewing before others take its place.
	duration = 15 * time.Second
	// renewal is how often a holder renews. A renewal that fails is tried again every second.
	renewal = 5 * time.Second
	// poll is how often those who wait look.
	poll = time.Second
	// surrender is how long before others may take its place a holder stops.
	surrender = 3 * time.Second
	// parting is how long a release may take.
	parting = 5 * time.Second
)

// ErrLost is the cause of contexts that end because somebody else may hold the lock now.
var ErrLost = errors.New("the lock of the app was lost: another deployer may have it now")

// Options say what is locked and for whom.
type Options struct {
	// Namespace and Name are those of the Lease.
	Namespace, Name string
	// App names the app for people.
	App string
	// Identity names the holder for people, such as user@host/pid; it needs not be unique. Empty is that
	// of [Identity], as a Lease without a holder is free.
	Identity string
	// NoWait makes a lock that is held an error at once.
	NoWait bool
	// Waiting, if not nil, is called once for each holder that is waited for.
	Waiting func(*stages.HeldError)
	// Warn, if not nil, is told that the app isn't locked, and why.
	Warn func(message string)
}

// A Lease is a lock that is held, or stands for one that can't be had.
type Lease struct {
	api   typed.LeaseInterface
	opts  Options
	lost  chan struct{}
	stop  context.CancelFunc
	ended chan struct{}

	mu sync.Mutex
	// held is the Lease as it was last written; nil if there is no lock.
	held *coordination.Lease
	// written is when that was begun, by this machine's clock.
	written time.Time
}

// Acquire waits until the lock is free and takes it. Whoever must not wait gets a [*stages.HeldError];
// so does, beside its cause, a context that ends meanwhile.
//
// The client must not be bound to ctx, as the lock is renewed until it is released. An identity that
// may not create Leases, and a namespace that doesn't exist or is being deleted, go on without a lock:
// the first after a warning.
func Acquire(ctx context.Context, client kubernetes.Interface, opts Options) (*Lease, error) {
	opts.Identity = cmp.Or(opts.Identity, Identity())
	l := &Lease{api: client.CoordinationV1().Leases(opts.Namespace), opts: opts, lost: make(chan struct{})}
	var seen observed
	for {
		err := l.create(ctx)
		switch {
		case err == nil:
			l.keep(ctx)
			return l, nil
		case apierrors.IsForbidden(err):
			l.warn(fmt.Sprintf("%s isn't locked against other deployers: %v", opts.App, err))
			return l, nil
		case apierrors.IsNotFound(err):
			return l, nil // the namespace: nobody can deploy there
		case !apierrors.IsAlreadyExists(err):
			return nil, fmt.Errorf("lock of %s: %w", opts.App, err)
		}
		free, err := l.await(ctx, &seen)
		if err != nil {
			return nil, err
		}
		if free == nil {
			continue // it is gone
		}
		switch err := l.take(ctx, free); {
		case err == nil:
			l.keep(ctx)
			return l, nil
		case apierrors.IsConflict(err), apierrors.IsNotFound(err): // another one was quicker
		default:
			return nil, fmt.Errorf("lock of %s, which %s has left: %w", opts.App, holder(free), err)
		}
	}
}

func (l *Lease) warn(message string) {
	if l.opts.Warn != nil {
		l.opts.Warn(message)
	}
}

// create makes the Lease.
func (l *Lease) create(ctx context.Context) error {
	begun := time.Now()
	made, err := l.api.Create(ctx, &coordination.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: l.opts.Name, Namespace: l.opts.Namespace,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "strake"},
		},
		Spec: l.spec(begun, 0),
	}, metav1.CreateOptions{})
	if err == nil {
		l.held, l.written = made, begun
	}
	return err
}

// take makes a Lease that its holder has left this one's own.
func (l *Lease) take(ctx context.Context, free *coordination.Lease) error {
	begun := time.Now()
	taken := free.DeepCopy()
	var transitions int32
	if n := free.Spec.LeaseTransitions; n != nil {
		transitions = *n
	}
	taken.Spec = l.spec(begun, transitions+1)
	taken, err := l.api.Update(ctx, taken, metav1.UpdateOptions{})
	if err == nil {
		l.held, l.written = taken, begun
	}
	return err
}

func (l *Lease) spec(now time.Time, transitions int32) coordination.LeaseSpec {
	at := metav1.NewMicroTime(now)
	seconds := int32(duration / time.Second)
	return coordination.LeaseSpec{
		HolderIdentity: &l.opts.Identity, LeaseDurationSeconds: &seconds,
		AcquireTime: &at, RenewTime: &at, LeaseTransitions: &transitions,
	}
}

// Lost is closed when somebody else may hold the lock.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Bind returns a context that ends, with the cause [ErrLost], when the lock is lost.
func (l *Lease) Bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-l.lost:
			cancel(ErrLost)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Release gives the lock up, also when ctx has ended, and leaves a lock alone that is another's by now.
// It may be called more than once.
func (l *Lease) Release(ctx context.Context) error {
	if l.stop == nil {
		return nil
	}
	l.stop()
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	err := l.remove(ctx)
	if apierrors.IsConflict(err) {
		// A renewal that was broken off may have been carried out.
		var now *coordination.Lease
		if now, err = l.api.Get(ctx, l.opts.Name, metav1.GetOptions{}); err == nil && l.mine(now) {
			l.held = now
			err = l.remove(ctx)
		}
	}
	l.held = nil
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("lock of %s can't be released, and ends by itself in %s: %w", l.opts.App, duration, err)
	}
	return nil
}

func (l *Lease) remove(ctx context.Context) error {
	err := l.api.Delete(ctx, l.opts.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{
		UID: &l.held.UID, ResourceVersion: &l.held.ResourceVersion,
	}})
	if !apierrors.IsForbidden(err) {
		return err
	}
	left := l.held.DeepCopy()
	left.Spec.HolderIdentity = nil
	_, err = l.api.Update(ctx, left, metav1.UpdateOptions{})
	return err
}

// mine tells whether a Lease still is the one that this holder has made or taken.
func (l *Lease) mine(now *coordination.Lease) bool {
	return now.UID == l.held.UID && holder(now) == l.opts.Identity && now.Spec.AcquireTime.Equal(l.held.Spec.AcquireTime)
}
