package kapp

import (
	"slices"
	"strings"
	"sync"

	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	cmdcore "carvel.dev/kapp/pkg/kapp/cmd/core"

	"strake.dev/strake/stages"
)

// A narrator tells how changes are made and waited for: as events, and in kapp's own words to those who
// want a transcript.
type narrator struct {
	events stages.Observer
	kapp   ctlcap.UI
	// total is the number of changes, and done that of those made.
	total, done int

	mu sync.Mutex
	// waits are the tasks of what is waited for, and progress those of the whole.
	waits    map[*change]stages.Task
	progress map[string]stages.Task
}

func newNarrator(s *session, total int) *narrator {
	n := &narrator{events: s.events, total: total, waits: map[*change]stages.Task{}, progress: map[string]stages.Task{}}
	if t := s.job.Transcript; t != nil {
		n.kapp = cmdcore.NewDedupingMessagesUI(cmdcore.NewPlainMessagesUI(transcriptUI(t)))
	}
	return n
}

// applying tells that changes begin.
func (n *narrator) applying(begin int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.far("applying", n.done)
	if n.kapp != nil {
		n.kapp.NotifySection("applying %d changes [%d/%d done]", begin, n.done, n.total)
	}
}

// far tells how far it has come.
func (n *narrator) far(what string, current int) {
	t := stages.Task{ID: what, Name: what, State: stages.TaskRunning, Unit: "objects", Current: int64(current), Total: int64(n.total)}
	if current == n.total {
		t.State = stages.TaskDone
	}
	if n.progress[what] != t {
		n.progress[what] = t
		n.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &t})
	}
}

// made tells that a change was made.
func (n *narrator) made(c *change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done++
	n.far("applying", n.done)
	if c.writes() {
		r := c.Resource()
		n.events.Observe(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{
			Op: c.op(), Kind: r.Kind(), Namespace: r.Namespace(), Name: r.Name(),
		}})
	}
	n.say([]string{c.ApplyDescription()})
}

// retrying tells that a change couldn't be made yet.
func (n *narrator) retrying(c *change, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.task(c)
	t.State, t.Detail = stages.TaskRunning, "tried again: "+flatten(err.Error())
	n.update(c, t)
	n.say([]string{c.ApplyDescription(), " ^ Retryable error: " + err.Error()})
}

// pausing tells that nothing more can be made until something is ready.
func (n *narrator) pausing() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events.Observe(stages.Event{Type: stages.Waiting})
}

// waiting tells why something isn't ready yet.
func (n *narrator) waiting(c *change, messages []string, tracked, done int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.far("waiting", done)
	t := n.task(c)
	t.State, t.Detail = stages.TaskRunning, reason(messages)
	n.update(c, t)
	if n.kapp != nil {
		n.kapp.NotifySection("waiting on %d changes [%d/%d done]", tracked, done, n.total)
	}
	n.say(messages)
}

// ready tells that something is ready, or gone.
func (n *narrator) ready(c *change, messages []string, done int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.far("waiting", done)
	// What is well at first sight is no task that took time.
	if t, ok := n.waits[c]; ok {
		t.State, t.Detail = stages.TaskDone, ""
		n.update(c, t)
	}
	n.say(messages)
	if n.kapp != nil && done == n.total {
		n.kapp.NotifySection("applying complete [%d/%d done]", n.total, n.total)
		n.kapp.NotifySection("waiting complete [%d/%d done]", n.total, n.total)
	}
}

// failed tells that something won't get ready.
func (n *narrator) failed(c *change, messages []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.task(c)
	t.State = stages.TaskFailed
	if why := reason(messages); why != "" {
		t.Detail = why
	}
	n.update(c, t)
	n.say(messages)
}

// finish closes the tasks that are open.
func (n *narrator) finish(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	state := stages.TaskDone
	if err != nil {
		state = stages.TaskFailed
	}
	for c, t := range n.waits {
		if t.State == stages.TaskRunning {
			t.State = state
			n.update(c, t)
		}
	}
	for id, t := range n.progress {
		if t.State == stages.TaskRunning {
			t.State = state
			n.progress[id] = t
			n.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &t})
		}
	}
}

func (n *narrator) say(messages []string) {
	if n.kapp != nil {
		n.kapp.Notify(messages)
	}
}

func (n *narrator) task(c *change) stages.Task {
	if t, ok := n.waits[c]; ok {
		return t
	}
	name := c.object().String()
	if c.ApplyOp() == ctlcap.ClusterChangeApplyOpDelete {
		name += " to be gone"
	}
	return stages.Task{ID: c.Resource().Description(), Name: name, Kind: stages.TaskWait}
}

func (n *narrator) update(c *change, t stages.Task) {
	if n.waits[c] == t {
		return
	}
	n.waits[c] = t
	n.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &t})
}

// What kapp's library says of what it waits for:
//
//	ongoing: reconcile deployment/web (apps/v1) namespace: x
//	 ^ Waiting for 1 unavailable replicas
//	 L ongoing: waiting on pod/web-1 (v1) namespace: x
//	    ^ Pending: ImagePullBackOff
var (
	child  = pattern(`\A *L (ok|ongoing|fail|error|unknown): waiting on (` + description + `)\z`)
	detail = pattern(`\A *\^ (.+)\z`)
)

// reasons are those in kapp's messages of something that isn't ready: its own, and those of what belongs to
// it.
func reasons(messages []string) (own, below []string) {
	what := ""
	for _, line := range messages {
		line = plain(line)
		if m := child().FindStringSubmatch(line); m != nil {
			what = "-"
			if o, ok := parseObject(m[2]); ok && m[1] != "ok" {
				what = o.kind + "/" + o.name
			}
			continue
		}
		m := detail().FindStringSubmatch(line)
		switch {
		case m == nil || what == "-":
		case what == "":
			own = append(own, m[1])
		default:
			below = append(below, what+": "+m[1])
		}
	}
	return own, below
}

// reason puts all reasons into one text.
func reason(messages []string) string {
	own, below := reasons(messages)
	return strings.Join(slices.Concat(own, below), "; ")
}

// escapes are the colours in kapp's texts.
var escapes = pattern("\x1b\\[[0-9;]*[A-Za-z]")

// plain takes the colours out of a text.
func plain(text string) string { return escapes().ReplaceAllString(text, "") }
