package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A fakeStep stands for a plugin's step. What it does is in the fields; nil does nothing.
type fakeStep struct {
	cfg fakeConfig
	log *callLog
}

type fakeConfig struct {
	Path string `json:"path,omitempty"`
	// Write is put into the file out of the area, or, for a template, into the manifests.
	Write string `json:"write,omitempty"`
	// Uncached has no key.
	Uncached bool   `json:"uncached,omitempty"`
	Fail     string `json:"fail,omitempty"`
	Check    string `json:"check,omitempty"`
	// Special asks for panic, hang, link or skip, or for a plan of something that isn't built yet.
	Special string `json:"special,omitempty" enum:"panic,hang,link,skip,secret,unbuilt,meet"`
	Image   string `json:"image,omitempty"`
}

func (c *fakeConfig) Validate(n *schema.Node) error {
	if c.Write == "invalid" {
		return n.Get("write").Errorf("is invalid")
	}
	return nil
}

type callLog struct {
	mu    sync.Mutex
	calls []string
	// source is what the fetched sources are at the moment.
	source string
	// meet is where steps wait for each other.
	meet sync.WaitGroup
}

func (l *callLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
}

func (l *callLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.calls
	l.calls = nil
	// Fetch steps run at the same time. For comparisons, src is before config.
	for from := 0; from < len(c); from++ {
		to := from
		for to < len(c) && strings.HasPrefix(c[to], "run fetch-") {
			to++
		}
		slices.Sort(c[from:to])
		slices.Reverse(c[from:to])
		from = max(from, to)
	}
	return c
}

func (s fakeStep) Folder() string { return s.cfg.Path }

func (s fakeStep) Check(_ context.Context, job *stages.Job) error {
	s.log.add("check %s", job.Step)
	if s.cfg.Check != "" {
		return errors.New(s.cfg.Check)
	}
	return nil
}

func (s fakeStep) Key(_ context.Context, job *stages.Job) (string, error) {
	if s.cfg.Uncached {
		return "", nil
	}
	if job.Out != nil {
		return "", errors.New("key has an area")
	}
	return "key " + s.log.source, nil
}

func (s fakeStep) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	s.log.add("run %s", job.Step)
	switch s.cfg.Special {
	case "panic":
		panic("at the disco")
	case "meet":
		s.log.meet.Done()
		s.log.meet.Wait()
	case "hang":
		<-ctx.Done()
		return stages.Result{}, errors.New("library: stopped")
	case "link":
		return stages.Result{}, job.Out.Root().Symlink("../../../etc/passwd", "out")
	case "skip":
		return stages.Result{Skipped: "nothing to do"}, nil
	case "secret":
		data, err := job.Objects.Secret(ctx, "s")
		if err != nil {
			return stages.Result{}, err
		}
		stages.Log(job.Events, "the password is "+string(data["password"])+", the other one is correct-horse")
		return stages.Result{}, fmt.Errorf("login with %s at https://me:pass@example.com failed", data["password"])
	}
	if s.cfg.Fail != "" {
		return stages.Result{}, errors.New(s.cfg.Fail)
	}
	var r stages.Result
	if s.cfg.Path != "" || job.Folder != "" {
		r.Sources = []schema.LockedSource{{LockDirectoryContents: vendirconf.LockDirectoryContents{Path: job.Folder}}}
		return r, job.Out.Root().WriteFile("out", []byte(s.cfg.Write+s.log.source), 0o644)
	}
	r.Manifests = stages.Manifests(string(job.Manifests) + s.cfg.Write)
	if s.cfg.Image != "" {
		r.Images = []schema.LockedImage{{
			Image:       s.cfg.Image + "@sha256:" + strings.Repeat("0", 64),
			Annotations: map[string]string{schema.AnnotationImageID: s.cfg.Image},
		}}
	}
	return r, nil
}

func (s fakeStep) Plan(_ context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	s.log.add("plan %s", job.Step)
	op := "create"
	if s.cfg.Special == "unbuilt" {
		op = "build"
	}
	return stages.Result{}, []stages.Change{{Op: op, Kind: "thing", Name: job.Step}}, nil
}

