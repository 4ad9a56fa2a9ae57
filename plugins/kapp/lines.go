package kapp

import (
	"slices"
	"strconv"
	"strings"

	"strake.dev/strake/stages"
)

// The lines that kapp's library prints while it applies and waits:
//
//	4:05:06PM: ---- applying 2 changes [0/3 done] ----
//	4:05:06PM: create deployment/web (apps/v1) namespace: x
//	4:05:06PM: ---- waiting on 2 changes [1/3 done] ----
//	4:05:06PM: ongoing: reconcile deployment/web (apps/v1) namespace: x
//	4:05:06PM:  ^ Waiting for 1 unavailable replicas
//	4:05:06PM:  L ongoing: waiting on pod/web-1 (v1) namespace: x
//	4:05:06PM:     ^ Pending: ImagePullBackOff
var (
	escapes   = pattern("\x1b\\[[0-9;]*[A-Za-z]")
	clock     = pattern(`\A\d{1,2}:\d\d:\d\d[AP]M: `)
	diffTitle = pattern(`\A@@ \S* ?` + description + ` @@\z`)
	section   = pattern(`\A---- (applying|waiting)[^\[]*\[(\d+)/(\d+) done\] ----\z`)
	applying  = pattern(`\A(create|update|delete|exists|noop) (` + description + `)\z`)
	waiting   = pattern(`\A(ok|ongoing|fail|error): (reconcile|delete|noop) (` + description + `)\z`)
	child     = pattern(`\A *L (ok|ongoing|fail|error|unknown): waiting on (` + description + `)\z`)
	detail    = pattern(`\A *\^ (.+)\z`)
)

// plain takes the colours out of a text.
func plain(text string) string { return escapes().ReplaceAllString(text, "") }

// A wait is an object that kapp waits for.
type wait struct {
	object object
	// gone means that it is to be gone, otherwise it is to be healthy.
	gone bool
	// state is one of a task's; empty before the first one was told.
	state string
	// own says why it isn't ready yet, and children the same of objects below it.
	own, children []string
	// below is the object below it that the next reason is about; empty for its own.
	below string
}

func (w *wait) reason() string { return strings.Join(slices.Concat(w.own, w.children), "; ") }

// line reads one line of kapp's text.
func (s *screen) line(text string) {
	text = clock().ReplaceAllString(strings.TrimRight(plain(text), " "), "")
	if m := detail().FindStringSubmatch(text); m != nil && s.current != nil {
		s.detail(m[1])
		return
	}
	if m := child().FindStringSubmatch(text); m != nil && s.current != nil {
		o, _ := parseObject(m[2])
		s.current.below = o.kind + "/" + o.name
		if m[1] == "ok" {
			s.current.below = "-"
		}
		return
	}
	if text == "" {
		return
	}
	s.current = nil
	switch {
	case diffTitle().MatchString(text):
		s.diffs, s.inDiff = append(s.diffs, ""), true
	case section().MatchString(text):
		s.section(section().FindStringSubmatch(text))
	case applying().MatchString(text):
		m := applying().FindStringSubmatch(text)
		if o, ok := parseObject(m[2]); ok && m[1] != "noop" && m[1] != "exists" {
			s.applied[o] = m[1]
		}
	case waiting().MatchString(text):
		m := waiting().FindStringSubmatch(text)
		if o, ok := parseObject(m[3]); ok {
			s.wait(o, m[1], m[2])
		}
	default:
		s.log(text)
	}
}

// section tells how far kapp has come.
func (s *screen) section(m []string) {
	t := stages.Task{ID: m[1], Name: m[1], State: stages.TaskRunning, Unit: "objects"}
	t.Current, _ = strconv.ParseInt(m[2], 10, 64)
	t.Total, _ = strconv.ParseInt(m[3], 10, 64)
	if t.Current == t.Total {
		t.State = stages.TaskDone
	}
	if s.progress[t.ID] == t {
		return
	}
	s.progress[t.ID] = t
	s.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &t})
}

// wait takes the state of an object that kapp waits for. That it waits shows that what was to be
// done to the object has been done.
func (s *screen) wait(o object, state, op string) {
	if done, ok := s.applied[o]; ok {
		s.made(o, done)
		delete(s.applied, o)
	}
	w := s.waits[o]
	if w == nil {
		w = &wait{object: o, gone: op == "delete"}
		s.waits[o] = w
	}
	// That the state can't be read, for instance because the run was stopped, makes nothing known wrong.
	if state != "error" {
		w.own, w.children = nil, nil
	}
	w.below = ""
	before := w.state
	switch state {
	case "ok":
		w.state = stages.TaskDone
	case "ongoing":
		w.state = stages.TaskRunning
	default:
		w.state = stages.TaskFailed
	}
	s.current = w
	// What is well at first sight is no task that took time.
	if w.state != before && (w.state != stages.TaskDone || before != "") {
		s.tell(w)
	}
}

// detail takes a reason why the current object isn't ready.
func (s *screen) detail(reason string) {
	w := s.current
	if w.below == "-" || w.state == stages.TaskDone {
		return
	}
	if w.below != "" {
		w.children = append(w.children, w.below+": "+reason)
	} else {
		w.own = append(w.own, reason)
	}
	s.tell(w)
}

func (s *screen) tell(w *wait) {
	name := w.object.String()
	if w.gone {
		name += " to be gone"
	}
	s.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &stages.Task{
		ID: w.object.describe(), Name: name, State: w.state, Detail: w.reason(),
	}})
}

// made tells a change that was made.
func (s *screen) made(o object, op string) {
	kind := s.kinds[o]
	if kind == "" {
		kind = o.kind
	}
	s.events.Observe(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{
		Op: op, Kind: kind, Namespace: o.namespace, Name: o.name,
	}})
}
