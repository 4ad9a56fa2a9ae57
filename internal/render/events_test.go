package render

import (
	"strings"
	"time"

	"strake.dev/strake/stages"
)

// at is the time of all events of the tests.
var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func event(step, kind string) stages.Event {
	stage, _, _ := strings.Cut(step, "-")
	return stages.Event{Time: at, Type: kind, Step: step, Stage: stages.Stage(stage)}
}

func started(step, plugin string) stages.Event {
	e := event(step, stages.StepStarted)
	e.Message = plugin
	return e
}

func finished(step string, seconds float64) stages.Event {
	e := event(step, stages.StepFinished)
	e.Seconds = seconds
	return e
}

func failed(step string, seconds float64, text string) stages.Event {
	e := finished(step, seconds)
	e.Error = text
	return e
}

func skipped(step, reason string) stages.Event {
	e := event(step, stages.StepSkipped)
	e.Message = reason
	return e
}

func message(step, kind, text string) stages.Event {
	e := event(step, kind)
	e.Message = text
	return e
}

func task(step string, t stages.Task) stages.Event {
	e := event(step, stages.TaskUpdate)
	e.Task = &t
	return e
}

func changed(step string, c stages.Change) stages.Event {
	e := event(step, stages.ChangeMade)
	e.Change = &c
	return e
}

func final(step string, i stages.Image) stages.Event {
	e := event(step, stages.ImageFinal)
	e.Image = &i
	return e
}
