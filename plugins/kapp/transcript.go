package kapp

import (
	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	"github.com/cppforlife/go-cli-ui/ui"

	"strake.dev/strake/stages"
)

// transcriptUI is where kapp's own texts go for a transcript, in the form that they have when
// kapp-controller runs kapp.
func transcriptUI(t *stages.Transcript) ui.UI {
	return ui.NewPaddingUI(ui.NewWriterUI(&t.Output, &t.Output, ui.NewNoopLogger()))
}

// print writes kapp's table of the changes to the transcript; nil stands for no changes.
func (s *session) print(set *changeSet) {
	t := s.job.Transcript
	if t == nil {
		return
	}
	t.Output.Reset()
	if set == nil {
		set = &changeSet{}
	}
	views := make([]ctlcap.ChangeView, len(set.changes))
	for i, c := range set.changes {
		views[i] = c
	}
	ctlcap.NewChangeSetView(views, set.mask, s.diffFlags().ChangeSetViewOpts).Print(transcriptUI(t))
}

// associate says in the transcript where the app's objects are.
func (s *session) associate(meta ctlapp.Meta) {
	t := s.job.Transcript
	if t == nil || len(meta.LastChange.Namespaces) == 0 {
		return
	}
	found := &stages.Associated{Label: meta.LabelKey + "=" + meta.LabelValue, Namespaces: meta.LastChange.Namespaces}
	if meta.UsedGKs != nil {
		for _, gk := range *meta.UsedGKs {
			found.GroupKinds = append(found.GroupKinds, stages.GroupKind{Group: gk.Group, Kind: gk.Kind})
		}
	}
	t.Associated = found
}
