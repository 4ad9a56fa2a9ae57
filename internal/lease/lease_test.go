package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

var leases = coordination.Resource("leases")

// A store is an API server with one Lease, which refuses what a real one does.
type store struct {
	kubernetes.Interface

	mu      sync.Mutex
	lease   *coordination.Lease
	version int
	asked   []string
	// fail, if not nil, may refuse a request.
	fail func(verb string) error
}

func newStore() *store {
	s := &store{}
	client := fake.NewClientset()
	client.PrependReactor("*", "leases", func(a clienttest.Action) (bool, runtime.Object, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		l, err := s.handle(a)
		return true, l, err
	})
	s.Interface = client
	return s
}

func (s *store) handle(a clienttest.Action) (*coordination.Lease, error) {
	s.asked = append(s.asked, a.GetVerb())
	if s.fail != nil {
		if err := s.fail(a.GetVerb()); err != nil {
			return nil, err
		}
	}
	if a.GetVerb() == "create" {
		if s.lease != nil {
			return nil, apierrors.NewAlreadyExists(leases, "app")
		}
		s.lease = a.(clienttest.CreateAction).GetObject().(*coordination.Lease).DeepCopy()
		s.lease.UID = types.UID(fmt.Sprint("uid", s.version))
		return s.touch(), nil
	}
	if s.lease == nil {
		return nil, apierrors.NewNotFound(leases, "app")
	}
	switch a := a.(type) {
	case clienttest.UpdateAction:
		next := a.GetObject().(*coordination.Lease)
		if next.ResourceVersion != s.lease.ResourceVersion {
			return nil, apierrors.NewConflict(leases, "app", errors.New("modified"))
		}
		s.lease = next.DeepCopy()
		return s.touch(), nil
	case clienttest.DeleteActionImpl:
		if p := a.DeleteOptions.Preconditions; *p.UID != s.lease.UID || *p.ResourceVersion != s.lease.ResourceVersion {
			return nil, apierrors.NewConflict(leases, "app", errors.New("precondition"))
		}
		s.lease = nil
		return nil, nil
	}
	return s.lease.DeepCopy(), nil
}

// touch gives the Lease a new version, and returns a copy of it.
func (s *store) touch() *coordination.Lease {
	s.version++
	s.lease.ResourceVersion = fmt.Sprint(s.version)
	return s.lease.DeepCopy()
}

// change lets somebody else change the Lease.
func (s *store) change(do func(*coordination.Lease)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do(s.lease)
	s.touch()
}

func (s *store) refuse(fail func(verb string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *store) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, " ")
}

func options(identity string) Options {
	return Options{Namespace: "team", Name: "app", App: "team/app", Identity: identity}
}

func acquire(t *testing.T, s *store, opts Options) *Lease {
	t.Helper()
	l, err := Acquire(t.Context(), s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func release(t *testing.T, l *Lease) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := l.Release(ended); err != nil {
			t.Error(err)
		}
	}
}

func lost(l *Lease) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

func TestUncontended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		l := acquire(t, s, options("a"))
		time.Sleep(12 * time.Second)
		if lost(l) {
			t.Error("lost")
		}
		release(t, l)
		if got, want := s.requests(), "create update update delete"; got != want {
			t.Errorf("expected requests %q, found %q", want, got)
		}
		if s.lease != nil {
			t.Error("the Lease is still there")
		}
	})
}

// Whoever gives no name holds the lock all the same.
func TestNoIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		l := acquire(t, s, options(""))
		var held *stages.HeldError
		no := options("b")
		no.NoWait = true
		if _, err := Acquire(t.Context(), s, no); !errors.As(err, &held) || held.Holder != Identity() {
			t.Errorf("expected that %s holds it, found %v", Identity(), err)
		}
		release(t, l)
	})
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		first := acquire(t, s, options("a"))
		var held *stages.HeldError
		no := options("b")
		no.NoWait = true
		if _, err := Acquire(t.Context(), s, no); !errors.As(err, &held) || held.Holder != "a" || held.Since.IsZero() {
			t.Errorf("expected that a holds it, found %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := Acquire(short, s, options("b")); !errors.As(err, &held) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("expected both the holder and the time-out, found %v", err)
		}

		told := 0
		opts := options("a") // equal names of CI jobs are different holders
		opts.Waiting = func(e *stages.HeldError) { told++; held = e }
		second := make(chan *Lease)
		go func() {
			l, err := Acquire(t.Context(), s, opts)
			if err != nil {
				t.Error(err)
			}
			second <- l
		}()
		time.Sleep(time.Minute)
		select {
		case <-second:
			t.Fatal("two hold it")
		default:
		}
		release(t, first)
		started := time.Now()
		l := <-second
		if took := time.Since(started); took > 2*poll {
			t.Errorf("it took %s to notice", took)
		}
		if told != 1 || held.Holder != "a" || held.App != "team/app" {
			t.Errorf("told %d times, of %v", told, held)
		}
		release(t, l)
	})
}

