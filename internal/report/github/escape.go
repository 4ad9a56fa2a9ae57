// Package github renders a run for GitHub Actions: commands in the log (groups, annotations, masks), the
// summary and the outputs of a step.
//
// The runner reads commands from the lines that a step prints, so that texts from elsewhere must not hold
// any: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
package github

import (
	"strings"
	"unicode"

	"strake.dev/strake/internal/render"
)

// Escape makes a line harmless: to the runner, “::name …::” is a command at the start of a line, after
// spaces, and “##[name]” anywhere in it.
func Escape(line string) string {
	line = strings.ReplaceAll(strings.ReplaceAll(line, "\r", " "), "##[", "## [")
	body := strings.TrimLeftFunc(line, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
	if rest, ok := strings.CutPrefix(body, "::"); ok {
		return strings.TrimSuffix(line, body) + ": :" + rest
	}
	return line
}

var (
	dataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// data is a text as the value of a command.
func data(text string) string {
	return strings.ReplaceAll(dataEscapes.Replace(render.Text(text)), "##[", "## [")
}

// property is a text as the value of a property of a command.
func property(text string) string {
	return strings.ReplaceAll(propertyEscapes.Replace(render.Line(text)), "##[", "## [")
}

// Mask is the command that has the runner replace a secret in all of its logs.
func Mask(value string) string { return "::add-mask::" + dataEscapes.Replace(value) + "\n" }

// Groups are how GitHub folds the lines of a step.
func Groups() render.Groups {
	return render.Groups{
		Open:   func(step string) string { return "::group::" + data(render.Line(step)) + "\n" },
		Close:  func(string) string { return "::endgroup::\n" },
		Escape: Escape,
	}
}
