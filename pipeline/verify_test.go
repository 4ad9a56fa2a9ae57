package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A fakeVerifier stands for a step of the verify stage.
type fakeVerifier struct {
	cfg fakeVerification
	log *callLog
}

type fakeVerification struct {
	Images bool   `json:"images,omitempty"`
	Fail   string `json:"fail,omitempty"`
}

func (s fakeVerifier) VerifiesImages() bool { return s.cfg.Images }

func (s fakeVerifier) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	var paths []string
	for _, source := range job.Fetched {
		paths = append(paths, source.Path)
	}
	s.log.add("verify %s %t %q %t", strings.Join(paths, ","), s.cfg.Images, job.Manifests, job.Provisional)
	if s.cfg.Fail != "" {
		return stages.Result{}, errors.New(s.cfg.Fail)
	}
	return stages.Result{}, nil
}

const verifiedApp = head + `spec:
  fetch:
  - {path: src, write: a}
  - {path: config, write: b}
  verify: [{check: {images: true}}, {check: {%s}}]
  template: [{print: {write: "one"}}, {make: {write: "two", image: example.com/web}}]
  deploy: [{put: {uncached: true}}]
`

const sourcesVerified, imagesVerified = `verify src,config false "" false`, `verify src,config true "onetwo" false`

// Sources are verified before they are used, images before they are deployed, and each time.
func TestVerify(t *testing.T) {
	f := newFixture(t)
	app := fmt.Sprintf(verifiedApp, "")
	_, calls := f.mustRun(app)
	wantCalls(t, calls, "run fetch-src", "run fetch-config", sourcesVerified, "run template-print", "run build-make", imagesVerified, "run deploy-put")
	_, calls = f.mustRun(app)
	wantCalls(t, calls, sourcesVerified, imagesVerified, "run deploy-put")

	f.opts.From = stages.Deploy
	_, calls = f.mustRun(app)
	wantCalls(t, calls, sourcesVerified, imagesVerified, "run deploy-put")
}

func TestVerifyFailsBeforeAnythingElse(t *testing.T) {
	f := newFixture(t)
	f.mustRun(fmt.Sprintf(verifiedApp, ""))
	failing := fmt.Sprintf(verifiedApp, "fail: unsigned")
	for _, from := range []stages.Stage{"", stages.Template, stages.Deploy} {
		f.opts.From = from
		_, calls, err := f.run(failing)
		if err == nil || !strings.Contains(err.Error(), "unsigned") {
			t.Fatalf("from %q: expected the step's error, found %v", from, err)
		}
		if last := calls[len(calls)-1]; last != sourcesVerified {
			t.Errorf("from %q: expected the run to end with the verification, found %q", from, last)
		}
	}
}

// Stages that end a run earlier leave out the verification of images, which would need them.
func TestVerifyUntil(t *testing.T) {
	for until, want := range map[stages.Stage][]string{
		stages.Fetch:    {"run fetch-src", "run fetch-config"},
		stages.Verify:   {"run fetch-src", "run fetch-config", sourcesVerified},
		stages.Template: {"run fetch-src", "run fetch-config", sourcesVerified, "run template-print"},
		stages.Build:    {"run fetch-src", "run fetch-config", sourcesVerified, "run template-print", "run build-make", imagesVerified},
	} {
		t.Run(string(until), func(t *testing.T) {
			f := newFixture(t)
			f.opts.Until = until
			_, calls := f.mustRun(fmt.Sprintf(verifiedApp, ""))
			wantCalls(t, calls, want...)
		})
	}
}

// A plan verifies too, and knows that its images may not be there yet.
func TestVerifyPlan(t *testing.T) {
	for app, provisional := range map[string]bool{
		fmt.Sprintf(verifiedApp, ""): false,
		strings.Replace(fmt.Sprintf(verifiedApp, ""), "image: example.com/web", "image: example.com/web, special: unbuilt", 1): true,
	} {
		f := newFixture(t)
		if _, err := f.plan(app).Preview(t.Context(), f.opts); err != nil {
			t.Fatal(err)
		}
		const checks = 5
		wantCalls(t, f.log.take()[checks:], "run fetch-src", "run fetch-config", sourcesVerified, "run template-print",
			"plan build-make", fmt.Sprintf(`verify src,config true "one" %t`, provisional), "plan deploy-put")
	}
}

// The explicit form of an App has its steps in the order in which they run.
func TestVerifyAsPipeline(t *testing.T) {
	f := newFixture(t)
	text, err := f.plan(fmt.Sprintf(verifiedApp, "")).Pipeline().YAML()
	if err != nil {
		t.Fatal(err)
	}
	file, err := schema.Load("pipeline.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pipeline.Compile(file, fakes(f.log))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range plan.Steps {
		names = append(names, s.Name)
	}
	if got, want := strings.Join(names, " "), "fetch-src fetch-config verify-check-2 template-print build-make verify-check deploy-put"; got != want {
		t.Errorf("expected %s, found %s", want, got)
	}
}