// A holder that was killed loses the lock once it wasn't renewed for its length, whatever its clock said.
func TestCrashed(t *testing.T) {
	for name, at := range map[string]time.Duration{"behind": -time.Hour, "ahead": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				crashed := acquire(t, s, options("a"))
				crashed.stop()
				<-crashed.ended
				s.change(func(l *coordination.Lease) {
					renewed := metav1.NewMicroTime(time.Now().Add(at))
					l.Spec.RenewTime = &renewed
				})
				started := time.Now()
				l := acquire(t, s, options("b"))
				if took := time.Since(started); took < duration || took > duration+2*poll {
					t.Errorf("it took %s", took)
				}
				if holder(s.lease) != "b" || *s.lease.Spec.LeaseTransitions != 1 {
					t.Errorf("the Lease is %v", s.lease.Spec)
				}
				release(t, crashed)
				if s.lease == nil {
					t.Error("another's lock was released")
				}
				release(t, l)
			})
		})
	}
}

func TestLost(t *testing.T) {
	unavailable := func(string) error { return apierrors.NewServiceUnavailable("down") }
	for name, c := range map[string]struct {
		happens func(*store)
		after   time.Duration
		want    bool
	}{
		"deleted": {func(s *store) { s.mu.Lock(); s.lease = nil; s.mu.Unlock() }, renewal + poll, true},
		"taken": {func(s *store) {
			s.change(func(l *coordination.Lease) { other := "b"; l.Spec.HolderIdentity = &other })
		}, renewal + poll, true},
		"touched":        {func(s *store) { s.change(func(l *coordination.Lease) { l.Labels["x"] = "y" }) }, time.Minute, false},
		"server is down": {func(s *store) { s.refuse(unavailable) }, duration - surrender + poll, true},
		"server was down": {func(s *store) {
			s.refuse(unavailable)
			time.AfterFunc(8*time.Second, func() { s.refuse(nil) })
		}, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				l := acquire(t, s, options("a"))
				ctx, cancel := l.Bind(t.Context())
				defer cancel()
				c.happens(s)
				time.Sleep(c.after)
				synctest.Wait()
				if lost(l) != c.want || errors.Is(context.Cause(ctx), ErrLost) != c.want {
					t.Errorf("lost: %t, cause %v", lost(l), context.Cause(ctx))
				}
				s.refuse(nil)
				release(t, l)
				if (s.lease != nil) != (name == "taken") {
					t.Errorf("afterwards the Lease is %v", s.lease)
				}
			})
		})
	}
}

func TestRights(t *testing.T) {
	forbid := func(verbs ...string) func(string) error {
		return func(verb string) error {
			if slices.Contains(verbs, verb) {
				return apierrors.NewForbidden(leases, "app", errors.New("no "+verb))
			}
			return nil
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.refuse(forbid("create"))
		var warned string
		opts := options("a")
		opts.Warn = func(m string) { warned += m }
		l := acquire(t, s, opts)
		if !strings.Contains(warned, "isn't locked") || !strings.Contains(warned, "no create") {
			t.Errorf("warned %q", warned)
		}
		release(t, l)
		if got := s.requests(); got != "create" {
			t.Errorf("requests %q", got)
		}

		s.refuse(forbid("delete"))
		release(t, acquire(t, s, options("a")))
		if s.lease == nil || holder(s.lease) != "" {
			t.Errorf("expected a free Lease, found %v", s.lease)
		}
		started := time.Now()
		s.refuse(nil)
		release(t, acquire(t, s, options("b")))
		if took := time.Since(started); took > 0 {
			t.Errorf("a free Lease was waited for: %s", took)
		}

		acquire(t, s, options("a"))
		s.refuse(forbid("get"))
		if _, err := Acquire(t.Context(), s, options("b")); !apierrors.IsForbidden(err) {
			t.Errorf("expected that the missing right is named, found %v", err)
		}
		s.refuse(func(string) error { return apierrors.NewNotFound(leases, "team") })
		release(t, acquire(t, s, options("c")))
		s.refuse(nil)
		s.mu.Lock()
		s.lease = nil
		s.mu.Unlock()
		time.Sleep(renewal + poll) // lets the forgotten holder's renewals end
	})
}

// A real API server: of many deployers one at a time holds the lock.
func TestSandbox(t *testing.T) {
	if os.Getenv("STRAKE_SANDBOX_REGISTRY") == "" {
		t.Skip("needs the sandbox's environment")
	}
	config, err := kube.New(kube.Options{}).Config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("lease-test-%d", time.Now().UnixNano())
	var (
		group   sync.WaitGroup
		holders sync.Mutex
	)
	for i := range 4 {
		group.Go(func() {
			l, err := Acquire(t.Context(), client, Options{
				Namespace: "default", Name: name, App: "test", Identity: fmt.Sprint("deployer ", i),
			})
			if err != nil {
				t.Error(err)
				return
			}
			if !holders.TryLock() {
				t.Error("two hold the lock")
				return
			}
			time.Sleep(100 * time.Millisecond)
			holders.Unlock()
			release(t, l)
		})
	}
	group.Wait()
	_, err = client.CoordinationV1().Leases("default").Get(t.Context(), name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("expected that the Lease is gone, found %v", err)
	}
}

func TestIdentity(t *testing.T) {
	for _, name := range []string{"GITHUB_RUN_ID", "CI_JOB_ID", "BUILD_TAG", "TEKTON_TASKRUN_NAME"} {
		t.Setenv(name, "")
	}
	pid := fmt.Sprintf("/%d", os.Getpid())
	if id := Identity(); !strings.Contains(id, "@") || !strings.HasSuffix(id, pid) {
		t.Errorf("found %q", id)
	}
	t.Setenv("CI_JOB_ID", "4711")
	if id := Identity(); id != "GitLab CI job 4711"+pid {
		t.Errorf("found %q", id)
	}
}
