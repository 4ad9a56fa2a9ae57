package buildkit

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"strake.dev/strake/stages"
)

// keptLines is how many of a step's last lines are kept for the error when it fails, and keptErrors
// how many of them are standard error at least, if there are so many: the daemon reads both outputs
// on their own, and what explains a failure may come before a lot that was printed earlier.
const (
	keptLines  = 10
	keptErrors = 5
)

// stderr is BuildKit's number for standard error.
const stderr = 2

// maxLine is how much of one line of output is told, in bytes: some programs write without end.
const maxLine = 4096

// steps translates what BuildKit tells of a build into events.
type steps struct {
	name   string
	events stages.Observer
	// clean takes secrets out of lines before they are cut, which would leave a piece of one.
	clean func(string) string
	byID  map[digest.Digest]*step
	// open are the tasks that were last told to be running.
	open map[string]*stages.Task
}

type step struct {
	name  string
	state string
	// cached tells that it was taken from the cache, and ran that in some try it was not.
	cached, ran bool
	outputs     map[int]*output
	// lines counts the lines of all outputs.
	lines int
}

// An output is the standard output or standard error of a step.
type output struct {
	// rest is what came without a line end so far.
	rest []byte
	// long means that the line that rest belongs to has been told already, as far as it is.
	long bool
	last []line
}

type line struct {
	number int
	text   string
}

func newSteps(name string, events stages.Observer, clean func(string) string) *steps {
	return &steps{name: name, events: events, clean: clean, byID: map[digest.Digest]*step{}, open: map[string]*stages.Task{}}
}

func (s *steps) of(id digest.Digest) *step {
	st := s.byID[id]
	if st == nil {
		st = &step{outputs: map[int]*output{}}
		s.byID[id] = st
	}
	return st
}

// begin begins a try: what was cached in an earlier one may have to be done now.
func (s *steps) begin() {
	for _, st := range s.byID {
		st.state = ""
	}
}

func (s *steps) tell(status *client.SolveStatus) {
	for _, v := range status.Vertexes {
		s.vertex(v)
	}
	for _, v := range status.Statuses {
		s.progress(v)
	}
	for _, l := range status.Logs {
		s.log(l)
	}
	for _, w := range status.Warnings {
		stages.Warn(s.events, s.name+" "+string(w.Short))
	}
}

func (s *steps) vertex(v *client.Vertex) {
	st := s.of(v.Digest)
	st.name = v.Name
	state := stages.TaskRunning
	switch {
	case v.Error != "":
		state = stages.TaskFailed
	case v.Cached:
		state = stages.TaskCached
	case v.Completed != nil:
		state = stages.TaskDone
	case v.Started == nil:
		return
	}
	// A cached layer that is fetched after all is told of as if the step ran.
	if state == st.state || st.state == stages.TaskCached && state != stages.TaskFailed {
		return
	}
	st.state = state
	st.cached = st.cached || state == stages.TaskCached
	if state != stages.TaskRunning {
		s.flush(st)
	}
	s.task(&stages.Task{ID: s.id(v.Digest.String()), Name: s.name + " " + v.Name, Kind: stages.TaskBuild, State: state, Detail: v.Error})
}

// progress tells of a transfer inside a step, such as the download of a layer.
func (s *steps) progress(v *client.VertexStatus) {
	name := v.Name
	if name == "" {
		name = v.ID
	}
	t := &stages.Task{
		ID: s.id(v.Vertex.String() + " " + v.ID), Name: s.name + " " + name, Kind: stages.TaskTransfer, State: stages.TaskRunning,
		Current: v.Current, Total: v.Total,
	}
	if v.Total > 0 {
		t.Unit = "bytes"
	}
	if v.Completed != nil {
		t.State = stages.TaskDone
	}
	s.task(t)
}

func (s *steps) task(t *stages.Task) {
	delete(s.open, t.ID)
	if t.State == stages.TaskRunning {
		s.open[t.ID] = t
	}
	s.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: t})
}

