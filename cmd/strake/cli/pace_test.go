package cli

import (
	"context"
	"errors"
	"testing"

	"strake.dev/strake/stages"
)

// An edit ends the run at once if something that was read has changed, but never while a deploy makes changes.
func TestPace(t *testing.T) {
	event := func(kind, step string, stage stages.Stage) stages.Event {
		return stages.Event{Type: kind, Step: step, Stage: stage}
	}
	fetched := []stages.Event{event(stages.StepStarted, "fetch-src", stages.Fetch), event(stages.StepFinished, "fetch-src", stages.Fetch)}
	deploying := append(fetched[:2:2], event(stages.StepStarted, "deploy", stages.Deploy))
	waiting := append(deploying[:3:3], event(stages.ChangeMade, "deploy", stages.Deploy), event(stages.Waiting, "deploy", stages.Deploy))
	for name, c := range map[string]struct {
		before     []stages.Event
		path       string
		after      []stages.Event
		now, later bool
	}{
		"nothing is read yet":              {nil, "/app/src/main.go", fetched, false, false},
		"the file itself":                  {nil, "/app/app.yaml", nil, true, true},
		"read":                             {fetched, "/app/src/main.go", nil, true, true},
		"the folder itself":                {fetched, "/app/src", nil, true, true},
		"a folder with a longer name":      {fetched, "/app/src2/main.go", nil, false, false},
		"the lock file":                    {fetched, "/app/src/lock.yaml", nil, false, false},
		"only read later":                  {fetched, "/app/keys/a.pub", nil, false, false},
		"while the deploy makes changes":   {deploying, "/app/src/main.go", []stages.Event{event(stages.Waiting, "deploy", stages.Deploy)}, false, true},
		"the deploy ends without waiting":  {deploying, "/app/src/main.go", []stages.Event{event(stages.StepFinished, "deploy", stages.Deploy)}, false, true},
		"while the deploy waits":           {waiting, "/app/src/main.go", nil, true, true},
		"the deploy goes on after waiting": {append(waiting[:5:5], event(stages.ChangeMade, "deploy", stages.Deploy)), "/app/src/main.go", nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			p := &pace{cancel: cancel}
			p.begin(map[string][]string{"/app/app.yaml": nil, "/app/src": {"fetch-src"}, "/app/keys/a.pub": {"verify"}}, "/app/src/lock.yaml")
			for _, e := range c.before {
				p.Observe(e)
			}
			p.changed(map[string]string{c.path: "the path"})
			if got := ctx.Err() != nil; got != c.now {
				t.Errorf("ended at once: %t", got)
			}
			for _, e := range c.after {
				p.Observe(e)
			}
			if got := ctx.Err() != nil; got != c.later {
				t.Errorf("ended: %t", got)
			}
			if c.later {
				if cause := (*supersededError)(nil); !errors.As(context.Cause(ctx), &cause) || cause.Error() != "the path changed" {
					t.Errorf("cause is %v", context.Cause(ctx))
				}
			}
		})
	}
}
