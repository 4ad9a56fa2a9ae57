package schema

import "time"

// A Pipeline lists the steps of a run explicitly. An App is compiled into one.
type Pipeline struct {
	// APIVersion is strake.dev/v1alpha1.
	APIVersion string `json:"apiVersion" required:"true"`
	Kind       string `json:"kind" required:"true"`
	// Metadata names the pipeline; the name is also the name of what it deploys.
	Metadata Metadata     `json:"metadata" required:"true"`
	Spec     PipelineSpec `json:"spec" required:"true"`
}

// PipelineSpec holds the steps in the order in which they run.
type PipelineSpec struct {
	Identity `json:",inline"`
	// Stages lists the steps.
	Stages []Step `json:"stages" required:"true"`
}

// Validate checks what concerns more than one field.
func (s *PipelineSpec) Validate(n *Node) error {
	var found Diagnostics
	found.Collect(n.Pos(), n.Path(), s.validate(n))
	seen := map[string]bool{}
	for i, item := range n.Get("stages").Items() {
		if name := s.Stages[i].Name; seen[name] {
			found = append(found, item.Get("name").Errorf("%q names an earlier step already", name))
		} else {
			seen[name] = true
		}
	}
	return found.Err()
}

// A Step is one configured plugin.
type Step struct {
	// Name is unique within the pipeline; events, errors and the run record use it.
	Name string `json:"name" required:"true"`
	// Stage is the contract under which the plugin runs.
	Stage string `json:"stage" required:"true" enum:"fetch,verify,template,build,publish,deploy"`
	// Uses names the plugin.
	Uses string `json:"uses" required:"true"`
	// With is the plugin's configuration.
	With *Node `json:"with,omitempty"`
	// Timeout ends the step after that long; default: no limit.
	Timeout time.Duration `json:"timeout,omitempty"`

	node *Node
}

// Validate keeps the place of the step and checks its name.
func (s *Step) Validate(n *Node) error {
	s.node = n
	if !validName(s.Name) {
		d := n.Get("name").Errorf("%q is not a valid step name", s.Name)
		d.Hint = "lower-case letters, digits, “-” and “.”"
		return d
	}
	return nil
}

// Node is where the step stands in the file, or what it was compiled from.
func (s *Step) Node() *Node { return s.node }

// At returns the step with its place set, for steps that are compiled from something else.
func (s Step) At(n *Node) Step {
	s.node = n
	return s
}
