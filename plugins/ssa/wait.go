package ssa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/internal/why"
	"strake.dev/strake/stages"
)

// pollInterval is how often objects are read that may not be watched.
const pollInterval = time.Second

// A goal is an object that is waited for.
type goal struct {
	ref  stages.ObjectRef
	kind live.Kind
	// uid is that of an object that is to be gone; otherwise it is to be ready.
	uid string

	// told is the state that was last told, and reason why it isn't ready.
	told, reason string
	done, failed bool
}

func (g *goal) gone() bool { return g.uid != "" }

// A timeoutError says that what is waited for takes too long.
type timeoutError struct{ text string }

func (e timeoutError) Error() string { return e.text }

// Unwrap makes the error count as a time-out.
func (e timeoutError) Unwrap() error { return context.DeadlineExceeded }

// waitReady waits until all objects are ready, if that is wanted.
func (s *session) waitReady(items []*item) error {
	if !s.config.Wait {
		return nil
	}
	s.job.Events.Observe(stages.Event{Type: stages.Waiting})
	return s.waitFor(goalsOf(items))
}

// waitUsable waits until others may use types and namespaces.
func (s *session) waitUsable(items []*item) error {
	items = slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.change.op == opNone })
	return s.waitFor(goalsOf(items))
}

// goalsOf are those objects that aren't known to be ready.
func goalsOf(items []*item) []*goal {
	var goals []*goal
	for _, i := range items {
		if !i.ready {
			goals = append(goals, &goal{ref: refOf(i.want), kind: i.kind})
		}
	}
	return goals
}

// waitFor waits until all goals are reached, one can't be, or it takes too long.
func (s *session) waitFor(goals []*goal) error {
	if len(goals) == 0 {
		return nil
	}
	w := &waiting{session: s, goals: goals, awake: make(chan struct{}, 1)}
	var namespaces []string
	for _, g := range goals {
		if !slices.Contains(namespaces, g.ref.Namespace) && g.ref.Namespace != "" {
			namespaces = append(namespaces, g.ref.Namespace)
		}
	}
	w.mirror = live.NewMirror(s.ctx, s.dynamic, s.own(), namespaces, func(*unstructured.Unstructured) { w.wake() })
	defer w.mirror.Close()
	w.follow()
	return w.run()
}

// waiting is the wait for some objects.
type waiting struct {
	session *session
	mirror  *live.Mirror
	goals   []*goal
	awake   chan struct{}
	// unseen are the kinds that may not be watched.
	unseen map[live.Kind]bool
}

func (w *waiting) wake() {
	select {
	case w.awake <- struct{}{}:
	default:
	}
}

// follow begins to watch the kinds.
func (w *waiting) follow() {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		seen = map[live.Kind]bool{}
	)
	w.unseen = map[live.Kind]bool{}
	for _, g := range w.goals {
		if seen[g.kind] {
			continue
		}
		seen[g.kind] = true
		wg.Go(func() {
			if !w.mirror.Follow(g.kind) {
				mu.Lock()
				defer mu.Unlock()
				w.unseen[g.kind] = true
			}
		})
	}
	wg.Wait()
}

