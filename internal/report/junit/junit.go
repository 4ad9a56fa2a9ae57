// Package junit renders a run as JUnit's XML, which CI systems show as tests: a suite for each stage, a
// case for each step. There is no standard for it; the elements are those that Jenkins' schema and GitLab
// read: https://docs.gitlab.com/ci/testing/unit_test_reports.
package junit

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// maxOutput is how many of a step's last log lines are told.
const maxOutput = 200

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []*suite `xml:"testsuite"`
}

type suite struct {
	Name       string      `xml:"name,attr"`
	Tests      int         `xml:"tests,attr"`
	Failures   int         `xml:"failures,attr"`
	Errors     int         `xml:"errors,attr"`
	Skipped    int         `xml:"skipped,attr"`
	Time       string      `xml:"time,attr"`
	Timestamp  string      `xml:"timestamp,attr,omitempty"`
	Properties *properties `xml:"properties"`
	Cases      []testCase  `xml:"testcase"`

	seconds float64
}

type properties struct {
	All []property `xml:"property"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type testCase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	File    string   `xml:"file,attr,omitempty"`
	Time    string   `xml:"time,attr"`
	Failure *problem `xml:"failure"`
	Skipped *problem `xml:"skipped"`
	Output  string   `xml:"system-out,omitempty"`
}

type problem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Write writes the report. The first suite is the command: its one case fails when the command failed
// without any step being to blame.
func Write(w io.Writer, run *report.Run) error {
	all := document(run)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func document(run *report.Run) *suites {
	all := &suites{Name: "strake", Time: seconds(run.Seconds)}
	command := all.suite("strake", run.Started)
	command.Properties = &properties{[]property{
		{"outcome", string(run.Outcome())}, {"exit-code", fmt.Sprint(run.Verdict.ExitCode)}, {"run", run.Run},
	}}
	for _, n := range run.Counts().Numbers() {
		command.Properties.All = append(command.Properties.All, property{n.Name, fmt.Sprint(n.Value)})
	}
	c := testCase{Class: "strake", Name: render.Line("strake " + run.Command), Time: seconds(run.Seconds)}
	unfinished := run.Outcome() == report.Unfinished
	if blameless := run.Error != "" && run.FailedStep() == nil; blameless || unfinished {
		c.Failure = failure(cmp.Or(run.Error, "the run has no end: the process was killed, or runs still"), run.Hint, nil)
	}
	command.add(c, 0)
	for _, s := range run.Steps {
		all.suite(string(s.Stage), s.Began).add(stepCase(run, s), s.Seconds)
	}
	for _, p := range run.NotRun() {
		c := testCase{Class: "strake." + render.Line(string(p.Stage)), Name: render.Line(p.Name), File: render.Line(p.File), Time: seconds(0), Skipped: &problem{Message: "the run didn't come to it"}}
		all.suite(string(p.Stage), time.Time{}).add(c, 0)
	}
	for _, s := range all.Suites {
		s.Time = seconds(s.seconds)
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
	}
	command.Time = seconds(run.Seconds)
	return all
}

func stepCase(run *report.Run, s report.Step) testCase {
	c := testCase{Class: "strake." + render.Line(string(s.Stage)), Name: render.Line(s.Name), Time: seconds(s.Seconds)}
	if at, ok := run.Place(s.Name); ok {
		c.File = render.Line(at.File)
	}
	lines, before := s.Tail(maxOutput)
	if before > 0 {
		lines = append([]string{fmt.Sprintf("(%d lines before)", before)}, lines...)
	}
	c.Output = render.Text(strings.Join(lines, "\n"))
	switch s.Status {
	case report.StatusFailed:
		c.Failure = failure(s.Error, s.Hint, s.Tasks)
	case report.StatusRunning:
		c.Failure = failure("the step was cut off", "", nil)
	case report.StatusSkipped:
		c.Skipped = &problem{Message: render.Line(s.Reason)}
	}
	return c
}

func failure(text, hint string, tasks []report.Task) *problem {
	p := &problem{Message: render.Line(text), Text: render.Text(text)}
	if hint != "" {
		p.Text += "\nhint: " + render.Text(hint)
	}
	for _, t := range tasks {
		if t.State == stages.TaskFailed {
			p.Text += "\nfailed: " + render.Line(strings.TrimSuffix(t.Name+": "+t.Detail, ": "))
		}
	}
	return p
}

func (all *suites) suite(name string, began time.Time) *suite {
	for _, s := range all.Suites {
		if s.Name == render.Line(name) {
			return s
		}
	}
	s := &suite{Name: render.Line(name)}
	if !began.IsZero() {
		s.Timestamp = began.UTC().Format("2006-01-02T15:04:05")
	}
	all.Suites = append(all.Suites, s)
	return s
}

func (s *suite) add(c testCase, took float64) {
	s.Tests++
	s.seconds += took
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
