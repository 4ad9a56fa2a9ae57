package render

import (
	"fmt"
	"strings"
	"time"

	"strake.dev/strake/stages"
)

// An AppStatus is the status that kapp-controller writes into an App, as far as one run can tell:
// https://carvel.dev/kapp-controller/docs/latest/app-spec/.
type AppStatus struct {
	ObservedGeneration            int64           `json:"observedGeneration"`
	Conditions                    []AppCondition  `json:"conditions,omitempty"`
	FriendlyDescription           string          `json:"friendlyDescription,omitempty"`
	UsefulErrorMessage            string          `json:"usefulErrorMessage,omitempty"`
	ManagedAppName                string          `json:"managedAppName,omitempty"`
	Fetch                         *AppStageStatus `json:"fetch,omitempty"`
	Template                      *AppStageStatus `json:"template,omitempty"`
	Deploy                        *AppStageStatus `json:"deploy,omitempty"`
	Inspect                       *AppStageStatus `json:"inspect,omitempty"`
	ConsecutiveReconcileSuccesses int             `json:"consecutiveReconcileSuccesses,omitempty"`
	ConsecutiveReconcileFailures  int             `json:"consecutiveReconcileFailures,omitempty"`
}

// An AppCondition is one of ReconcileSucceeded and ReconcileFailed.
type AppCondition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// An AppStageStatus says what became of a stage. Template counts the build stage in.
type AppStageStatus struct {
	Stdout   string `json:"stdout,omitempty"`
	Stderr   string `json:"stderr,omitempty"`
	ExitCode int    `json:"exitCode"`
	Error    string `json:"error,omitempty"`
	// Finished is set for deploy only.
	Finished  bool           `json:"finished,omitempty"`
	StartedAt *time.Time     `json:"startedAt,omitempty"`
	UpdatedAt time.Time      `json:"updatedAt"`
	Kapp      *AppKappStatus `json:"kapp,omitempty"`
}

// AppKappStatus says where the deployed objects are.
type AppKappStatus struct {
	AssociatedResources AppResources `json:"associatedResources"`
}

// AppResources are the label, the namespaces and the kinds of the deployed objects.
type AppResources struct {
	Label      string             `json:"label,omitempty"`
	Namespaces []string           `json:"namespaces,omitempty"`
	GroupKinds []stages.GroupKind `json:"groupKinds,omitempty"`
}

// seeMessage is what kapp-controller puts in the place of a tool's exit status.
const seeMessage = "Error (see .status.usefulErrorMessage for details)"

// Observe folds an event into the status. The events of one run arrive one at a time.
func (s *AppStatus) Observe(e stages.Event) {
	stage, what := s.stage(e.Stage)
	if stage == nil {
		return
	}
	switch e.Type {
	case stages.StepStarted:
		if *stage == nil {
			began := e.Time.UTC().Truncate(time.Second)
			*stage = &AppStageStatus{StartedAt: &began, Finished: e.Stage == stages.Deploy}
		}
		(*stage).UpdatedAt = e.Time.UTC().Truncate(time.Second)
	case stages.Warning:
		if *stage != nil {
			(*stage).Stderr += "Warning: " + Line(e.Message) + "\n"
		}
	case stages.StepFinished, stages.StepSkipped:
		(*stage).UpdatedAt = e.Time.UTC().Truncate(time.Second)
		if e.Error == "" {
			return
		}
		(*stage).ExitCode, (*stage).Error = 1, what+": "+seeMessage
		text := e.Error
		if e.Hint != "" {
			text += "\n  hint: " + strings.ReplaceAll(e.Hint, "\n", "\n        ")
		}
		(*stage).Stderr += Text(text) + "\n"
	}
}

// stage returns the place of a stage's status, and kapp-controller's words for its failure.
func (s *AppStatus) stage(stage stages.Stage) (status **AppStageStatus, what string) {
	switch stage {
	case stages.Fetch:
		return &s.Fetch, "Fetching resources"
	case stages.Verify:
		return &s.Fetch, "Verifying signatures"
	case stages.Template, stages.Build:
		return &s.Template, "Templating dir"
	case stages.Publish:
		return &s.Template, "Publishing manifests"
	case stages.Deploy:
		return &s.Deploy, "Deploying"
	default:
		return nil, ""
	}
}

// Conclude says how the run ended. failure is the run's error as text, empty for success.
func (s *AppStatus) Conclude(failure string) {
	if s.Template != nil {
		s.Template.StartedAt = nil // kapp-controller doesn't keep it
	}
	if failure == "" {
		s.Conditions = []AppCondition{{Type: "ReconcileSucceeded", Status: "True"}}
		s.FriendlyDescription, s.ConsecutiveReconcileSuccesses = "Reconcile succeeded", 1
		return
	}
	message := failure
	s.UsefulErrorMessage = failure
	for _, stage := range []*AppStageStatus{s.Fetch, s.Template, s.Deploy} {
		if stage != nil && stage.Error != "" {
			message, s.UsefulErrorMessage = stage.Error, stage.Stderr
		}
	}
	s.Conditions = []AppCondition{{Type: "ReconcileFailed", Status: "True", Message: message}}
	s.FriendlyDescription, s.ConsecutiveReconcileFailures = fmt.Sprintf("Reconcile failed: %s", message), 1
}
