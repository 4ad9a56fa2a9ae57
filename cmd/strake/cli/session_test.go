package cli

import (
	"io"
	"sync"
	"testing"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report/github"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// Steps may tell of events from several goroutines, and after the engine has given up on them.
func TestGate(t *testing.T) {
	size := func() (int, int) { return 80, 24 }
	shows := []display{
		render.NewTerminal(io.Discard, render.TerminalOptions{Size: size}), render.NewPlain(io.Discard, nil), render.NewGrouped(io.Discard, nil, github.Groups()),
	}
	record := &recording{tool: &tool{}, begun: true}
	recorder := &stagetest.Recorder{}
	g := &gate{to: []stages.Observer{shows[0], shows[1], shows[2], record, recorder}}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			step := string(rune('a' + i))
			g.Observe(stages.Event{Type: stages.StepStarted, Step: step})
			for range 100 {
				g.Observe(stages.Event{Type: stages.LogLine, Step: step, Message: "x"})
			}
			g.Observe(stages.Event{Type: stages.StepFinished, Step: step})
		})
	}
	group.Wait()
	g.close()
	g.Observe(stages.Event{Type: stages.Warning, Message: "too late"})
	for _, s := range shows {
		s.Close()
	}
	if n := len(recorder.Events()); n != 8*102 || record.run.Counts().Steps.Done != 8 || len(record.run.Warnings) != 0 {
		t.Errorf("%d events are passed on, counts are %+v", n, record.run.Counts())
	}
}