func (s fakeStep) Delete(_ context.Context, job *stages.Job) error {
	s.log.add("delete %s", job.Step)
	return nil
}

func fakes(log *callLog) *stages.Registry {
	bind := func(c fakeConfig) (stages.Step, error) { return fakeStep{c, log}, nil }
	return stages.NewRegistry(
		stages.Define(stages.Plugin{Stage: stages.Fetch, Name: "get", Keys: []string{"write", "special", "fail"}, Whole: true}, bind),
		stages.Define(stages.Plugin{Stage: stages.Verify, Name: "check"}, func(c fakeVerification) (stages.Step, error) { return fakeVerifier{c, log}, nil }),
		stages.Define(stages.Plugin{Stage: stages.Template, Name: "print"}, bind),
		stages.Define(stages.Plugin{Stage: stages.Build, Name: "make"}, bind),
		stages.Define(stages.Plugin{Stage: stages.Deploy, Name: "put"}, bind),
	)
}

const head = "apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: web}\n"

const wholeApp = head + `spec:
  fetch:
  - {path: src, write: a}
  - {path: config, write: b}
  template: [{print: {write: "one\n"}}, {print: {write: "two\n"}}]
  build: [{make: {write: "three\n", uncached: true, image: example.com/web}}]
  deploy: [{put: {uncached: true}}]
`

type fixture struct {
	t      *testing.T
	log    *callLog
	opts   pipeline.Options
	events *recorder
}

type recorder struct {
	mu     sync.Mutex
	events []stages.Event
}

func (r *recorder) Observe(e stages.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.events {
		fmt.Fprintf(&b, "%s %s %s %s\n", e.Type, e.Step, e.Message, e.Error)
	}
	return b.String()
}

func newFixture(t *testing.T) *fixture {
	dir := t.TempDir()
	events := &recorder{}
	return &fixture{t: t, log: &callLog{}, events: events, opts: pipeline.Options{
		Version: "test", Dir: dir, Workspace: filepath.Join(dir, "ws"), LockFile: filepath.Join(dir, "app.lock.yaml"),
		Observer: events,
	}}
}

func (f *fixture) plan(text string) *pipeline.Plan {
	f.t.Helper()
	file, err := schema.Load("app.yaml", []byte(text))
	if err != nil {
		f.t.Fatal(err)
	}
	plan, err := pipeline.Compile(file, fakes(f.log))
	if err != nil {
		f.t.Fatal(err)
	}
	return plan
}

// run runs the app and returns the calls that it led to, without checks.
func (f *fixture) run(text string) (*pipeline.Report, []string, error) {
	f.t.Helper()
	report, err := f.plan(text).Run(f.t.Context(), f.opts)
	var calls []string
	for _, c := range f.log.take() {
		if !strings.HasPrefix(c, "check") {
			calls = append(calls, c)
		}
	}
	return report, calls, err
}

func (f *fixture) mustRun(text string) (*pipeline.Report, []string) {
	f.t.Helper()
	report, calls, err := f.run(text)
	if err != nil {
		f.t.Fatal(err)
	}
	return report, calls
}

func wantCalls(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls differ:\n%s", diff)
	}
}

