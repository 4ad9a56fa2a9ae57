package source

import (
	"sync"
	"time"

	"strake.dev/strake/stages"
)

// A task tells of one piece of work, not more often than people can see.
type task struct {
	mu     sync.Mutex
	events stages.Observer
	state  stages.Task
	next   time.Time
}

const taskEvery = 200 * time.Millisecond

func startTask(events stages.Observer, id, name string) *task {
	t := &task{events: events, state: stages.Task{ID: id + " " + name, Name: name, Kind: stages.TaskTransfer, State: stages.TaskRunning}}
	t.tell(true)
	return t
}

func (t *task) tell(now bool) {
	if !now && time.Now().Before(t.next) {
		return
	}
	t.next = time.Now().Add(taskEvery)
	state := t.state
	t.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &state})
}

// bytes tells how many bytes have come, and how many there will be; 0 if unknown.
func (t *task) bytes(current, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Current, t.state.Total, t.state.Unit = current, total, "bytes"
	t.tell(false)
}

// detail tells what is going on.
func (t *task) detail(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Detail = line
	t.tell(false)
}

// end tells how it ended; the error itself is the step's to report.
func (t *task) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.State, t.state.Detail = stages.TaskDone, ""
	if err != nil {
		t.state.State = stages.TaskFailed
	}
	t.tell(true)
}

// parts adds up the progress of several downloads.
type parts struct {
	mu   sync.Mutex
	done []int64
	tell func(total int64)
}

func newParts(n int, tell func(int64)) *parts { return &parts{done: make([]int64, n), tell: tell} }

// set says how much of a part is done.
func (p *parts) set(n int, done int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[n] = done
	total := int64(0)
	for _, d := range p.done {
		total += d
	}
	p.tell(total)
}