func (w *waiting) run() error {
	s := w.session
	limit := s.config.WaitTimeout
	if t := s.job.Limits.ObjectTimeout; t > 0 {
		limit = min(limit, t)
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	var poll <-chan time.Time
	if len(w.unseen) > 0 {
		ticker := time.NewTicker(pollInterval)
		defer ticker.Stop()
		poll = ticker.C
	}
	w.wake()
	for {
		select {
		case <-s.ctx.Done():
			return w.interrupted()
		case <-late.C:
			return w.tooLate(limit)
		case <-w.awake:
		case <-poll:
		}
		if err := w.check(); err != nil {
			return err
		}
		if !slices.ContainsFunc(w.goals, func(g *goal) bool { return !g.done }) {
			return nil
		}
	}
}

// check looks at all goals that aren't reached. The error is of those that can't be.
func (w *waiting) check() error {
	var failed []error
	for _, g := range w.goals {
		if g.done {
			continue
		}
		o, err := w.find(g)
		if err != nil {
			return err
		}
		w.judge(g, o)
		if g.failed {
			failed = append(failed, fmt.Errorf("%s failed: %s%s", g.ref, g.reason, why.Trouble(w.session.ctx, w.session.core, o)))
		}
	}
	return stopped(w.session.ctx, errors.Join(failed...))
}

// find returns an object as it is now; nil if it isn't there.
func (w *waiting) find(g *goal) (*unstructured.Unstructured, error) {
	if o, known := w.mirror.Get(g.kind, g.ref.Namespace, g.ref.Name); known {
		return o, nil
	}
	o, err := w.session.dynamic.Resource(g.kind.GroupVersionResource).Namespace(g.ref.Namespace).Get(w.session.ctx, g.ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", g.ref, stopped(w.session.ctx, w.session.place.Cluster.Explain(err)))
	}
	return o, nil
}

// judge says how far an object has come.
func (w *waiting) judge(g *goal, o *unstructured.Unstructured) {
	switch {
	case g.gone():
		g.done = o == nil || string(o.GetUID()) != g.uid
		if !g.done && len(o.GetFinalizers()) > 0 {
			g.reason = "kept by finalizers: " + strings.Join(o.GetFinalizers(), ", ")
		}
	case o == nil:
		g.reason = "it isn't there"
	case vanishing(o):
		g.done = true
	default:
		result, err := status.Compute(o.DeepCopy())
		switch {
		case err != nil:
			g.reason = err.Error()
		case result.Status == status.CurrentStatus:
			g.done = true
		default:
			g.reason, g.failed = result.Message, result.Status == status.FailedStatus
		}
	}
	w.tell(g)
}

// vanishing tells whether an object is a Job that has done its work, which may be removed at any time.
func vanishing(o *unstructured.Unstructured) bool {
	done, _, _ := unstructured.NestedInt64(o.Object, "status", "succeeded")
	_, ttl, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "ttlSecondsAfterFinished")
	return o.GetKind() == "Job" && ttl && done > 0
}

// tell tells how far an object has come, unless it was so at first sight.
func (w *waiting) tell(g *goal) {
	state := stages.TaskRunning
	switch {
	case g.done:
		state = stages.TaskDone
	case g.failed:
		state = stages.TaskFailed
	}
	now := state + g.reason
	if now == g.told || g.told == "" && g.done {
		return
	}
	g.told = now
	name, detail := g.ref.String(), g.reason
	if g.gone() {
		name += " to be gone"
	}
	if g.done {
		detail = ""
	}
	w.session.job.Events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &stages.Task{
		ID: g.ref.APIVersion + " " + name, Name: name, Kind: stages.TaskWait, State: state, Detail: detail,
	}})
}

// tooLate says which goals weren't reached in time, and why.
func (w *waiting) tooLate(limit time.Duration) error {
	s := w.session
	var lines []string
	for _, g := range w.goals {
		if g.done {
			continue
		}
		want := "ready"
		if g.gone() {
			want = "gone"
		}
		line := fmt.Sprintf("%s isn't %s after %s", g.ref, want, limit)
		if g.reason != "" {
			line += ": " + g.reason
		}
		if o, err := w.find(g); err == nil && o != nil {
			line += why.Trouble(s.ctx, s.core, o)
		}
		lines = append(lines, line)
		g.failed = true
		w.tell(g)
	}
	return stages.WithHint(timeoutError{strings.Join(lines, "\n")},
		"what was applied stays; run again to go on waiting, or give more time: “waitTimeout: 30m”, or --object-timeout")
}

// interrupted adds to the end of the context what was being waited for.
func (w *waiting) interrupted() error {
	var open []string
	for _, g := range w.goals {
		if !g.done {
			open = append(open, strings.TrimSuffix(g.ref.String()+": "+g.reason, ": "))
		}
	}
	return fmt.Errorf("%w while waiting for %s", stopped(w.session.ctx, w.session.ctx.Err()), strings.Join(open, "; "))
}
