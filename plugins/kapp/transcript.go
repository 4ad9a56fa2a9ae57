package kapp

import (
	cmdapp "carvel.dev/kapp/pkg/kapp/cmd/app"
	"carvel.dev/kapp/pkg/kapp/logger"
	"github.com/cppforlife/go-cli-ui/ui"

	"strake.dev/strake/stages"
)

// transcribe has what kapp prints to a screen written to a transcript too, in the form that it has
// when kapp-controller runs kapp. A nil transcript takes nothing. What was there is dropped.
func transcribe(s *screen, t *stages.Transcript) {
	if t == nil {
		return
	}
	t.Output.Reset()
	s.also = ui.NewPaddingUI(ui.NewWriterUI(&t.Output, &t.Output, ui.NewNoopLogger()))
}

// associate says in the transcript where the app's objects are. That it can't be told is no error:
// the app is deployed all the same.
func (s *session) associate(app cmdapp.Flags) {
	t := s.transcript
	if t == nil {
		return
	}
	_ = call(s.ctx, func() error {
		recorded, _, err := cmdapp.Factory(s.clients, app, cmdapp.ResourceTypesFlags{}, logger.NewNoopLogger())
		if err != nil {
			return err
		}
		meta, err := recorded.Meta()
		if err != nil || len(meta.LastChange.Namespaces) == 0 {
			return err
		}
		found := &stages.Associated{Label: meta.LabelKey + "=" + meta.LabelValue, Namespaces: meta.LastChange.Namespaces}
		if meta.UsedGKs != nil {
			for _, gk := range *meta.UsedGKs {
				found.GroupKinds = append(found.GroupKinds, stages.GroupKind{Group: gk.Group, Kind: gk.Kind})
			}
		}
		t.Associated = found
		return nil
	})
}
