package exec

import (
	"fmt"
	"slices"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
)

// The words that fields of events may have.
var (
	taskStates   = []string{stages.TaskRunning, stages.TaskDone, stages.TaskCached, stages.TaskFailed}
	changeOps    = []string{"create", "update", "delete", "noop", "exists", "build", "push"}
	imageActions = []string{stages.ImageBuilt, stages.ImageReused, stages.ImageResolved, stages.ImageKept}
)

// event is a plugin's event as strake's, harmless to show.
func event(e *protocol.Event) (stages.Event, error) {
	switch e.Type {
	case protocol.Log:
		return stages.Event{Type: stages.LogLine, Message: longText(e.Message)}, nil
	case protocol.Warning:
		return stages.Event{Type: stages.Warning, Message: longText(e.Message)}, nil
	case protocol.TaskUpdate:
		t := e.Task
		if t == nil || t.ID == "" || t.Name == "" || !slices.Contains(taskStates, t.State) {
			return stages.Event{}, fmt.Errorf("expected a task with id, name and one of the states %v", taskStates)
		}
		return stages.Event{Type: stages.TaskUpdate, Task: &stages.Task{
			ID: text(t.ID), Name: text(t.Name), State: t.State, Current: max(t.Current, 0), Total: max(t.Total, 0),
			Unit: text(t.Unit), Detail: text(t.Detail),
		}}, nil
	case protocol.ChangeMade:
		if e.Change == nil {
			return stages.Event{}, fmt.Errorf("expected a change")
		}
		c, err := change(e.Change)
		return stages.Event{Type: stages.ChangeMade, Change: &c}, err
	case protocol.ImageFinal:
		i := e.Image
		if i == nil || i.From == "" || i.To == "" || !slices.Contains(imageActions, i.Action) {
			return stages.Event{}, fmt.Errorf("expected an image with from, to and one of the actions %v", imageActions)
		}
		return stages.Event{Type: stages.ImageFinal, Image: &stages.Image{
			From: text(i.From), To: text(i.To), Action: i.Action, Reason: text(i.Reason),
		}}, nil
	default:
		return stages.Event{}, fmt.Errorf("an event of the unknown type %q", text(e.Type))
	}
}

func change(c *protocol.Change) (stages.Change, error) {
	if !slices.Contains(changeOps, c.Op) || c.Kind == "" || c.Name == "" {
		return stages.Change{}, fmt.Errorf("expected a change with kind, name and one of the ops %v", changeOps)
	}
	return stages.Change{
		Op: c.Op, Kind: text(c.Kind), Namespace: text(c.Namespace), Name: text(c.Name), Reason: text(c.Reason), Diff: longText(c.Diff),
	}, nil
}