func TestRunRunsAllAndThenOnlyWhatChanged(t *testing.T) {
	f := newFixture(t)
	report, calls := f.mustRun(wholeApp)
	all := []string{"run fetch-src", "run fetch-config", "run template-print", "run template-print-2", "run build-make", "run deploy-put"}
	wantCalls(t, calls, all...)
	if got := string(report.Manifests); got != "one\ntwo\nthree\n" {
		t.Errorf("manifests are %q", got)
	}
	if !report.LockChanged {
		t.Error("no lock written")
	}
	if _, calls = f.mustRun(wholeApp); true {
		wantCalls(t, calls, "run build-make", "run deploy-put")
	}
	if !strings.Contains(f.events.text(), "step-skipped template-print nothing changed since the last run") {
		t.Errorf("no reason for the skip in\n%s", f.events.text())
	}
	// A changed step runs, and with it what follows from it.
	_, calls = f.mustRun(strings.Replace(wholeApp, `"two\n"`, `"other\n"`, 1))
	wantCalls(t, calls, "run template-print-2", "run build-make", "run deploy-put")
	_, calls = f.mustRun(strings.Replace(wholeApp, `"one\n"`, `"uno\n"`, 1))
	wantCalls(t, calls, "run template-print", "run template-print-2", "run build-make", "run deploy-put")
	// A changed source changes the keys.
	f.log.source = "moved"
	_, calls = f.mustRun(wholeApp)
	wantCalls(t, calls, all...)
	// Another version of strake takes nothing over.
	f.opts.Version = "next"
	_, calls = f.mustRun(wholeApp)
	wantCalls(t, calls, all...)
}

