package stagetest

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
)

// Run checks the plugin with each case, in a subtest of the case's name:
//
//   - binding has no effect on the configuration, refuses an unknown field by its place, and copes
//     with no configuration at all;
//   - Check, Plan and Run write to nothing but job.Out: not to the App's folder, not beside the App's
//     file, not to the manifests they got, and leave nothing in the system's temporary folder;
//   - Run gives what the case wants, and the same again, also after it was cancelled;
//   - a cancelled Run ends soon, with an error that wraps context.Canceled;
//   - keys and results don't depend on where the folders are; a key follows its inputs;
//   - events are well-formed, and none comes after Run has returned;
//   - no value of a Secret is in an event, an error, a key, a change or a reason.
func Run(t *testing.T, plugin stages.Plugin, cases ...Case) {
	t.Helper()
	checkPlugin(t, plugin)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { checkCase(t, plugin, c.clone()) })
	}
}

func checkPlugin(t testing.TB, plugin stages.Plugin) {
	t.Helper()
	if !plugin.Stage.Valid() || plugin.Name == "" || plugin.Doc == "" || plugin.Version == "" || len(plugin.Keys) == 0 {
		t.Errorf("plugin %q: expected stage, name, doc, version and keys to be set, found %+v", plugin.Name, plugin)
	}
	checkNilConfig(t, plugin)
}

func checkCase(t testing.TB, plugin stages.Plugin, c Case) {
	t.Helper()
	s := newScene(t, plugin, c)
	checkUnknownField(t, plugin, c.Config)
	step := s.bind()
	key := s.checkKey(step)

	s.check(step)
	s.plan(step)
	first, err := s.run(step)
	s.compare(first, err)
	second, again := s.run(step)
	s.same("second Run of the same step", first, second, err, again)

	s.cancelBefore(step)
	if c.WantError == "" {
		s.cancelWhile(step)
	}
	third, again := s.run(step)
	s.same("Run after a cancelled one", first, third, err, again)
	if c.WantError == "" {
		s.variants(key)
		s.delete(step)
	}
	s.end()
}

// An outcome is what one Run left behind.
type outcome struct {
	job    *stages.Job
	result stages.Result
	// digest is that of job.Out.
	digest string
}

// compare checks the outcome of a Run against what the case wants.
func (s *scene) compare(got outcome, err error) {
	s.t.Helper()
	c := s.c
	if c.WantError != "" {
		switch {
		case err == nil:
			s.t.Errorf("Run: expected an error with %q, found none", c.WantError)
		case !strings.Contains(err.Error(), c.WantError):
			s.t.Errorf("Run: expected an error with %q, found: %v", c.WantError, err)
		case !strings.Contains(stages.Hint(err), c.WantHint):
			s.t.Errorf("Run: expected a hint with %q, found %q", c.WantHint, stages.Hint(err))
		}
		return
	}
	if err != nil {
		s.t.Fatalf("Run: %v (hint: %s)", err, stages.Hint(err))
	}
	s.checkResult(got.result)
	if c.WantManifests != "" {
		if diff := cmp.Diff(c.WantManifests, string(got.result.Manifests)); diff != "" {
			s.t.Errorf("manifests differ (-want +got):\n%s", diff)
		}
	}
	if c.WantFiles != nil {
		if diff := cmp.Diff(c.WantFiles, ReadFiles(s.t, got.job.Out)); diff != "" {
			s.t.Errorf("files of job.Out differ (-want +got):\n%s", diff)
		}
	}
	if c.Check != nil {
		c.Check(s.t, got.job, got.result)
	}
}

// checkResult checks that the result has what its stage yields, and nothing of other stages.
func (s *scene) checkResult(r stages.Result) {
	s.t.Helper()
	yields := s.plugin.Stage == stages.Template || s.plugin.Stage == stages.Build
	switch {
	case yields && r.Manifests == nil && r.Overlay == nil && r.Skipped == "":
		s.t.Errorf("Run: no manifests, expected a %s step to yield some, or an empty non-nil stream", s.plugin.Stage)
	case r.Overlay != nil && s.plugin.Stage != stages.Template:
		s.t.Errorf("Run: an overlay, expected one from template steps only")
	case !yields && r.Manifests != nil:
		s.t.Errorf("Run: manifests, expected a %s step to yield none", s.plugin.Stage)
	}
	if len(r.Sources) > 0 && s.plugin.Stage != stages.Fetch {
		s.t.Errorf("Run: a source for the lock, expected one from fetch steps only")
	}
	if len(r.Images) > 0 && s.plugin.Stage != stages.Build {
		s.t.Errorf("Run: images for the lock, expected them from build steps only")
	}
}

// same checks that a later Run gave what the first one gave.
func (s *scene) same(what string, first, later outcome, err, laterErr error) {
	s.t.Helper()
	if text(err) != text(laterErr) {
		s.t.Errorf("%s: expected the error %q again, found %q", what, text(err), text(laterErr))
	}
	if err != nil {
		return
	}
	if diff := cmp.Diff(first.result, later.result, cmp.Exporter(anyType)); diff != "" {
		s.t.Errorf("%s: result differs (-first +later):\n%s", what, diff)
	}
	if first.digest != later.digest {
		s.t.Errorf("%s: left other files in job.Out", what)
	}
}

// anyType has unexported fields compared too: the entries of the lock are types of libraries.
func anyType(reflect.Type) bool { return true }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// delete checks that what Run has made can be removed, and that removing nothing is no error.
func (s *scene) delete(step stages.Step) {
	s.t.Helper()
	deleter, ok := step.(stages.Deleter)
	if !ok {
		return
	}
	for range 2 {
		s.in("Delete", func(job *stages.Job) error {
			err := deleter.Delete(s.t.Context(), job)
			if err != nil {
				s.t.Errorf("Delete: %v", err)
			}
			return err
		})
	}
	inspector, ok := step.(stages.Inspector)
	if !ok {
		return
	}
	s.in("Inspect", func(job *stages.Job) error {
		_, err := inspector.Inspect(s.t.Context(), job)
		if !errors.Is(err, stages.ErrNotDeployed) {
			s.t.Errorf("Inspect after Delete: expected ErrNotDeployed, found %v", err)
		}
		return err
	})
}
