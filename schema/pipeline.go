package schema

import (
	"slices"
	"strings"
	"time"
)

// A Pipeline lists the steps of a run explicitly, or Apps that are run as one. An App is compiled into one.
type Pipeline struct {
	// APIVersion is strake.dev/v1alpha1.
	APIVersion string `json:"apiVersion" required:"true"`
	Kind       string `json:"kind" required:"true"`
	// Metadata names the pipeline; the name is also the name of what it deploys.
	Metadata Metadata     `json:"metadata" required:"true"`
	Spec     PipelineSpec `json:"spec" required:"true"`
}

// PipelineSpec holds the steps in the order in which they run, or the Apps, and what they are run for.
type PipelineSpec struct {
	Identity `json:",inline"`
	// Params are what a run is asked for, by --set NAME=VALUE, --values FILE or STRAKE_PARAM_NAME.
	Params []Param `json:"params,omitempty"`
	// Env lists the environment variables that expressions may read.
	Env []EnvVar `json:"env,omitempty"`
	// Targets are the environments to run for, each by itself; without any there is one nameless target.
	Targets []Target `json:"targets,omitempty"`
	// MaxParallel is how many of the runs that targets and Apps make are done at the same time; default: 1,
	// in the order of the file.
	MaxParallel int `json:"maxParallel,omitempty"`
	// Apps are files with Apps that are run instead of stages.
	Apps []AppRef `json:"apps,omitempty"`
	// Stages lists the steps.
	Stages []Step `json:"stages,omitempty"`
}

// SetDefaults has one run after the other.
func (s *PipelineSpec) SetDefaults() { s.MaxParallel = 1 }

// ValidatePart checks what concerns more than one field.
func (s *PipelineSpec) ValidatePart(n *Node) error {
	var found Diagnostics
	found.Collect(n.Pos(), n.Path(), s.validate(n))
	if apps, stages := n.Get("apps"), n.Get("stages"); (apps == nil) == (stages == nil) {
		d := n.Errorf("expected either stages or apps")
		if apps != nil {
			d = apps.Errorf("can't be combined with stages: expected one of them")
		}
		d.Hint = "stages lists the steps of one run; apps names files with Apps that are run as one"
		found = append(found, d)
	}
	if s.MaxParallel < 1 {
		found = append(found, n.Get("maxParallel").Errorf("expected at least 1, found %d", s.MaxParallel))
	}
	for _, list := range []struct {
		key, what string
		name      func(int) string
	}{
		{"stages", "step", func(i int) string { return s.Stages[i].Name }},
		{"targets", "target", func(i int) string { return s.Targets[i].Name }},
		{"params", "parameter", func(i int) string { return s.Params[i].Name }},
		{"env", "variable", func(i int) string { return s.Env[i].Name }},
	} {
		seen := map[string]bool{}
		for i, item := range n.Get(list.key).Items() {
			name, at := list.name(i), item
			if item.IsMapping() {
				at = item.Get("name")
			}
			if name != "" && seen[name] {
				found = append(found, at.Errorf("%q names an earlier %s already", name, list.what))
			}
			seen[name] = true
		}
	}
	found = append(found, s.checkNeeds(n)...)
	found = append(found, checkExpressions(n)...)
	return found.Err()
}

// checkExpressions finds expressions where none is replaced. Fields of stages other than “with” take no texts that could
// have one.
func checkExpressions(n *Node) Diagnostics {
	var found Diagnostics
	var walk func(*Node)
	walk = func(n *Node) {
		for _, p := range n.Pairs() {
			if p.Key != "when" {
				walk(p.Value)
			}
		}
		for _, item := range n.Items() {
			walk(item)
		}
		if strings.Contains(n.Text(), "${{") {
			d := n.Errorf("has an expression, which isn't replaced here")
			d.Hint = "${{ … }} stands in “with” of stages, and in targets"
			found = append(found, d)
		}
	}
	for _, p := range n.Pairs() {
		if p.Key != "targets" && p.Key != "stages" {
			walk(p.Value)
		}
	}
	return found
}

// checkNeeds finds targets that wait for none that comes before them.
func (s *PipelineSpec) checkNeeds(n *Node) Diagnostics {
	var found Diagnostics
	var before []string
	for i, item := range n.Get("targets").Items() {
		for k, need := range s.Targets[i].Needs {
			if !slices.Contains(before, need) {
				d := item.Get("needs").Items()[k].Errorf("no target %q comes before this one", need)
				d.Hint = Suggest(need, before)
				found = append(found, d)
			}
		}
		before = append(before, s.Targets[i].Name)
	}
	return found
}

// A Step is one configured plugin. In the texts of “with”, ${{ EXPRESSION }} stands for the value of a CEL
// expression, https://cel.dev.
type Step struct {
	// Name is unique within the pipeline; events, errors and the run record use it.
	Name string `json:"name" required:"true"`
	// Stage is the contract under which the plugin runs.
	Stage string `json:"stage" required:"true" enum:"fetch,verify,template,build,publish,deploy"`
	// Uses names the plugin.
	Uses string `json:"uses" required:"true"`
	// With is the plugin's configuration.
	With *Node `json:"with,omitempty"`
	// When is a CEL expression; the step is left out if it is false.
	When string `json:"when,omitempty"`
	// Timeout ends each try of the step after that long; default: no limit.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Retries is how many more times the step is tried when it fails, 1 s, 2 s, 4 s … apart.
	Retries int `json:"retries,omitempty"`
	// ContinueOnError lets the run go on, and succeed, although the step has failed.
	ContinueOnError bool `json:"continueOnError,omitempty"`

	node *Node
}

// maxRetries bounds the tries of a step.
const maxRetries = 10

// Validate keeps the place of the step and checks its name.
func (s *Step) Validate(n *Node) error {
	s.node = n
	var found Diagnostics
	if !validName(s.Name) {
		d := n.Get("name").Errorf("%q is not a valid step name", s.Name)
		d.Hint = "lower-case letters, digits, “-” and “.”"
		found = append(found, d)
	}
	if s.Retries < 0 || s.Retries > maxRetries {
		found = append(found, n.Get("retries").Errorf("expected 0 to %d, found %d", maxRetries, s.Retries))
	}
	return found.Err()
}

// Node is where the step stands in the file, or what it was compiled from.
func (s *Step) Node() *Node { return s.node }

// At returns the step with its place set, for steps that are compiled from something else.
func (s Step) At(n *Node) Step {
	s.node = n
	return s
}
