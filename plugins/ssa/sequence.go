package ssa

import (
	"sync"

	"strake.dev/strake/stages"
)

// A sequence tells of the changes of some objects in a fixed order, although several are made at a time.
// It is safe for concurrent use.
type sequence struct {
	events stages.Observer

	mu   sync.Mutex
	made []stages.Change
	done []bool
	// next is the first object that hasn't been told of.
	next int
}

func newSequence(events stages.Observer, n int) *sequence {
	return &sequence{events: events, made: make([]stages.Change, n), done: make([]bool, n)}
}

// tell tells of the change of the nth object once those of all before it are told. One without an
// operation is passed over.
func (q *sequence) tell(n int, c stages.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.done[n] {
		return
	}
	q.made[n], q.done[n] = c, true
	for ; q.next < len(q.done) && q.done[q.next]; q.next++ {
		q.observe(q.next)
	}
}

// flush tells of what is still held back because an object before it has failed.
func (q *sequence) flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; q.next < len(q.done); q.next++ {
		q.observe(q.next)
	}
}

func (q *sequence) observe(n int) {
	if c := q.made[n]; c.Op != "" {
		q.events.Observe(stages.Event{Type: stages.ChangeMade, Change: &c})
	}
}

// unchanged is what is told of an object that is left as it is: nothing, unless that is wanted.
func (s *session) unchanged(i *item) stages.Change {
	if !s.job.Unchanged {
		return stages.Change{}
	}
	return i.told()
}

// nothing tells that all objects are as they should be, if that is wanted.
func (s *session) nothing(v *view) {
	q := newSequence(s.job.Events, len(v.items))
	for n, i := range v.items {
		q.tell(n, s.unchanged(i))
	}
}
