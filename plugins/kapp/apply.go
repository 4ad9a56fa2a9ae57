package kapp

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	ctldgraph "carvel.dev/kapp/pkg/kapp/diffgraph"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	ctlresm "carvel.dev/kapp/pkg/kapp/resourcesmisc"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/live"
)

// An applier makes the changes of a set in their order and waits for them. It does what kapp's own loop
// does, with its parts, but for three things: a change begins as soon as those before it are done, not
// once a whole round of them is; waiting is by watches; and what is waited for is told with its reason.
type applier struct {
	s    *session
	set  *changeSet
	tell *narrator
	view *mirrored
	// bulk deletes many objects at once; nil if the app stays. more says that changes have become ready
	// since it was last asked.
	bulk *bulk
	more bool

	// blockers counts the changes that each one has to wait for, and dependents are the reverse.
	blockers   map[*ctldgraph.Change]int
	dependents map[*ctldgraph.Change][]*change
	// ready may begin, and tracked have begun and are waited for.
	ready   []*change
	tracked map[*change]*tracking
	// results are those of the work under way, of which there are busy pieces.
	results chan result
	busy    int
	// making is the number of pieces that make a change.
	making int
	done   int
	// waits means that nothing is being changed, only waited for.
	waits bool
	// progressed is when a change was last done.
	progressed time.Time
	failures   []error
	stopping   bool

	mu sync.Mutex
	// news are the association labels of objects that have changed.
	news map[string]bool
	wake chan struct{}
}

// tracking is what is known of a change that is waited for.
type tracking struct {
	check check
	since time.Time
	// unblocked means that the changes after it have been let go already.
	unblocked bool
	// checking is being looked at, and again has to be looked at once more after that.
	checking, again bool
	state           ctlresm.DoneApplyState
	messages        []string
}

// A result is what a piece of work has led to: making a change, or looking at it.
type result struct {
	change *change
	// bulk are changes that were prepared together and can be made now.
	bulk []*change
	// making means that the change was to be made, and err why that failed.
	making bool
	err    error
	// check is what tells from then on whether the change is done.
	check check
	// state and messages say how it stands, and checkErr that this couldn't be told.
	state    ctlresm.DoneApplyState
	messages []string
	checkErr error
}

// apply makes the changes of a set.
func (s *session) apply(set *changeSet, meta ctlapp.Meta, namespaces []string, bulk *bulk) error {
	a := &applier{
		s: s, set: set, bulk: bulk, tell: newNarrator(s, len(set.changes)), blockers: map[*ctldgraph.Change]int{},
		dependents: map[*ctldgraph.Change][]*change{}, tracked: map[*change]*tracking{},
		results: make(chan result, 2*len(set.changes)+requestsAtOnce), news: map[string]bool{}, wake: make(chan struct{}, 1), progressed: time.Now(),
	}
	mirror := live.NewMirror(s.ctx, s.clients.dynamic, selector(meta), namespaces, a.changed)
	defer mirror.Close()
	a.view = &mirrored{objects: s.objects, mirror: mirror, once: map[string]bool{}}
	nodes := map[*ctldgraph.Change]*change{}
	for _, c := range set.changes {
		nodes[c.node] = c
	}
	for _, c := range set.changes {
		for _, before := range c.node.WaitingFor {
			a.blockers[c.node]++
			a.dependents[before] = append(a.dependents[before], c)
		}
		if a.blockers[c.node] == 0 {
			a.ready, a.more = append(a.ready, c), true
		}
	}
	err := a.run()
	a.tell.finish(err)
	return err
}

