package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/atomicwriter"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/github"
	"strake.dev/strake/internal/report/gitlab"
	"strake.dev/strake/internal/report/html"
	"strake.dev/strake/internal/report/junit"
	"strake.dev/strake/internal/report/markdown"
	"strake.dev/strake/internal/report/text"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A reportFormat renders a run. JSON is rendered by nothing: it is the events as they are.
type reportFormat struct {
	name  string
	write func(w io.Writer, run *report.Run) error
}

// maxMarkdown is how many bytes a report in Markdown has at most: what GitLab takes as a comment.
const maxMarkdown = 1_000_000

// reportFormats are all formats of reports.
func (t *tool) reportFormats() []reportFormat {
	return []reportFormat{
		{"html", html.Write},
		{"markdown", func(w io.Writer, run *report.Run) error {
			_, err := io.WriteString(w, markdown.Render(run, maxMarkdown))
			return err
		}},
		{"junit", junit.Write},
		{formatJSON, nil},
		{formatText, func(w io.Writer, run *report.Run) error { return text.Write(w, run, text.Plain()) }},
		{progressGitHub, func(w io.Writer, run *report.Run) error {
			if err := text.Write(w, run, github.Groups()); err != nil {
				return err
			}
			_, err := io.WriteString(w, github.Annotations(run, t.fromRoot()))
			return err
		}},
		{progressGitLab, func(w io.Writer, run *report.Run) error { return text.Write(w, run, gitlab.Groups()) }},
		{"gitlab-dotenv", gitlab.Dotenv},
		{"gitlab-plan", gitlab.Plan},
	}
}

func (t *tool) reportNames() []string {
	var names []string
	for _, f := range t.reportFormats() {
		names = append(names, f.name)
	}
	return names
}

// fromRoot makes paths of files those of the repository that GitHub has checked out.
func (t *tool) fromRoot() func(string) string { return github.FromRoot(t.getenv("GITHUB_WORKSPACE")) }

// A reportFile is a report that is asked for.
type reportFile struct {
	reportFormat
	file string
}

// addReports adds the flag for reports to a command that has a run.
func (o *outputFlags) addReports(t *tool, cmd *cobra.Command) {
	o.records = true
	cmd.Flags().StringArrayVar(&o.reports, "report", nil,
		"write a report: `FORMAT=FILE` (repeatable), FORMAT one of "+strings.Join(t.reportNames(), ", "))
	fromEnv(cmd.Flags(), "report", "STRAKE_REPORT")
}

// reportFiles reads the values of --report.
func (t *tool) reportFiles(values []string) ([]reportFile, error) {
	var files []reportFile
	formats := t.reportFormats()
	for _, value := range values {
		name, file, ok := strings.Cut(value, "=")
		if !ok || file == "" {
			return nil, stages.WithHint(fmt.Errorf("--report %q: expected FORMAT=FILE", value), "for example --report junit=strake.xml")
		}
		i := slices.IndexFunc(formats, func(f reportFormat) bool { return f.name == name })
		if i < 0 {
			err := fmt.Errorf("--report %q: expected one of the formats %s", value, strings.Join(t.reportNames(), ", "))
			return nil, stages.WithHint(err, "%s", schema.Suggest(name, t.reportNames()))
		}
		files = append(files, reportFile{formats[i], file})
	}
	return files, nil
}

// writeReports writes the reports that were asked for, and what CI systems take of their own accord.
func (t *tool) writeReports(files []reportFile, flags *outputFlags) error {
	var errs []error
	run := &flags.recording.run
	for _, f := range files {
		var out bytes.Buffer
		var err error
		if f.write == nil {
			out.Write(flags.recording.lines.Bytes())
		} else {
			err = f.write(&out, run)
		}
		if err == nil {
			err = writeFile(f.file, out.Bytes())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("report %s: %w", f.name, err))
		}
	}
	if t.progress(flags.progress.value) == progressGitHub {
		errs = append(errs, t.tellGitHub(run))
	}
	return errors.Join(errs...)
}

// tellGitHub prints annotations, and writes the summary and the outputs of the step.
func (t *tool) tellGitHub(run *report.Run) error {
	_, _ = io.WriteString(t.err, github.Annotations(run, t.fromRoot())) // like all progress
	var errs []error
	for variable, add := range map[string]func(string, *report.Run) error{
		"GITHUB_STEP_SUMMARY": github.AddSummary, "GITHUB_OUTPUT": github.AddOutputs,
	} {
		if file := t.getenv(variable); file != "" {
			if err := add(file, run); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", variable, err))
			}
		}
	}
	return errors.Join(errs...)
}

// writeFile writes a file at once, and makes its folder. What is no regular file, such as a pipe, is
// written to.
func writeFile(file string, content []byte) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(file, content, 0o644)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return atomicwriter.WriteFile(file, content, 0o644)
}
