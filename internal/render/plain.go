package render

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"strake.dev/strake/stages"
)

// slow is after how long plain lines say that a step or task has begun; for what ends before, the
// line at the end says everything.
const slow = 2 * time.Second

// quick is how long a task may take without being worth a line: BuildKit has dozens of those.
const quick = 100 * time.Millisecond

// Plain prints one line for each event that matters, beginning with the step's name. Quick tasks and
// transfers of single layers don't matter, unless they fail.
type Plain struct {
	mu    sync.Mutex
	w     io.Writer
	width int
	// begun holds what is running: steps, and tasks by step and id.
	begun map[string]*beginning
}

type beginning struct {
	at time.Time
	// timer prints that it has begun.
	timer *time.Timer
	// told means that a line of the step has said so already.
	told bool
}

// NewPlain returns an observer that prints lines to w. steps are the names of the steps to come,
// for the width of the first column. The caller must call Close.
func NewPlain(w io.Writer, steps []string) *Plain {
	p := &Plain{w: w, begun: map[string]*beginning{}}
	for _, s := range steps {
		p.width = max(p.width, len(s))
	}
	return p
}

// Observe prints the event, if it matters.
func (p *Plain) Observe(e stages.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Type {
	case stages.StepStarted:
		p.begin(e.Step, e.Step, "started")
	case stages.StepFinished, stages.StepSkipped:
		p.end(e.Step)
		p.print(e.Step, ended(e))
	case stages.TaskUpdate:
		if e.Task != nil {
			p.task(e.Step, *e.Task)
		}
	case stages.LogLine:
		for line := range strings.SplitSeq(Text(e.Message), "\n") {
			p.print(e.Step, "| "+line)
		}
	case stages.Warning:
		p.print(e.Step, "warning: "+Line(e.Message))
	case stages.ChangeMade:
		if e.Change != nil && Pending(e.Change.Op) {
			p.print(e.Step, Change(*e.Change))
		}
	case stages.ImageFinal:
		if e.Image != nil {
			p.print(e.Step, Image(*e.Image))
		}
	}
}

func (p *Plain) task(step string, t stages.Task) {
	id := step + "\x00" + t.ID
	transfer := t.Unit == "bytes"
	if t.State == stages.TaskRunning {
		if p.begun[id] == nil && !transfer {
			p.begin(id, step, Line(t.Name))
		}
		return
	}
	took := p.end(id)
	if t.State == stages.TaskDone && (took < quick || transfer) {
		return
	}
	p.print(step, taskEnded(t, took))
}

// begin remembers that something has begun, and says so if it takes long.
func (p *Plain) begin(id, step, text string) {
	b := &beginning{at: time.Now()}
	b.timer = time.AfterFunc(slow, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.begun[id] == b && !b.told {
			p.print(step, text)
		}
	})
	p.begun[id] = b
}

// end forgets what has begun and returns how long it took.
func (p *Plain) end(id string) time.Duration {
	b := p.begun[id]
	if b == nil {
		return 0
	}
	b.timer.Stop()
	delete(p.begun, id)
	return time.Since(b.at)
}

func (p *Plain) print(step, text string) {
	if b := p.begun[step]; b != nil {
		b.told = true
	}
	line := text
	if step != "" {
		line = fmt.Sprintf("%-*s  %s", p.width, Line(step), text)
	}
	_, _ = io.WriteString(p.w, strings.TrimRight(line, " ")+"\n") // a log that can't be written must not stop the run
}

// Close ends the printing.
func (p *Plain) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.begun {
		p.end(id)
	}
}
