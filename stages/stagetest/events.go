package stagetest

import (
	"slices"
	"strings"

	"strake.dev/strake/stages"
)

// fromSteps are the types of events that steps send; the others are the engine's.
var fromSteps = []string{stages.TaskUpdate, stages.LogLine, stages.Warning, stages.ChangeMade, stages.ImageFinal}

var taskStates = []string{stages.TaskRunning, stages.TaskDone, stages.TaskCached, stages.TaskFailed}

// checkEvents checks that events are of types that steps send and have what their type says, and
// that no task is left open by a call that succeeded.
func (s *scene) checkEvents(what string, events []stages.Event, succeeded bool) {
	s.t.Helper()
	open := map[string]bool{}
	for _, e := range events {
		if !slices.Contains(fromSteps, e.Type) {
			s.t.Errorf("%s: event of type %q, expected one of %v", what, e.Type, fromSteps)
		}
		if e.Step != "" || e.Stage != "" || !e.Time.IsZero() {
			s.t.Errorf("%s: event %+v sets its time, step or stage, which the engine does", what, e)
		}
		switch e.Type {
		case stages.TaskUpdate:
			s.checkTask(what, e.Task)
			if e.Task != nil {
				open[e.Task.ID] = e.Task.State == stages.TaskRunning
			}
		case stages.ChangeMade:
			if e.Change == nil {
				s.t.Errorf("%s: event of type %q without a change", what, e.Type)
			} else {
				s.checkChange(what, *e.Change)
			}
		case stages.ImageFinal:
			if e.Image == nil || e.Image.From == "" || e.Image.To == "" || e.Image.Action == "" {
				s.t.Errorf("%s: expected an image with from, to and action, found %+v", what, e.Image)
			}
		case stages.LogLine, stages.Warning:
			if strings.TrimSpace(e.Message) == "" || strings.HasSuffix(e.Message, "\n") {
				s.t.Errorf("%s: event of type %q: expected a message without a line end, found %q", what, e.Type, e.Message)
			}
		}
		s.noSecretIn(what+": event", e)
	}
	for id, isOpen := range open {
		if succeeded && isOpen {
			s.t.Errorf("%s: task %q is still running at the end", what, id)
		}
	}
}

func (s *scene) checkTask(what string, task *stages.Task) {
	s.t.Helper()
	if task == nil || task.ID == "" || task.Name == "" || !slices.Contains(taskStates, task.State) {
		s.t.Errorf("%s: expected a task with an id, a name and one of the states %v, found %+v", what, taskStates, task)
	}
}
