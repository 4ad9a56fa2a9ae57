package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report/github"
	"strake.dev/strake/internal/report/gitlab"
	"strake.dev/strake/stages"
)

// outputFlags say in which form a command prints.
type outputFlags struct {
	format   enum
	progress enum
	// reports are the reports that are asked for; records is set for commands that have a run.
	reports []string
	records bool
	// recording is that of the command while it works.
	recording *recording
	// lasting is the output of a command with several runs; nil for others.
	lasting *lasting
}

const (
	formatText     = "text"
	formatJSON     = "json"
	formatPipeline = "pipeline"
	formatApp      = "app"
)

// addFormat adds --output for a command without progress. more are forms besides text and json.
func (o *outputFlags) addFormat(cmd *cobra.Command, more ...string) {
	o.format = enum{value: formatText, allowed: append([]string{formatText, formatJSON}, more...), what: "FORM"}
	addEnum(cmd, &o.format, "output", "o", "form of what is printed on standard output")
	fromEnv(cmd.Flags(), "output", "STRAKE_OUTPUT")
}

// add adds --output and --progress.
func (o *outputFlags) add(cmd *cobra.Command, more ...string) {
	o.addFormat(cmd, more...)
	o.progress = enum{value: progressAuto, allowed: []string{progressAuto, progressPlain, progressTerminal, progressGitHub, progressGitLab, progressNone}, what: "FORM"}
	addEnum(cmd, &o.progress, "progress", "", "form of the progress on standard error")
	fromEnv(cmd.Flags(), "progress", "STRAKE_PROGRESS")
}

// The forms of progress.
const (
	progressAuto     = "auto"
	progressPlain    = "plain"
	progressTerminal = "terminal"
	progressGitHub   = "github"
	progressGitLab   = "gitlab"
	progressNone     = "none"
)

// A display shows events. It is closed before results are printed.
type display interface {
	stages.Observer
	Close()
}

// display returns what shows the progress of a command with those steps. Under --output json the
// events on standard output are all there is.
func (t *tool) display(flags *outputFlags, events *render.JSON, steps []string) display {
	if flags.format.value == formatJSON {
		if flags.recording != nil {
			return silent{} // the recording prints them
		}
		return events
	}
	if flags.lasting != nil && events != nil {
		show := t.display(flags, nil, steps)
		flags.lasting.show(show)
		return flags.lasting
	}
	switch t.progress(flags.progress.value) {
	case progressNone:
		return silent{}
	case progressTerminal:
		return render.NewTerminal(t.err, render.TerminalOptions{Size: t.terminalSize, Colour: t.getenv("NO_COLOR") == ""})
	case progressGitHub:
		return render.NewGrouped(t.err, steps, github.Groups())
	case progressGitLab:
		return render.NewGrouped(t.err, steps, gitlab.Groups())
	default:
		return render.NewPlain(t.harmless(t.err), steps)
	}
}

// progress decides what “auto” means: the log of a CI system that is known, or a live display for people in
// front of a terminal.
func (t *tool) progress(asked string) string {
	switch {
	case asked != progressAuto:
		return asked
	case t.getenv("GITHUB_ACTIONS") == "true":
		return progressGitHub
	case t.getenv("GITLAB_CI") == "true":
		return progressGitLab
	}
	if file, ok := t.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) && t.getenv("TERM") != "dumb" && t.getenv("CI") == "" {
		return progressTerminal
	}
	return progressPlain
}

func (t *tool) terminalSize() (width, height int) {
	file, ok := t.err.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// silent shows nothing.
type silent struct{}

func (silent) Observe(stages.Event) {}

func (silent) Close() {}

// table prints rows as aligned columns. Cells are cleaned, because they may come from elsewhere.
func table(w io.Writer, header []string, rows [][]string) {
	for _, row := range rows {
		clean(row)
	}
	align(w, header, rows)
}

// clean cleans the cells of a row, and fills those that are empty.
func clean(row []string) {
	for i, cell := range row {
		row[i] = cmp.Or(render.Line(cell), "-")
	}
}

// align prints rows of clean cells as columns.
func align(w io.Writer, header []string, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush() // what standard output can't take is noticed at the end of the command
}