// end closes what the daemon has left open: it doesn't tell the end of everything.
func (s *steps) end(state string) {
	for _, st := range s.byID {
		s.flush(st)
		st.ran = st.ran || st.state == stages.TaskDone
	}
	for _, id := range slices.Sorted(maps.Keys(s.open)) {
		t := *s.open[id]
		t.State = state
		s.task(&t)
	}
}

// id keeps the steps of builds that run side by side apart: they may have steps in common.
func (s *steps) id(id string) string { return s.name + " " + id }

func (s *steps) log(l *client.VertexLog) {
	st := s.of(l.Vertex)
	out := st.outputs[l.Stream]
	if out == nil {
		out = &output{}
		st.outputs[l.Stream] = out
	}
	data := append(out.rest, l.Data...)
	for {
		text, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			break
		}
		if !out.long {
			s.line(st, out, text)
		}
		out.long, data = false, rest
	}
	if drawn := bytes.LastIndexByte(data, '\r'); len(data) > maxLine && drawn > 0 {
		// A progress bar: what was drawn last is told from time to time.
		if !out.long {
			s.line(st, out, data[:drawn])
		}
		out.long, data = false, data[drawn:]
	}
	if len(data) > maxLine {
		if !out.long {
			s.line(st, out, data)
		}
		out.long, data = true, nil
	}
	out.rest = bytes.Clone(data)
}

func (s *steps) flush(st *step) {
	for _, out := range st.outputs {
		if len(out.rest) > 0 && !out.long {
			s.line(st, out, out.rest)
		}
		out.rest, out.long = nil, false
	}
}

func (s *steps) line(st *step, out *output, data []byte) {
	// Of a line that was drawn over with carriage returns, the last state counts.
	data = bytes.TrimRight(data, "\r")
	data = data[bytes.LastIndexByte(data, '\r')+1:]
	text := strings.ToValidUTF8(string(data), "�")
	if len(text) > maxLine {
		text = s.clean(text)
		text = strings.ToValidUTF8(text[:min(len(text), maxLine)], "�")
	}
	st.lines++
	out.last = append(out.last, line{st.lines, text})
	if len(out.last) > keptLines {
		out.last = out.last[1:]
	}
	stages.Log(s.events, s.name+" "+shortName(st.name)+" | "+text)
}

// last returns the last lines of a step, in the order in which they came.
func (st *step) last() []string {
	var sure, rest []line
	for stream, out := range st.outputs {
		n := 0
		if stream == stderr {
			n = min(keptErrors, len(out.last))
		}
		sure = append(sure, out.last[len(out.last)-n:]...)
		rest = append(rest, out.last[:len(out.last)-n]...)
	}
	byNumber := func(a, b line) int { return a.number - b.number }
	slices.SortFunc(rest, byNumber)
	rest = append(rest[max(0, len(rest)-keptLines+len(sure)):], sure...)
	slices.SortFunc(rest, byNumber)
	var texts []string
	for _, l := range rest {
		texts = append(texts, l.text)
	}
	return texts
}

var bracket = regexp.MustCompile(`^\[[^\]]*\]`)

// shortName is the part of a step's name that tells it from others: [build 2/5].
func shortName(name string) string {
	if m := bracket.FindString(name); m != "" {
		return m
	}
	return name
}

// count counts the steps of the Dockerfile, and those of them that were cached. FROM is none of them:
// taking an image that is there isn't called cached.
func (s *steps) count() (cached, all int) {
	for _, st := range s.byID {
		name, ok := strings.CutPrefix(bracket.FindString(st.name), "[")
		if !ok || strings.HasPrefix(st.name, "["+name+" FROM ") || strings.HasPrefix(name, "internal]") || strings.HasPrefix(name, "auth]") || strings.HasPrefix(name, "context ") {
			continue
		}
		all++
		if st.cached && !st.ran {
			cached++
		}
	}
	return cached, all
}