func TestADamagedWorkspaceIsMadeAgain(t *testing.T) {
	for name, damage := range map[string]func(ws string) error{
		"source changed": func(ws string) error { return os.WriteFile(filepath.Join(ws, "sources/src/out"), []byte("x"), 0o644) },
		"source removed": func(ws string) error { return os.RemoveAll(filepath.Join(ws, "sources/src")) },
		"record torn": func(ws string) error {
			return os.WriteFile(filepath.Join(ws, "run.json"), []byte("{\"steps\": ["), 0o644)
		},
		"record of another": func(ws string) error { return os.WriteFile(filepath.Join(ws, "run.json"), []byte("{}"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mustRun(wholeApp)
			if err := damage(f.opts.Workspace); err != nil {
				t.Fatal(err)
			}
			report, calls := f.mustRun(wholeApp)
			if calls[0] != "run fetch-src" {
				t.Errorf("calls are %q", calls)
			}
			if got := string(report.Manifests); got != "one\ntwo\nthree\n" {
				t.Errorf("manifests are %q", got)
			}
			if got, _ := os.ReadFile(filepath.Join(f.opts.Workspace, "sources/src/out")); string(got) != "a" {
				t.Errorf("source is %q", got)
			}
		})
	}
}

func TestASourceThatIsNoLongerInTheFileIsGone(t *testing.T) {
	f := newFixture(t)
	f.mustRun(wholeApp)
	f.mustRun(strings.Replace(wholeApp, "  - {path: config, write: b}\n", "", 1))
	if _, err := os.Stat(filepath.Join(f.opts.Workspace, "sources/config")); !os.IsNotExist(err) {
		t.Errorf("sources/config: %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.opts.Workspace, "sources/src/out")); err != nil {
		t.Error(err)
	}
}

func TestAllChecksRunBeforeTheFirstStep(t *testing.T) {
	f := newFixture(t)
	_, calls, err := f.run(head + `spec:
  fetch: [{write: a, check: no git}]
  template: [{print: {}}]
  deploy: [{put: {check: no cluster}}]
`)
	wantCalls(t, calls)
	want := "fetch-write (app.yaml:5:11): no git\ndeploy-put (app.yaml:7:12): no cluster"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := os.Stat(f.opts.LockFile); !os.IsNotExist(err) {
		t.Errorf("lock file: %v", err)
	}
}

func TestAFailedStepEndsTheRunAndTheNextRunGoesOn(t *testing.T) {
	f := newFixture(t)
	bad := strings.Replace(wholeApp, "make: {", "make: {fail: no daemon, ", 1)
	report, calls, err := f.run(bad)
	wantCalls(t, calls, "run fetch-src", "run fetch-config", "run template-print", "run template-print-2", "run build-make")
	var step *pipeline.StepError
	if !errors.As(err, &step) || step.Step != "build-make" || err.Error() != "build-make (app.yaml:9:11): no daemon" {
		t.Errorf("error is %v", err)
	}
	if report.Record.Outcome != pipeline.OutcomeFailed {
		t.Errorf("outcome is %q", report.Record.Outcome)
	}
	if _, err := os.Stat(f.opts.LockFile); !os.IsNotExist(err) {
		t.Errorf("a failed build left a lock file: %v", err)
	}
	_, calls = f.mustRun(wholeApp)
	wantCalls(t, calls, "run build-make", "run deploy-put")
	if left, _ := filepath.Glob(filepath.Join(f.opts.Workspace, "tmp/*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAPanicBecomesAnErrorThatNamesTheStep(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.run(head + "spec:\n  template: [{print: {special: panic}}]\n")
	if err == nil || err.Error() != "template-print (app.yaml:5:14): internal error: at the disco" {
		t.Errorf("error is %v", err)
	}
	if stages.Hint(err) == "" {
		t.Error("no hint")
	}
}

func TestALinkOutOfTheFolderIsRefused(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.run(head + "spec:\n  fetch: [{special: link}]\n")
	if err == nil || !strings.Contains(err.Error(), "out: symbolic link to ../../../etc/passwd leads out of its folder") {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Lstat(filepath.Join(f.opts.Workspace, "sources/out")); !os.IsNotExist(err) {
		t.Error("the link is in the workspace")
	}
}

func TestCancelEndsTheRun(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	report, err := f.plan(head+"spec:\n  template: [{print: {special: hang}}]\n").Run(ctx, f.opts)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if report.Record.Outcome != pipeline.OutcomeCanceled {
		t.Errorf("outcome is %q", report.Record.Outcome)
	}
}

func TestATimeoutSaysSo(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.run(`apiVersion: strake.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
  - {name: slow, stage: template, uses: print, with: {special: hang}, timeout: 50ms}
`)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "slow (app.yaml:6:5): timed out after 50ms") {
		t.Errorf("error is %v", err)
	}
}

func TestLocked(t *testing.T) {
	f := newFixture(t)
	f.opts.Locked = true
	_, calls, err := f.run(wholeApp)
	wantCalls(t, calls)
	var lock *stages.LockError
	if !errors.As(err, &lock) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without a lock file: %v", err)
	}
	f.opts.Locked = false
	f.mustRun(wholeApp)
	before, _ := os.ReadFile(f.opts.LockFile)
	f.opts.Locked = true
	f.mustRun(wholeApp)
	_, calls, err = f.run(strings.Replace(wholeApp, "example.com/web", "example.com/other", 1))
	if !errors.As(err, &lock) || calls[len(calls)-1] != "run build-make" {
		t.Errorf("error is %v, calls are %q", err, calls)
	}
	want := "lock: image example.com/other: is not in the lock file\nlock: image example.com/web: is in the lock file, but not in the manifests"
	if err.Error() != want {
		t.Errorf("got %s\nwant %s", err, want)
	}
	if after, _ := os.ReadFile(f.opts.LockFile); string(after) != string(before) {
		t.Error("the lock file was changed")
	}
}

func TestTheLockFileIsOnlyWrittenWhenItChanges(t *testing.T) {
	f := newFixture(t)
	f.mustRun(wholeApp)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(f.opts.LockFile, old, old); err != nil {
		t.Fatal(err)
	}
	report, _ := f.mustRun(wholeApp)
	if info, _ := os.Stat(f.opts.LockFile); report.LockChanged || !info.ModTime().Equal(old) {
		t.Error("an unchanged lock file was written")
	}
}

func TestUntilAndFrom(t *testing.T) {
	f := newFixture(t)
	f.opts.From = stages.Build
	if _, _, err := f.run(wholeApp); err == nil || !strings.Contains(err.Error(), "has no result in the workspace to go on from") {
		t.Errorf("--from in an empty workspace: %v", err)
	}
	f.opts.From, f.opts.Until = "", stages.Template
	_, calls := f.mustRun(wholeApp)
	wantCalls(t, calls, "run fetch-src", "run fetch-config", "run template-print", "run template-print-2")
	if _, err := os.Stat(f.opts.LockFile); !os.IsNotExist(err) {
		t.Error("an incomplete run wrote the lock file")
	}
	f.opts.From, f.opts.Until = stages.Build, ""
	report, calls := f.mustRun(wholeApp)
	wantCalls(t, calls, "run build-make", "run deploy-put")
	if got := string(report.Manifests); got != "one\ntwo\nthree\n" {
		t.Errorf("manifests are %q", got)
	}
}

func TestPreviewChangesNothingOutside(t *testing.T) {
	f := newFixture(t)
	report, err := f.plan(wholeApp).Preview(t.Context(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, c := range f.log.take() {
		if !strings.HasPrefix(c, "check") {
			calls = append(calls, c)
		}
	}
	wantCalls(t, calls, "run fetch-src", "run fetch-config", "run template-print", "run template-print-2", "plan build-make", "plan deploy-put")
	if len(report.Changes) != 2 {
		t.Errorf("changes are %+v", report.Changes)
	}
	if _, err := os.Stat(f.opts.LockFile); !os.IsNotExist(err) {
		t.Error("a plan wrote the lock file")
	}
	_, calls = f.mustRun(wholeApp)
	wantCalls(t, calls, "run build-make", "run deploy-put")
}

func TestSecretsAreInNoTextOfARun(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.run(head + "spec:\n  template: [{print: {special: secret}}]\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2, values.yml: \"db: {pass: correct-horse}\"}\n")
	want := "template-print (app.yaml:5:14): login with *** at https://***@example.com failed"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	record, _ := os.ReadFile(filepath.Join(f.opts.Workspace, "run.json"))
	for where, text := range map[string]string{"events": f.events.text(), "record": string(record)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "correct-horse") || strings.Contains(text, "me:pass") {
			t.Errorf("secret in the %s:\n%s", where, text)
		}
	}
}

func TestASecondRunWaitsForTheWorkspace(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := f.plan(head+"spec:\n  template: [{print: {special: hang}}]\n").Run(ctx, f.opts)
		done <- err
	}()
	for !strings.Contains(f.events.text(), "step-started") {
		time.Sleep(time.Millisecond)
	}
	short, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	_, err := f.plan(wholeApp).Run(short, f.opts)
	if _, ok := errors.AsType[*pipeline.BusyError](err); !ok {
		t.Errorf("error is %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the first run ended with %v", err)
	}
	f.mustRun(wholeApp)
}

func TestDeleteGoesBackwards(t *testing.T) {
	f := newFixture(t)
	err := f.plan(head+"spec:\n  template: [{print: {}}]\n  deploy: [{put: {}}, {put: {}}]\n").Delete(t.Context(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	wantCalls(t, f.log.take(), "delete deploy-put-2", "delete deploy-put")
}

func TestPausedAppsDoNotRun(t *testing.T) {
	f := newFixture(t)
	_, calls, err := f.run(head + "spec:\n  paused: true\n  template: [{print: {}}]\n")
	var idle *pipeline.IdleError
	if !errors.As(err, &idle) || len(calls) > 0 {
		t.Errorf("error is %v, calls are %q", err, calls)
	}
}

func TestLoadReportsEverythingAtOnce(t *testing.T) {
	_, err := load("app.yaml", []byte(strings.Replace(head, "web", "Web", 1)+`spec:
  fetch:
  - {path: a, write: x}
  - {path: a/b, writ: x}
  template:
  - prind: {}
  - {print: {}, make: {}}
  - print: {wrote: x}
  biuld:
  - make: {}
  build:
  - make: {write: invalid}
  - make
`), fakes(&callLog{}))
	want := strings.TrimSpace(`
app.yaml:3:18: metadata.name: "Web" is not a valid name (lower-case letters, digits, “-” and “.”, beginning and ending with a letter or digit, at most 253)
app.yaml:7:17: spec.fetch[1]: no plugin "writ" for the fetch stage (did you mean write?)
app.yaml:9:5: spec.template[0]: no plugin "prind" for the template stage (did you mean print?)
app.yaml:10:5: spec.template[1]: an entry names one plugin, found 2 keys: print, make
app.yaml:11:13: spec.template[2].print.wrote: unknown field (did you mean write?)
app.yaml:12:3: spec.biuld: unknown field (did you mean build?)
app.yaml:15:19: spec.build[0].make.write: is invalid
app.yaml:16:5: spec.build[1]: expected a mapping that names a plugin, found the string "make" (for example “- ytt: {}”)
`)
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

func TestCompileChecksConfigurationsAndPlaces(t *testing.T) {
	for name, tt := range map[string]struct{ spec, want string }{
		"config":     {"template: [{print: {wrote: x}}]\n  build: [{make: {write: invalid}}]", "app.yaml:5:23: spec.template[0].print.wrote: unknown field (did you mean write?)\napp.yaml:6:26: spec.build[0].make.write: is invalid"},
		"overlap":    {"fetch: [{path: a, write: x}, {path: a/b, write: y}]", `app.yaml:5:32: spec.fetch[1]: path "a/b" overlaps with path "a" of the source at app.yaml:5:11`},
		"same":       {"fetch: [{path: a, write: x}, {path: ./a, write: y}]", `app.yaml:5:32: spec.fetch[1]: path "a" overlaps with path "a" of the source at app.yaml:5:11`},
		"leaves":     {"fetch: [{path: ../a, write: x}]", "app.yaml:5:11: spec.fetch[0].path: ../a: leads out of the App's folder"},
		"absolute":   {"fetch: [{path: /a, write: x}]", "app.yaml:5:11: spec.fetch[0].path: /a: expected a path relative to the App's folder"},
		"whole of 2": {"fetch: [{path: ., write: x}, {write: y}]", "app.yaml:5:11: spec.fetch[0].path: the App's folder itself can only be filled by a single source"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := schema.Load("app.yaml", []byte(head+"spec:\n  "+tt.spec+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = pipeline.Compile(file, fakes(&callLog{}))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestKbldAmongTemplatesIsTheBuildStage(t *testing.T) {
	f := newFixture(t)
	plan := f.plan(head + "spec:\n  fetch: [{write: a}, {write: b}]\n  template: [{print: {}}, {make: {}}]\n")
	var got []string
	for _, s := range plan.Steps {
		got = append(got, fmt.Sprintf("%s %s %s", s.Name, s.Stage, s.Folder))
	}
	want := []string{"fetch-write fetch 0", "fetch-write-2 fetch 1", "template-print template ", "build-make build "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLockFileFor(t *testing.T) {
	for file, want := range map[string]string{
		"app.yaml": "app.lock.yaml", "a/b.yml": "a/b.lock.yaml", "app.yaml.example": "app.yaml.example.lock.yaml", "-": "", "": "",
	} {
		if got := pipeline.LockFileFor(file, ""); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}

func TestFetchStepsRunAtTheSameTime(t *testing.T) {
	f := newFixture(t)
	f.log.meet.Add(2)
	report, _ := f.mustRun(head + "spec:\n  fetch:\n  - {path: src, write: a, special: meet}\n  - {path: config, write: b, special: meet}\n")
	var order []string
	for _, s := range report.Record.Steps {
		order = append(order, s.Name)
	}
	if got := strings.Join(order, " "); got != "fetch-src fetch-config" {
		t.Errorf("the record lists %s", got)
	}
}

func TestAFailedFetchEndsTheOthers(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.run(head + "spec:\n  fetch:\n  - {path: src, special: hang}\n  - {path: config, fail: no such thing}\n")
	if err == nil || !strings.Contains(err.Error(), "fetch-config") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v", err)
	}
	if text := f.events.text(); !strings.Contains(text, "another source can't be fetched") {
		t.Errorf("events are %s", text)
	}
}

// load compiles a file that has one plan.
func load(name string, data []byte, plugins *stages.Registry) (*pipeline.Plan, error) {
	loader := &pipeline.Loader{
		Plugins: func(schema.TargetKube) (*stages.Registry, error) { return plugins, nil },
		Read:    func(string) ([]byte, error) { return data, nil },
	}
	set, err := loader.Load(name)
	if err != nil {
		return nil, err
	}
	return set.Units[0].Plan, nil
}
