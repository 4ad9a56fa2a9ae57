package render

import (
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestSummary(t *testing.T) {
	next := &stagetest.Recorder{}
	s := NewSummary(next)
	events := []stages.Event{
		{Type: stages.RunStarted},
		started("fetch-src", "vendir"), finished("fetch-src", 0.5),
		started("build-kbld", "kbld"),
		final("build-kbld", stages.Image{From: "a", To: "b", Action: "built"}),
		changed("build-kbld", stages.Change{Op: "push", Kind: "image", Name: "b"}),
		skipped("build-kbld", "equal"),
		message("", stages.Warning, "careful"),
		started("deploy-kapp", "kapp"), failed("deploy-kapp", 3, "refused"),
		{Type: stages.RunFinished, Error: "deploy-kapp: refused", Hint: "ask", Seconds: 4},
	}
	for _, e := range events {
		s.Observe(e)
	}
	s.Close()
	s.Observe(message("late", stages.Warning, "too late"))
	want := &Summary{
		Steps: []Step{
			{Name: "fetch-src", Stage: "fetch", Plugin: "vendir", Status: StatusDone, Seconds: 0.5},
			{Name: "build-kbld", Stage: "build", Plugin: "kbld", Status: StatusSkipped, Reason: "equal"},
			{Name: "deploy-kapp", Stage: "deploy", Plugin: "kapp", Status: StatusFailed, Seconds: 3},
		},
		Images:   []stages.Image{{From: "a", To: "b", Action: "built"}},
		Changes:  []stages.Change{{Op: "push", Kind: "image", Name: "b"}},
		Warnings: []string{"careful"},
		Error:    "deploy-kapp: refused", Hint: "ask", Seconds: 4,
	}
	if diff := cmp.Diff(want, s, cmpopts.IgnoreUnexported(Summary{})); diff != "" {
		t.Errorf("summary differs (-want +got):\n%s", diff)
	}
	if got := len(next.Events()); got != len(events) {
		t.Errorf("passed on %d events, want %d", got, len(events))
	}
}

func TestObserversAreSafeForConcurrentUse(t *testing.T) {
	screen := emulate(80, 24)
	term := NewTerminal(screen, TerminalOptions{Size: screen.size})
	plain := NewPlain(io.Discard, nil)
	recorder := &stagetest.Recorder{}
	s := NewSummary(all{term, plain, recorder})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			step := string(rune('a' + i))
			s.Observe(started(step, "p"))
			for range 100 {
				s.Observe(message(step, stages.LogLine, "x"))
			}
			s.Observe(finished(step, 1))
		})
	}
	group.Wait()
	term.Close()
	plain.Close()
	if len(s.Steps) != 8 || len(recorder.Events()) != 8*102 {
		t.Errorf("%d steps and %d events, want 8 and %d", len(s.Steps), len(recorder.Events()), 8*102)
	}
}

type all []stages.Observer

func (a all) Observe(e stages.Event) {
	for _, o := range a {
		o.Observe(e)
	}
}
