package stagetest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

// A scene is where one case is played: every call to the plugin gets a new job, and what must not
// change is compared afterwards.
type scene struct {
	t      testing.TB
	plugin stages.Plugin
	c      Case
	// tmp is the system's temporary folder as the plugin sees it.
	tmp     string
	secrets []string
	calls   []call
}

// A call remembers how many events there were when a call to the plugin returned.
type call struct {
	what     string
	recorder *Recorder
	events   int
}

func newScene(t testing.TB, plugin stages.Plugin, c Case) *scene {
	t.Helper()
	s := &scene{t: t, plugin: plugin, c: c, tmp: filepath.Join(t.TempDir(), "tmp"), secrets: secretsOf(c.Objects)}
	if err := os.Mkdir(s.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", s.tmp)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(t.TempDir(), "cache"))
	return s
}

// in calls f with a new job and checks that it left alone what isn't its own, kept secrets, and sent
// only proper events.
func (s *scene) in(what string, f func(job *stages.Job) error) outcome {
	s.t.Helper()
	job := NewJob(s.t, s.c)
	before, manifests := s.state(job), bytes.Clone(job.Manifests)
	err := f(job)
	events := Recorded(job).Events()
	s.calls = append(s.calls, call{what, Recorded(job), len(events)})

	if after := s.state(job); before != after {
		s.t.Errorf("%s: wrote to the App's folder or beside the App's file", what)
	}
	if !bytes.Equal(manifests, job.Manifests) {
		s.t.Errorf("%s: changed the manifests that it got", what)
	}
	if left := s.leftovers(); len(left) > 0 {
		s.t.Errorf("%s: left in the system's temporary folder: %v", what, left)
	}
	s.checkEvents(what, events, err == nil)
	s.noSecret(what+": error", text(err))
	s.noSecret(what+": hint", stages.Hint(err))
	digest, err := job.Out.Digest(s.t.Context())
	if err != nil {
		s.t.Errorf("%s: job.Out: %v", what, err)
	}
	return outcome{job: job, digest: digest}
}

// end checks what can be told only some time after the calls.
func (s *scene) end() {
	s.t.Helper()
	for _, c := range s.calls {
		if late := len(c.recorder.Events()) - c.events; late > 0 {
			s.t.Errorf("%s: sent %d events after it had returned", c.what, late)
		}
	}
}

// state is a digest of what no step may change.
func (s *scene) state(job *stages.Job) string {
	s.t.Helper()
	beside, err := stages.OpenTree(job.Dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer beside.Close()
	var state strings.Builder
	for _, tree := range []*stages.Tree{job.Sources, beside} {
		digest, err := tree.Digest(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		state.WriteString(digest)
	}
	return state.String()
}

func (s *scene) leftovers() []string {
	s.t.Helper()
	entries, err := os.ReadDir(s.tmp)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// run runs the step on a new job.
func (s *scene) run(step stages.Step) (outcome, error) {
	s.t.Helper()
	var result stages.Result
	var err error
	out := s.in("Run", func(job *stages.Job) error {
		result, err = step.Run(s.t.Context(), job)
		return err
	})
	out.result = result
	s.noSecret("Run: reason of a skip", result.Skipped)
	return out, err
}

// check calls the step's Check, if it has one, with the part of a job that there is at that time.
func (s *scene) check(step stages.Step) {
	s.t.Helper()
	checker, ok := step.(stages.Checker)
	if !ok {
		return
	}
	s.in("Check", func(job *stages.Job) error {
		early := *job
		early.Sources, early.Manifests, early.Out = nil, nil, nil
		err := checker.Check(s.t.Context(), &early)
		if err != nil && s.c.WantError == "" {
			s.t.Errorf("Check: %v, although Run is to succeed", err)
		}
		return err
	})
}

// plan calls the step's Plan, if it has one.
func (s *scene) plan(step stages.Step) {
	s.t.Helper()
	planner, ok := step.(stages.Planner)
	if !ok {
		return
	}
	s.in("Plan", func(job *stages.Job) error {
		result, changes, err := planner.Plan(s.t.Context(), job)
		if err != nil && s.c.WantError == "" {
			s.t.Errorf("Plan: %v, although Run is to succeed", err)
		}
		s.noSecret("Plan: reason of a skip", result.Skipped)
		for _, change := range changes {
			s.checkChange("Plan", change)
		}
		s.noSecretIn("Plan: changes", changes)
		return err
	})
}

// bind binds the case's configuration and checks that this has no effect.
func (s *scene) bind() stages.Step {
	s.t.Helper()
	node := Node(s.t, s.c.Config)
	before, err := node.YAML()
	if err != nil {
		s.t.Fatal(err)
	}
	step, err := s.plugin.New(node)
	if err != nil {
		s.t.Fatalf("New: %v", err)
	}
	after, err := node.YAML()
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		s.t.Errorf("New changed its configuration from:\n%s\nto:\n%s", before, after)
	}
	if left := s.leftovers(); len(left) > 0 {
		s.t.Errorf("New: left in the system's temporary folder: %v", left)
	}
	return step
}

// ops are the operations that a Change may name.
var ops = []string{"create", "update", "delete", "noop", "exists", "build", "push"}

func (s *scene) checkChange(what string, c stages.Change) {
	s.t.Helper()
	if !slices.Contains(ops, c.Op) || c.Kind == "" || c.Name == "" {
		s.t.Errorf("%s: expected a change with a kind, a name and one of the operations %v, found %+v", what, ops, c)
	}
}
