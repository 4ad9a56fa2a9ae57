package github

import (
	"fmt"
	"path/filepath"
	"strings"

	"strake.dev/strake/internal/report"
)

// maxAnnotations is how many annotations of a kind GitHub shows of a step:
// https://github.com/orgs/community/discussions/26680.
const maxAnnotations = 10

// An annotation is an error or a warning that GitHub shows with a place in a file.
type annotation struct {
	file         string
	line, column int
	title, text  string
}

func (a annotation) command(kind string) string {
	var props []string
	add := func(name, value string) {
		if value != "" && value != "0" {
			props = append(props, name+"="+property(value))
		}
	}
	add("file", a.file)
	if a.file != "" {
		add("line", fmt.Sprint(a.line))
		add("col", fmt.Sprint(a.column))
	}
	add("title", a.title)
	return strings.TrimSuffix("::"+kind+" "+strings.Join(props, ","), " ") + "::" + data(a.text) + "\n"
}

// Annotations returns the commands for what is wrong, at most as many as GitHub shows; the last one counts
// the rest. place makes the path of a file one from the root of the repository.
func Annotations(run *report.Run, place func(string) string) string {
	return commands("error", errorsOf(run, place)) + commands("warning", warningsOf(run, place))
}

func commands(kind string, all []annotation) string {
	var out strings.Builder
	shown := all
	if len(all) > maxAnnotations {
		shown = all[:maxAnnotations-1]
	}
	for _, a := range shown {
		out.WriteString(a.command(kind))
	}
	if rest := len(all) - len(shown); rest > 0 {
		out.WriteString(annotation{title: "strake", text: fmt.Sprintf("%d more %ss: the summary of the step has them all", rest, kind)}.command(kind))
	}
	return out.String()
}

func errorsOf(run *report.Run, place func(string) string) []annotation {
	var all []annotation
	for _, d := range run.Verdict.Diagnostics {
		all = append(all, annotation{
			file: place(d.File), line: d.Line, column: d.Column, title: "strake: " + d.File,
			text: strings.TrimPrefix(d.Path+": ", ": ") + d.Message + parenthesis(d.Hint),
		})
	}
	if failed := run.FailedStep(); failed != nil {
		a := annotation{title: "strake: " + failed.Name, text: failed.Error + parenthesis(failed.Hint)}
		if at, ok := run.Place(failed.Name); ok {
			a.file, a.line, a.column = place(at.File), at.Line, at.Column
		}
		return append(all, a)
	}
	if len(all) == 0 && run.Error != "" {
		all = append(all, annotation{title: "strake " + run.Command, text: run.Error + parenthesis(run.Hint)})
	}
	return all
}

func warningsOf(run *report.Run, place func(string) string) []annotation {
	var all []annotation
	for _, w := range run.Warnings {
		a := annotation{title: strings.TrimSuffix("strake: "+w.Step, ": "), text: w.Message}
		if at, ok := run.Place(w.Step); ok {
			a.file, a.line, a.column = place(at.File), at.Line, at.Column
		}
		all = append(all, a)
	}
	return all
}

func parenthesis(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}

// FromRoot returns what makes a path one from the root of the repository that is checked out in a
// workspace; files outside of it, and all without a workspace, stay as they are.
func FromRoot(workspace string) func(string) string {
	return func(file string) string {
		abs, err := filepath.Abs(file)
		if err != nil || workspace == "" || file == "" {
			return file
		}
		rel, err := filepath.Rel(workspace, abs)
		if err != nil || !filepath.IsLocal(rel) {
			return file
		}
		return filepath.ToSlash(rel)
	}
}