// changed takes the news that an object has changed.
func (a *applier) changed(u *unstructured.Unstructured) {
	a.mu.Lock()
	a.news[u.GetLabels()[associationKey]] = true
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

const associationKey = "kapp.k14s.io/association"

func (a *applier) run() error {
	f := a.s.flags.apply()
	tick := time.NewTicker(max(f.WaitingChangesOpts.CheckInterval/lookOften, minInterval))
	defer tick.Stop()
	for {
		if !a.stopping {
			a.start(f.ApplyingChangesOpts.Concurrency)
		}
		waits := a.making == 0 && len(a.ready) == 0 && len(a.tracked) > 0
		if waits && !a.waits {
			a.tell.pausing()
		}
		a.waits = waits
		if a.busy == 0 && (a.stopping || len(a.ready) == 0 && len(a.tracked) == 0) {
			return a.end()
		}
		select {
		case r := <-a.results:
			a.busy--
			a.take(r)
		case <-a.wake:
			a.hear()
		case <-tick.C:
			a.look()
		case <-a.s.ctx.Done():
			a.stopping = true
			a.drain()
		}
	}
}

// kapp looks at what it waits for every three seconds unless it is told otherwise. What can be watched
// needs no looking; the rest is looked at more often.
const (
	lookOften   = 6
	minInterval = 100 * time.Millisecond
)

// grace is how long work under way gets to end once the context has. All requests fail from then on, but
// kapp's library sleeps between some of its tries.
const grace = time.Second

// drain takes what has still been done, and leaves alone what doesn't end: it can't reach the cluster any
// more, and ends by itself.
func (a *applier) drain() {
	late := time.After(grace)
	for ; a.busy > 0; a.busy-- {
		select {
		case r := <-a.results:
			if r.making && r.err == nil {
				a.tell.made(r.change)
			}
		case <-late:
			a.busy = 0
			return
		}
	}
}

// start begins ready changes.
func (a *applier) start(atOnce int) {
	if a.bulk != nil && a.more {
		a.more = false
		var shelves map[shelf][]*change
		shelves, a.ready = a.bulk.pick(a.ready)
		for s, changes := range shelves {
			a.tell.applying(len(changes))
			a.making++
			a.work(func() result {
				a.bulk.delete(a.s.ctx, s, changes)
				return result{bulk: changes}
			})
		}
	}
	n := min(len(a.ready), atOnce-a.busy)
	if n <= 0 {
		return
	}
	a.tell.applying(len(a.ready))
	for _, c := range a.ready[:n] {
		a.s.objects.begin(c.diff)
		a.making++
		a.work(func() result { return a.make(c) })
	}
	a.ready = slices.Delete(a.ready, 0, n)
}

func (a *applier) work(f func() result) {
	a.busy++
	go func() { a.results <- f() }()
}

// make makes a change, and looks whether it is done at once.
func (a *applier) make(c *change) result {
	r := result{change: c, making: true}
	if r.err = guarded(func() error { return a.persist(c) }); r.err != nil {
		return r
	}
	r.check = a.checkOf(c)
	return a.see(c, r.check, r)
}

// persist makes a change, again and again while what stands against it may pass.
func (a *applier) persist(c *change) error {
	f := a.s.flags.apply().ApplyingChangesOpts
	for began := time.Now(); ; {
		retryable, _, err := c.Apply()
		if err == nil || !retryable {
			return err
		}
		if time.Since(began) >= f.Timeout {
			return timeoutError{fmt.Sprintf("gave up after %s: %s", f.Timeout, a.s.explain(err))}
		}
		a.tell.retrying(c, err)
		select {
		case <-a.s.ctx.Done():
			return a.s.ctx.Err()
		case <-time.After(f.CheckInterval):
		}
	}
}

// checkOf is what tells whether a change is done.
func (a *applier) checkOf(c *change) check {
	again := a.set.waiting(a.view).NewClusterChange(c.diff)
	if c.WaitOp() == ctlcap.ClusterChangeWaitOpOK {
		again.MarkNeedsWaiting()
	}
	return again
}

// see looks how a change stands. Where a watch is possible, the answer is given anew once it is there.
func (a *applier) see(c *change, look check, r result) result {
	err := guarded(func() (err error) {
		r.state, r.messages, err = look.IsDoneApplying()
		if err == nil && !r.state.Done && a.view.follow(c.Resource()) {
			r.state, r.messages, err = look.IsDoneApplying()
		}
		return err
	})
	r.change, r.checkErr = c, err
	if c.Resource().Kind() == "CustomResourceDefinition" || c.Resource().Kind() == "APIService" {
		a.s.clients.types.changed()
	}
	return r
}

// take takes the result of a piece of work.
func (a *applier) take(r result) {
	if r.bulk != nil {
		a.making--
		a.ready = append(a.ready, r.bulk...)
		return
	}
	t := a.tracked[r.change]
	if r.making {
		a.making--
	}
	switch {
	case r.err != nil:
		a.fail(a.s.explain(r.err), a.s.flags.apply().ExitEarlyOnApplyError)
		return
	case t == nil:
		a.tell.made(r.change)
		t = &tracking{check: r.check, since: time.Now()}
		a.tracked[r.change] = t
	}
	t.checking, t.state, t.messages = false, r.state, r.messages
	limit := a.objectTimeout()
	switch {
	case r.checkErr != nil:
		a.lose(r.change, a.s.explain(r.checkErr))
	case r.state.Done && !r.state.Successful:
		a.lose(r.change, a.s.unhealthy(r.change, r.state.Message))
	case r.state.Done:
		a.finish(r.change, t)
	case limit > 0 && time.Since(t.since) >= limit:
		a.lose(r.change, a.s.late(limit, map[*change]*tracking{r.change: t}))
	default:
		if r.state.UnblockChanges {
			a.unblock(r.change, t)
		}
		a.tell.waiting(r.change, r.messages, len(a.tracked), a.done)
		if t.again {
			a.check(r.change, t)
		}
	}
}

// objectTimeout is how long one object may take.
func (a *applier) objectTimeout() time.Duration {
	limit := a.s.flags.apply().ResourceTimeout
	if own := a.s.job.Limits.ObjectTimeout; own > 0 && (limit == 0 || own < limit) {
		limit = own
	}
	return limit
}

// finish takes a change that is done.
func (a *applier) finish(c *change, t *tracking) {
	delete(a.tracked, c)
	a.done++
	a.progressed = time.Now()
	a.tell.ready(c, t.messages, a.done)
	a.unblock(c, t)
}

func (a *applier) unblock(c *change, t *tracking) {
	if t.unblocked {
		return
	}
	t.unblocked = true
	for _, d := range a.dependents[c.node] {
		if a.blockers[d.node]--; a.blockers[d.node] == 0 {
			a.ready, a.more = append(a.ready, d), true
		}
	}
}

// lose takes a change that won't be done.
func (a *applier) lose(c *change, err error) {
	a.tell.failed(c, a.tracked[c].messages)
	delete(a.tracked, c)
	a.fail(err, a.s.flags.apply().ExitEarlyOnWaitError)
}

func (a *applier) fail(err error, early bool) {
	a.failures = append(a.failures, err)
	a.stopping = a.stopping || early
}

// check looks at a change again.
func (a *applier) check(c *change, t *tracking) {
	if t.checking {
		t.again = true
		return
	}
	t.checking, t.again = true, false
	a.work(func() result { return a.see(c, t.check, result{}) })
}

// hear looks at the changes of which there is news.
func (a *applier) hear() {
	a.mu.Lock()
	news := a.news
	a.news = map[string]bool{}
	a.mu.Unlock()
	for c, t := range a.tracked {
		if !a.stopping && news[ctlres.NewAssociationLabel(c.Resource()).Value()] {
			a.check(c, t)
		}
	}
}

// look looks at everything that is waited for, and whether it takes too long.
func (a *applier) look() {
	if a.stopping || len(a.tracked) == 0 {
		return
	}
	limit := a.s.flags.apply().WaitingChangesOpts.Timeout
	if time.Since(a.progressed) >= limit && a.making == 0 && len(a.ready) == 0 {
		a.fail(a.s.late(limit, a.tracked), true)
		return
	}
	for c, t := range a.tracked {
		a.check(c, t)
	}
}

// end tells how it went.
func (a *applier) end() error {
	if a.s.ctx.Err() != nil {
		return a.s.interrupted(a.tracked)
	}
	if len(a.failures) == 0 && a.done < len(a.set.changes) {
		return errors.New("internal error: some changes wait for each other")
	}
	if len(a.failures) == 1 {
		return a.failures[0]
	}
	return errors.Join(a.failures...)
}
