package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/reporttest"
	"strake.dev/strake/stages"
)

func TestRun(t *testing.T) {
	run := reporttest.Example().Run(report.Failed, 1, "deploy-kapp: deployment/web isn't ready")
	want := report.Counts{
		Steps:      report.StepCounts{Done: 3, Skipped: 1, Failed: 1, NotRun: 1},
		Changes:    report.ChangeCounts{Create: 1, Update: 1, Delete: 1, Unchanged: 1, Push: 1},
		Images:     report.ImageCounts{Built: 1, Resolved: 1},
		BuildSteps: report.BuildCounts{Done: 1, Cached: 1},
		Waits:      1, Warnings: 1,
	}
	if diff := cmp.Diff(want, run.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(run.Counts(), run.Verdict.Counts); diff != "" {
		t.Errorf("counts of the verdict (-want +got):\n%s", diff)
	}
	if run.App != "default/demo" || run.Command != "run" || run.Seconds != 29.8 || run.Outcome() != report.Failed {
		t.Errorf("run is %+v", run)
	}
	step := run.FailedStep()
	if step == nil || step.Name != "deploy-kapp" || step.Tasks[0].Took(step.Ended) != 8*time.Second || step.Tasks[0].Detail != "Pod web-1: ImagePullBackOff" {
		t.Errorf("failed step is %+v", step)
	}
	if at, ok := run.Place("deploy-kapp"); !ok || at.Line != 9 {
		t.Errorf("it stands at %+v", at)
	}
	if len(run.Steps[2].Tasks) != 2 {
		t.Errorf("a transfer counts as a task: %+v", run.Steps[2].Tasks)
	}
}

func TestOnlyTheLastLogLinesAreKept(t *testing.T) {
	r := reporttest.New("run", "build-kbld")
	r.Start("build-kbld")
	for range 10_000 {
		r.Event(stages.Event{Type: stages.LogLine, Message: "x"})
	}
	r.Event(stages.Event{Type: stages.LogLine, Message: "a\nlast"})
	run := r.Run(report.Failed, 1, "x")
	lines, before := run.Steps[0].Tail(2)
	if strings.Join(lines, " ") != "a last" || before != 10_000 {
		t.Errorf("kept %q after %d lines", lines, before)
	}
	if n := len(run.Steps[0].Logs); n > 4000 {
		t.Errorf("%d lines are kept", n)
	}
}

func write(t *testing.T, store report.Store, id string, lines []report.Line) {
	t.Helper()
	log, err := store.Create(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		log.Add(l)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	store := report.OpenStore(dir)
	if ids, err := store.List(); err != nil || len(ids) != 0 {
		t.Errorf("a new store has %v, %v", ids, err)
	}
	if _, err := store.Find(""); err == nil || !strings.Contains(err.Error(), "no run is kept in") {
		t.Errorf("error is %v", err)
	}
	r := reporttest.Example()
	want := r.Run(report.Failed, 1, "x").Counts()
	var ids []string
	for i := range 25 {
		id := report.NewID(reporttest.At.Add(time.Duration(i) * time.Second))
		ids = append(ids, id)
		write(t, store, id, r.Lines)
	}
	kept, err := store.List()
	if err != nil || len(kept) != 20 || kept[0] != ids[24] || kept[19] != ids[5] {
		t.Errorf("kept are %v, %v", kept, err)
	}
	for ask, answer := range map[string]string{"": ids[24], ids[7]: ids[7], ids[7][:len(ids[7])-2]: ids[7]} {
		if got, err := store.Find(ask); err != nil || got != answer {
			t.Errorf("Find(%q) = %s, %v", ask, got, err)
		}
	}
	for _, ask := range []string{"2026", "1999"} {
		if got, err := store.Find(ask); err == nil {
			t.Errorf("Find(%q) = %s", ask, got)
		}
	}
	got, err := store.Load(ids[24])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Counts()); diff != "" {
		t.Errorf("counts of a kept run (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "runs", ids[24]+".jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file is %v, %v", info.Mode(), err)
	}
}

// A process that is killed leaves whole lines, and perhaps a part of one.
func TestKilledRun(t *testing.T) {
	store := report.OpenStore(t.TempDir())
	r := reporttest.Example()
	write(t, store, "a", r.Lines)
	log, err := store.Create("b")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Lines[:9] {
		log.Add(l)
	}
	var whole bytes.Buffer
	if err := store.Copy(&whole, "b"); err != nil || bytes.Count(whole.Bytes(), []byte("\n")) != 9 {
		t.Errorf("without closing, %q is there (%v)", whole.String(), err)
	}
	run, err := report.Read(strings.NewReader(whole.String() + `{"time":"2026-01-`))
	if err != nil {
		t.Fatal(err)
	}
	if c := run.Counts().Steps; run.Outcome() != report.Unfinished || c.Done != 1 || c.Failed != 1 || c.NotRun != 3 {
		t.Errorf("outcome %s, counts %+v", run.Outcome(), c)
	}
	var torn bytes.Buffer
	torn.WriteString(whole.String()[:whole.Len()-3])
	if _, err := report.Read(&torn); err != nil {
		t.Errorf("torn: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"{}\nnope\n": "line 2: invalid character",
		`{"type":"stream-started","schema":"strake.dev/events/v9","strake":"v9"}` + "\n": `line 1: events of the form "strake.dev/events/v9", expected "strake.dev/events/v1"`,
	} {
		if _, err := report.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	r := reporttest.Example()
	r.Run(report.Succeeded, 0, "")
	for _, l := range r.Lines {
		text, _ := json.Marshal(l)
		f.Add(append(text, '\n'))
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		if run, err := report.Read(bytes.NewReader(text)); err == nil {
			run.Counts()
		}
	})
}

// Folding and keeping a run of 10,000 events must cost nothing that anybody notices.
func BenchmarkFold10000(b *testing.B) {
	lines := manyLines()
	for b.Loop() {
		run := &report.Run{}
		for _, l := range lines {
			run.Add(l)
		}
		run.Counts()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
}

func BenchmarkKeep10000(b *testing.B) {
	lines := manyLines()
	store := report.OpenStore(b.TempDir())
	for b.Loop() {
		log, err := store.Create(report.NewID(time.Now()) + "-" + time.Now().Format("150405.000000000"))
		if err != nil {
			b.Fatal(err)
		}
		for _, l := range lines {
			log.Add(l)
		}
		if err := log.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
}

func manyLines() []report.Line {
	r := reporttest.Many(10_000)
	r.Run(report.Succeeded, 0, "")
	return r.Lines
}
