package kapp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	cmdcore "carvel.dev/kapp/pkg/kapp/cmd/core"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/cppforlife/go-cli-ui/ui/table"

	"strake.dev/strake/stages"
)

// A screen is what kapp's library takes for the user's terminal. It reads the text that arrives and
// turns it into events, and keeps tables and diffs for those who want them.
type screen struct {
	events stages.Observer
	// also, if not nil, is printed to as well.
	also ui.UI

	mu sync.Mutex
	// rows are those of the last table, by column.
	rows []row
	// diffs are those of the changes, in the order of the table's rows.
	diffs []string
	// inDiff means that the next block belongs to the last of diffs.
	inDiff bool
	// kinds are the proper names of kinds that are lower case in descriptions.
	kinds map[object]string
	// applied are the operations that kapp has begun and which are not yet known to have succeeded.
	applied map[object]string
	// waits are what kapp waits for.
	waits map[object]*wait
	// current is the one that details belong to.
	current *wait
	// progress are the counters that were told.
	progress map[string]stages.Task
}

var _ ui.UI = (*screen)(nil)

func newScreen(events stages.Observer) *screen {
	return &screen{
		events: events, kinds: map[object]string{}, applied: map[object]string{}, waits: map[object]*wait{},
		progress: map[string]stages.Task{},
	}
}

// A row is one row of a table, by the key of its column.
type row map[string]table.Value

func (r row) text(column string) string {
	if v := r[column]; v != nil {
		// Long texts come wrapped for a narrow column.
		return strings.Join(strings.Fields(v.String()), " ")
	}
	return ""
}

func (r row) object() object {
	return newObject(r.text("kind"), r.text("name"), r.text("version"), r.text("namespace"))
}

// created is when the object was made, in RFC 3339; empty if it isn't there.
func (r row) created() string {
	if age, ok := r["age"].(cmdcore.ValueAge); ok && !age.T.IsZero() {
		return age.T.UTC().Format("2006-01-02T15:04:05Z07:00")
	}
	return ""
}

// PrintTable keeps the table.
func (s *screen) PrintTable(t table.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.also != nil {
		s.also.PrintTable(t)
	}
	s.rows = s.rows[:0]
	for _, values := range t.Rows {
		r := row{}
		for i, v := range values {
			if i < len(t.Header) {
				r[t.Header[i].Key] = v
			}
		}
		s.rows = append(s.rows, r)
		s.kinds[r.object()] = r.text("kind")
	}
}

// BeginLinef takes a line of text.
func (s *screen) BeginLinef(pattern string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.also != nil {
		s.also.BeginLinef(pattern, args...)
	}
	s.lines(pattern, args...)
}

func (s *screen) lines(pattern string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(pattern, args...), "\n") {
		s.line(line)
	}
}

// PrintLinef takes a line of text.
func (s *screen) PrintLinef(pattern string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.also != nil {
		s.also.PrintLinef(pattern, args...)
	}
	s.lines(pattern, args...)
}

// EndLinef takes a line of text.
func (s *screen) EndLinef(pattern string, args ...any) { s.BeginLinef(pattern, args...) }

// ErrorLinef takes a line of text.
func (s *screen) ErrorLinef(pattern string, args ...any) { s.BeginLinef(pattern, args...) }

// PrintBlock takes the diff of a change, or lines of a pod's log.
func (s *screen) PrintBlock(block []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.also != nil {
		s.also.PrintBlock(block)
	}
	text := plain(string(block))
	if s.inDiff {
		s.diffs[len(s.diffs)-1] = strings.TrimRight(text, "\n") + "\n"
		s.inDiff = false
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		s.log(line)
	}
}

// PrintErrorBlock takes lines of text.
func (s *screen) PrintErrorBlock(block string) { s.PrintBlock([]byte(block)) }

// AskForConfirmation agrees: whoever runs strake has asked for the changes.
func (s *screen) AskForConfirmation() error { return nil }

var errNoQuestions = errors.New("kapp's library asked a question that nobody can answer here")

// AskForText fails.
func (s *screen) AskForText(string) (string, error) { return "", errNoQuestions }

// AskForChoice fails.
func (s *screen) AskForChoice(string, []string) (int, error) { return 0, errNoQuestions }

// AskForPassword fails.
func (s *screen) AskForPassword(string) (string, error) { return "", errNoQuestions }

// IsInteractive tells that nobody is there.
func (s *screen) IsInteractive() bool { return false }

// Flush does nothing: events aren't kept back.
func (s *screen) Flush() {}

func (s *screen) log(line string) {
	if line = strings.TrimSpace(line); line != "" {
		stages.Log(s.events, line)
	}
}

// pending lists what kapp still waits for.
func (s *screen) pending() []*wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*wait
	for _, w := range s.waits {
		if w.state != stages.TaskDone {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b *wait) int { return strings.Compare(a.object.String(), b.object.String()) })
	return found
}

// finish tells the changes that were made although kapp never got to wait for them, and closes the
// tasks. err is how kapp's call ended.
func (s *screen) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	if err != nil {
		text = plain(err.Error())
	}
	for o, op := range maps.All(s.applied) {
		if !strings.Contains(text, op+" "+o.describe()+":") {
			s.made(o, op)
		}
	}
	clear(s.applied)
	state := stages.TaskDone
	if err != nil {
		state = stages.TaskFailed
	}
	for _, w := range s.waits {
		if w.state == stages.TaskRunning {
			w.state = state
			s.tell(w)
		}
	}
	for id, t := range s.progress {
		if t.State == stages.TaskRunning {
			t.State = state
			s.progress[id] = t
			s.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &t})
		}
	}
}
