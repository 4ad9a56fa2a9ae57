package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// runAsApp runs a session and prints the App with the status that kapp-controller would have written
// after doing the same. The error is the run's own.
func (t *tool) runAsApp(ctx context.Context, s *session, o *runOptions) error {
	app := s.plan.File().App
	if app == nil {
		return stages.WithHint(errors.New("--output app: the file holds a Pipeline, which has no status"), "use --output json")
	}
	status := &render.AppStatus{ObservedGeneration: app.Metadata.Generation}
	transcript := &stages.Transcript{}
	s.opts.Transcript, s.also = transcript, status
	reports, _, err := t.runSteps(ctx, s, &o.engineFlags, nil)
	switch idle := (*pipeline.IdleError)(nil); {
	case errors.As(err, &idle):
		status.FriendlyDescription = "Canceled/paused"
	case err != nil:
		status.Conclude(err.Error())
	default:
		status.Conclude("")
	}
	if status.Fetch != nil && status.Fetch.Error == "" {
		text, lockErr := locked(reports[0])
		if lockErr != nil {
			return errors.Join(err, lockErr)
		}
		status.Fetch.Stdout = text
	}
	if status.Deploy != nil {
		transcribed(ctx, s, status, transcript)
	}
	text, printErr := appYAML(app, status)
	if printErr == nil {
		_, printErr = t.out.Write(text)
	}
	return errors.Join(err, printErr)
}

// transcribed puts into the status what kapp printed, and the inspection that the App asks for.
func transcribed(ctx context.Context, s *session, status *render.AppStatus, transcript *stages.Transcript) {
	status.ManagedAppName = s.plan.App.Record
	status.Deploy.Stdout = printed(transcript, status.Deploy.Error == "")
	if a := transcript.Associated; a != nil {
		status.Deploy.Kapp = &render.AppKappStatus{AssociatedResources: render.AppResources{
			Label: a.Label, Namespaces: a.Namespaces, GroupKinds: a.GroupKinds,
		}}
	}
	if deploys := s.plan.File().App.Spec.Deploy; deploys[0].Node.Get("kapp").Get("inspect") == nil || ctx.Err() != nil {
		return
	}
	transcript.Output.Reset()
	status.Inspect = &render.AppStageStatus{}
	if _, err := s.plan.Inspect(ctx, s.opts); err != nil {
		status.Inspect.ExitCode, status.Inspect.Error, status.Inspect.Stderr = 1, "Inspecting: "+err.Error(), err.Error()+"\n"
	} else {
		status.Inspect.Stdout = printed(transcript, true)
	}
	status.Inspect.UpdatedAt = status.Deploy.UpdatedAt
}

// printed is what kapp printed, without the spaces at the ends of lines that would keep YAML from
// showing it as lines; kapp-controller leaves them out too.
func printed(t *stages.Transcript, succeeded bool) string {
	text := t.Output.String()
	if succeeded {
		text += "\nSucceeded\n"
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// locked is what vendir prints of the sources that were fetched.
func locked(report *pipeline.Report) (string, error) {
	var lock schema.Lock
	for _, step := range report.Record.Steps {
		for _, source := range step.Sources {
			if source.Path == "." {
				source.Path = "0" // the folder that kapp-controller gives to a single source
			}
			lock.Sources = append(lock.Sources, source)
		}
	}
	text, err := lock.SourcesYAML()
	return string(text), err
}

// appYAML prints an App with a status.
func appYAML(app *schema.App, status *render.AppStatus) ([]byte, error) {
	data, err := json.Marshal(status)
	if err != nil {
		return nil, err
	}
	var plain map[string]any
	if err := json.Unmarshal(data, &plain); err != nil {
		return nil, err
	}
	return app.WithStatus(plain)
}
