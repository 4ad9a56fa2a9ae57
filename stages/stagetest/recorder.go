package stagetest

import (
	"slices"
	"sync"

	"strake.dev/strake/stages"
)

// A Recorder is an [stages.Observer] that keeps the events. The zero value is ready, and it is safe
// for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	events []stages.Event
	// first, if not nil, is called at the first event.
	first func()
}

// Observe keeps the event.
func (r *Recorder) Observe(e stages.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	if r.first != nil {
		r.first()
		r.first = nil
	}
}

// Events returns the events so far.
func (r *Recorder) Events() []stages.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Messages returns the messages of the events of one type.
func (r *Recorder) Messages(eventType string) []string {
	var messages []string
	for _, e := range r.Events() {
		if e.Type == eventType {
			messages = append(messages, e.Message)
		}
	}
	return messages
}
